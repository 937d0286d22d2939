"""Submissions that want points for wrong answers: each gets what its functions earned."""

from checks import *  # noqa: F403
from corpus.forgery import CASES  # noqa: F401
