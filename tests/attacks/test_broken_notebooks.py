"""Submissions that are broken or tampered with: each is graded, none stops the class."""

from checks import *  # noqa: F403
from corpus.broken_notebooks import CASES  # noqa: F401
