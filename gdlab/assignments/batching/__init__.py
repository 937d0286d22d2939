"""Assignment 3, batching: which examples one step looks at, what their gradient is, and how noisy that is."""

from gdlab.assignments.batching import (
    accumulate_gradients,
    epoch_batches,
    gradient_noise,
    minibatch_gradient,
    scale_lr,
)

CHAPTER = 3
EXERCISES = (
    epoch_batches.EXERCISE,
    minibatch_gradient.EXERCISE,
    accumulate_gradients.EXERCISE,
    scale_lr.EXERCISE,
    gradient_noise.EXERCISE,
)
