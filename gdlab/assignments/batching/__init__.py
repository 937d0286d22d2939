"""Assignment 3, batching: which examples one step looks at, what their gradient is, and how noisy that is."""

from gdlab.assignments.batching import epoch_batches

CHAPTER = 3
EXERCISES = (epoch_batches.EXERCISE,)
