"""Right answers in unusual dress: each gets all its points."""

import checks
from corpus.right_answers import CASES


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
