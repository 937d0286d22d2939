"""Proof that the grader is right: every exercise is tried with answers whose verdict is known beforehand."""
