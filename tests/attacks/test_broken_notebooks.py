"""Submissions that are broken or tampered with: each is graded, none stops the class."""

import checks
from corpus.broken_notebooks import CASES


@checks.each(CASES)
def test_it_has_its_outcome(case, graded):
    checks.has_its_outcome(case, graded)


def test_it_harms_nobody(graded):
    checks.harms_nobody(graded)


def test_every_runner_says_the_same(classes):
    checks.gets_the_same_from_every_runner(CASES, classes)


@checks.each(CASES)
def test_it_succeeds_where_its_wall_is_missing(case):
    checks.succeeds_where_its_wall_is_missing(case)
