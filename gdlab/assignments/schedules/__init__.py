"""Assignment 2, schedules: the learning rate as a function of the step, and where to read a good one off."""

from gdlab.assignments.schedules import cosine_decay, linear_warmup

CHAPTER = 2
EXERCISES = (linear_warmup.EXERCISE, cosine_decay.EXERCISE)
