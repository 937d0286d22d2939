"""The book's figures: one Python class and one small JavaScript file each, sharing one engine.

>>> from gdlab.figures import bowl_walk
>>> walk = bowl_walk(lr=0.3)

A figure is an ipywidget, so in JupyterLab its traits are live (`walk.lr = 0.9` moves the picture). In
the built book it runs without a kernel (`page.py`), and on paper it is a static picture (`…_svg.py`,
which also draw a learner's answer beside the right one). Nothing is imported before it is asked for: a
picture alone needs no ipywidgets.
"""

from importlib import import_module

# A home must not be called like what lives there: once imported, the module would take the name.
_HOMES = {
    "BatchNoise": "batch_fan",
    "batch_noise": "batch_fan",
    "BowlWalk": "bowl",
    "bowl_walk": "bowl",
    "bowl_picture": "bowl_svg",
    "curve_picture": "curve_svg",
    "EpochCounter": "epochs",
    "epoch_counter": "epochs",
    "Landscape": "basins",
    "landscape": "basins",
    "LearningRateRegimes": "regimes",
    "learning_rate_regimes": "regimes",
    "LossCurve": "losses",
    "loss_curve": "losses",
    "LrFinder": "finder",
    "lr_finder": "finder",
    "Race": "contest",
    "race": "contest",
    "SchedulePlot": "schedule",
    "schedule_plot": "schedule",
    "tiles_picture": "tiles_svg",
    "Trainability": "boundary",
    "trainability": "boundary",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"gdlab.figures has no {name!r}; it has {', '.join(__all__)}.")
    return getattr(import_module(f"gdlab.figures.{_HOMES[name]}"), name)
