"""A learner's walk on the bowl beside the right one."""

from gdlab.figures.bowl_svg import bowl_picture
from gdlab.objectives import bowl
from gdlab.rules import descend

PICTURE_LR, PICTURE_STEPS = 0.3, 4


def walks_on_the_bowl(path: list[float]) -> str:
    right = [float(theta) for theta in descend(bowl.grad, bowl.start, PICTURE_LR, PICTURE_STEPS)]
    return bowl_picture([("right", right), ("yours", path)], width=460, height=280)
