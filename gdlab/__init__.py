"""Gradient Descent Lab: what is right (`rules`, `objectives`), shown (`figures`), asked (`assignments`), judged (`judge`, `grading`)."""

__version__ = "0.1.0"
