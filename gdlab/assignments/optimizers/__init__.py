"""Assignment 6, a bonus for the appendix: six optimizers, each as one step that takes its state in and hands it out."""

from gdlab.assignments.optimizers import (
    adam_step,
    adamw_step,
    lion_step,
    momentum_step,
    nesterov_step,
    rmsprop_step,
)

CHAPTER = 6
EXERCISES = (
    momentum_step.EXERCISE,
    nesterov_step.EXERCISE,
    rmsprop_step.EXERCISE,
    adam_step.EXERCISE,
    adamw_step.EXERCISE,
    lion_step.EXERCISE,
)
