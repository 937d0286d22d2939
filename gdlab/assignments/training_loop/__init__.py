"""Assignment 5, the training loop: the loop itself, in NumPy and in torch, and what keeps a run safe and honest."""

from gdlab.assignments.training_loop import clip_by_norm, early_stop

CHAPTER = 5
EXERCISES = (clip_by_norm.EXERCISE, early_stop.EXERCISE)
