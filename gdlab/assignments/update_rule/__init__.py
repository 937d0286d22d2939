"""Assignment 1, the update rule: one step against the gradient, a whole walk of them, and how a walk can end."""

from gdlab.assignments.update_rule import descend, gradient_step

CHAPTER = 1
EXERCISES = (gradient_step.EXERCISE, descend.EXERCISE)
