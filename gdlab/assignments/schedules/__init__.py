"""Assignment 2, schedules: the learning rate as a function of the step, and where to read a good one off."""

from gdlab.assignments.schedules import (
    cosine_decay,
    inverse_sqrt,
    linear_warmup,
    step_decay,
    suggest_lr,
    warmup_cosine,
    wsd,
)

CHAPTER = 2
EXERCISES = (
    linear_warmup.EXERCISE,
    cosine_decay.EXERCISE,
    warmup_cosine.EXERCISE,
    step_decay.EXERCISE,
    inverse_sqrt.EXERCISE,
    wsd.EXERCISE,
    suggest_lr.EXERCISE,
)
