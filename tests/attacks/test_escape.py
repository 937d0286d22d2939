"""Submissions that reach outside their box: each is graded, and none gets there."""

from checks import *  # noqa: F403
from corpus.escape import CASES  # noqa: F401
