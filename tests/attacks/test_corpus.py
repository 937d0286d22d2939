"""The corpus covers every line of the list, with a case of its own for each way there is."""

from corpus import LIMITS, broken_notebooks, escape, forgery, resources, right_answers
from weak_boxes import WEAK

FAMILIES = (resources, escape, forgery, broken_notebooks, right_answers)
CASES = [case for family in FAMILIES for case in family.CASES]


def test_it_holds_at_least_120_cases():
    assert len(CASES) >= 120


def test_every_line_has_a_case_and_every_case_a_line():
    for family in FAMILIES:
        by_hand = {"zip with path traversal"}  # no submission but a file for nbgrader: test_zip.py
        assert {case.line for case in family.CASES} | by_hand >= set(family.LINES)
        assert {case.line for case in family.CASES} <= set(family.LINES)


def test_names_are_told_apart_and_every_case_says_what_it_does_and_where_it_succeeds():
    assert len({case.id for case in CASES}) == len(CASES)
    for family in FAMILIES:
        assert len({case.folder for case in family.CASES}) == len(family.CASES)
    assert all(case.does and case.weak in WEAK and case.limits in LIMITS for case in CASES)


def test_no_weakened_box_goes_unused():
    assert {case.weak for case in CASES} == set(WEAK)
