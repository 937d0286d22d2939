"""Submissions that use more than they were given: each is stopped, and says so; none stops the class."""

from checks import *  # noqa: F403
from corpus.resources import CASES  # noqa: F401
