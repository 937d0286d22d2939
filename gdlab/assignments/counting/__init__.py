"""Assignment 4, counting: steps, epochs, examples and tokens, in whole numbers that are exactly right."""

from gdlab.assignments.counting import (
    accumulation_steps,
    examples_seen,
    steps_for_tokens,
    steps_per_epoch,
    total_tokens,
    where_am_i,
)

CHAPTER = 4
EXERCISES = (
    steps_per_epoch.EXERCISE,
    where_am_i.EXERCISE,
    examples_seen.EXERCISE,
    total_tokens.EXERCISE,
    steps_for_tokens.EXERCISE,
    accumulation_steps.EXERCISE,
)
