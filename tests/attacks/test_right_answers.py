"""Right answers in unusual dress: each gets all its points."""

from checks import *  # noqa: F403
from corpus.right_answers import CASES  # noqa: F401
