"""`check`, as a learner meets it."""

from gdlab.learn import check


def test_check_judges_on_the_same_cases_every_time():
    first, again = (check("gradient_step", lambda theta, grad, lr: theta - grad) for _ in range(2))
    assert first == again and first.mistakes == ("forgets-lr",)


def test_an_unknown_name_is_answered_not_raised():
    verdict = check("gradient_stepp", None)
    assert verdict.outcome == "unknown" and "did you mean 'gradient_step'" in verdict.sentences[0]
