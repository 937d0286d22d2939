"""Assignment 1, the update rule: one step against the gradient, a whole walk of them, and how a walk can end."""

from gdlab.assignments.update_rule import (
    classify_run,
    descend,
    gradient_step,
    numerical_gradient,
    stable_learning_rate,
)

CHAPTER = 1
EXERCISES = (
    gradient_step.EXERCISE,
    descend.EXERCISE,
    numerical_gradient.EXERCISE,
    stable_learning_rate.EXERCISE,
    classify_run.EXERCISE,
)
