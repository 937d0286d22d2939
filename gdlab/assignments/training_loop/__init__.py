"""Assignment 5, the training loop: the loop itself, in NumPy and in torch, and what keeps a run safe and honest."""

from gdlab.assignments.training_loop import checkpoint, clip_by_norm, early_stop, overfit_ten, train_numpy, train_torch

CHAPTER = 5
EXERCISES = (
    train_numpy.EXERCISE,
    train_torch.EXERCISE,
    clip_by_norm.EXERCISE,
    early_stop.EXERCISE,
    checkpoint.EXERCISE,
    overfit_ten.EXERCISE,
)
