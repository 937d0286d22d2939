"""Judging: ask, compare, and say the first thing that is wrong.

    cases(rng) ──> the answer under judgement ──> compare with the reference ──> points by part
                          └──> compare with every named mistake ──> sentences

A part of the points is earned whole or not at all, when every case and every property that belongs
to it is right. A mistake is named when it gives the learner's very output on *every* case, the
right ones included; where two do, both are named; where none does, the first failing case is shown.
Cases on which the learner's function raised do not hide a mistake that all the others show: both are told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from gdlab.judge.answer import Answer, Failed, Oracle, Reply, Seed, fresh
from gdlab.judge.compare import Difference, Raises, compare, show
from gdlab.judge.exercise import Case, Exercise, Mistake, Property, Unlike
from gdlab.judge.verdict import FailingCase, PartResult, Verdict

PRINTS_NOT_RETURNS = "Printing shows a value; the caller still receives None. End with return."
REMEMBERS = "The second call with the same inputs gave another answer: something survives from the first."
SEEDS_REMEMBERED = 64
UNLIKE = object()
"""What is recognised of a value that is not of the kind that was asked for: nothing, and it resembles nothing."""
UNNAMED = "This is not a mistake that I know by name. Here is the first case where your answer differs."


@dataclass(frozen=True)
class Question:
    """A case with its right answer: a plain value, or the error that these inputs call for; and what of it counts."""

    case: Case
    expected: Any
    judged: Any


@dataclass(frozen=True, eq=False)
class Trial:
    """One question, and what came: a reply or a failure, and the first difference."""

    exercise: Exercise
    question: Question
    came: Reply | Failed
    difference: Difference | None = None
    broken: Property | None = None

    @property
    def case(self) -> Case:
        return self.question.case

    @property
    def expected(self) -> Any:
        return self.question.expected

    @cached_property
    def recognised(self) -> Any:
        """What came, as mistakes are told apart by it."""
        return self.came if isinstance(self.came, Failed) else _recognised(self.exercise, self.case, self.came.value)

    @property
    def value_is_right(self) -> bool:
        if isinstance(self.expected, Raises):
            return isinstance(self.came, Failed) and self.came.error == self.expected.error
        return isinstance(self.came, Reply) and self.difference is None


def judge(exercise: Exercise, answer: Answer | Sequence[Answer], seed: int, picture: bool = True) -> Verdict:
    """Judge one exercise.

    Args:
        exercise: what is right.
        answer: the learner's function, local or in a box; as many as the exercise has functions.
        seed: what the cases are drawn from; the same seed gives the same cases.
        picture: whether to draw the learner's function at work as well.
    """
    answer = exercise.asked(answer if isinstance(answer, Sequence) else [answer])
    trials = _ask_all(exercise, answer, seed)
    return _verdict(exercise, trials, seed, _picture(exercise, answer, trials) if picture else "")


def judge_mistake(exercise: Exercise, mistake: Mistake, seed: int) -> Verdict:
    """The verdict, without a picture, that a learner who makes this very mistake gets.

    `judge` computes what a mistake gives to compare it with an answer; here that is the answer as well.
    """
    trials = [
        _trial(exercise, question, *_mistaken(exercise, mistake, seed, at))
        for at, question in enumerate(_questions(exercise, seed))
    ]
    return _verdict(exercise, trials, seed)


def _verdict(exercise: Exercise, trials: Sequence[Trial], seed: int, picture: str = "") -> Verdict:
    parts = _points_by_part(exercise, trials)
    earned = sum(part.earned for part in parts)
    outcome, sentences, mistakes, shown = _diagnose(exercise, trials, earned, seed)
    failure = shown.came if shown and isinstance(shown.came, Failed) else None
    return Verdict(
        exercise=exercise.name,
        version=exercise.version,
        points=earned,
        max_points=exercise.points,
        outcome=outcome,
        sentences=sentences,
        mistakes=mistakes,
        parts=parts,
        case=_failing_case(shown) if shown and outcome not in ("untouched", "missing") else None,
        line=failure.line if failure else "",
        picture=picture,
        seed=seed,
    )


def without_answer(exercise: Exercise, failure: Failed, seed: int = 0) -> Verdict:
    """The verdict where there was nothing to ask: no points, and the reason."""
    return Verdict(exercise.name, exercise.version, 0.0, exercise.points, failure.kind, (failure.sentence,), seed=seed)


def draw_cases(exercise: Exercise, seed: int) -> list[Case]:
    """The cases of a seed, shuffled within their parts, and the first one once more at the end."""
    rng = np.random.default_rng(seed)
    cases = list(exercise.cases(rng))
    order = {part.name: i for i, part in enumerate(exercise.parts)}
    shuffled = sorted((cases[i] for i in rng.permutation(len(cases))), key=lambda case: order[case.part])
    return [*shuffled, shuffled[0]]


@lru_cache(maxsize=SEEDS_REMEMBERED)
def _questions(exercise: Exercise, seed: int) -> tuple[Question, ...]:
    """The cases of a seed with their right answers; a class is graded with one seed, so each is computed once."""
    return tuple(_question(exercise, case) for case in draw_cases(exercise, seed))


def _question(exercise: Exercise, case: Case) -> Question:
    expected = _expected(exercise, case)
    plain_view = exercise.judged_on is None or isinstance(expected, Raises)
    return Question(case, expected, expected if plain_view else exercise.judged_on(case.inputs, expected))


@lru_cache(maxsize=200 * SEEDS_REMEMBERED)
def _mistaken(exercise: Exercise, mistake: Mistake, seed: int, at: int) -> tuple[dict[str, Any], Reply | Failed]:
    """The inputs of one case of a seed, and what a named mistake made of them; computed only where it is asked for."""
    inputs = fresh(_questions(exercise, seed)[at].case.inputs)
    try:
        with np.errstate(all="ignore"):
            return inputs, exercise.local(mistake.function)(inputs)
    except Failed as failure:
        return inputs, failure


@lru_cache(maxsize=200 * SEEDS_REMEMBERED)
def _mistaken_answer(exercise: Exercise, mistake: Mistake, seed: int, at: int) -> Any:
    """How a named mistake fails on one case of a seed, or what is recognised of the value it gives."""
    _, came = _mistaken(exercise, mistake, seed, at)
    if isinstance(came, Failed):
        return came
    return _recognised(exercise, _questions(exercise, seed)[at].case, came.value)


def _recognised(exercise: Exercise, case: Case, value) -> Any:
    """What of a value tells mistakes apart; UNLIKE where it is not of the kind that was asked for."""
    view = exercise.recognised_by or exercise.judged_on
    try:
        return view(case.inputs, value) if view else value
    except Exception:  # a view written for sound answers meets anything at all
        return UNLIKE


def _ask_all(exercise: Exercise, answer: Answer, seed: int) -> list[Trial]:
    trials: list[Trial] = []
    for question in _questions(exercise, seed):
        given_up = (
            trials and isinstance(trials[-1].came, Failed) and trials[-1].came.kind not in ("raised", "unreadable")
        )
        if given_up:
            trials.append(Trial(exercise, question, trials[-1].came))
        else:
            trials.append(_ask(exercise, answer, question))
    return trials


def _ask(exercise: Exercise, answer: Answer, question: Question) -> Trial:
    inputs = fresh(question.case.inputs)
    try:
        reply = answer(inputs)
    except Failed as failure:
        return _trial(exercise, question, inputs, failure)
    return _trial(exercise, question, inputs, reply)


def _trial(exercise: Exercise, question: Question, inputs: dict[str, Any], came: Reply | Failed) -> Trial:
    """`inputs` as the call left them, for the properties that look at what was asked of an oracle."""
    if isinstance(came, Failed):
        return Trial(exercise, question, came)
    difference = _difference(exercise, question, came.value)
    broken = next((p for p in exercise.properties if not p.holds(inputs, came)), None)
    return Trial(exercise, question, came, difference, broken)


def _expected(exercise: Exercise, case: Case):
    """The right answer: a plain value, or the ValueError that these inputs call for."""
    try:
        return exercise.local(exercise.reference)(fresh(case.inputs)).value
    except Failed as failure:
        if failure.error != "ValueError":  # torch that is not installed, say: no learner is right to fail as well
            raise
        return Raises(failure.error, failure.sentence)


def _difference(exercise: Exercise, question: Question, value) -> Difference | None:
    """Where a value differs from the right one; what of it counts is the exercise's to say."""
    expected = question.expected
    if isinstance(expected, Raises):
        return Difference(f"These inputs call for a {expected.error}.", expected, value)
    if exercise.judged_on is None:
        return compare(expected, value, exercise.tolerance, exercise.axes, exercise.returns)
    try:
        yours = exercise.judged_on(question.case.inputs, value)
    except Unlike as unlike:
        return Difference(str(unlike), expected, value)
    except Exception:  # a view written for sound answers meets anything at all
        return Difference("Your function did not return what was asked for.", expected, value)
    return compare(question.judged, yours, exercise.tolerance, exercise.axes, exercise.returns)


def _points_by_part(exercise: Exercise, trials: Sequence[Trial]) -> tuple[PartResult, ...]:
    all_right = all(trial.value_is_right for trial in trials)
    with_cases = {trial.case.part for trial in trials}

    def earned(part) -> bool:
        if any(trial.broken and trial.broken.part == part.name for trial in trials):
            return False
        return (
            all(t.value_is_right for t in trials if t.case.part == part.name) if part.name in with_cases else all_right
        )

    return tuple(PartResult(part.title, part.points, part.points if earned(part) else 0.0) for part in exercise.parts)


def _diagnose(exercise: Exercise, trials: Sequence[Trial], earned: float, seed: int):
    """Outcome, sentences, mistakes' names, and the trial to show."""
    wrong = next((trial for trial in trials if not trial.value_is_right), None)
    if wrong is None:
        return _diagnose_properties(exercise, trials)
    named = [mistake for mistake in exercise.mistakes if _made(exercise, mistake, trials, seed)]
    outcome = "partly" if earned else "wrong"
    if named:
        return outcome, tuple(dict.fromkeys(m.sentence for m in named)), tuple(m.name for m in named), wrong
    beside = _named_beside_a_crash(exercise, trials, seed)
    if beside:
        crash = next(trial for trial in trials if _crashed(trial))
        return outcome, (*(m.sentence for m in beside), crash.came.sentence), tuple(m.name for m in beside), wrong
    if isinstance(wrong.came, Failed):
        return "partly" if earned else wrong.came.kind, (wrong.came.sentence,), (), wrong
    if all(isinstance(t.came, Reply) and _is_nothing(t.came.value) for t in trials):
        return outcome, (PRINTS_NOT_RETURNS,), ("prints-not-returns",), wrong
    if wrong is trials[-1]:
        return outcome, (REMEMBERS,), ("remembers-between-calls",), wrong
    return outcome, (UNNAMED,), (), wrong


def _is_nothing(value) -> bool:
    """Whether a value is None, however often the function was called for it."""
    if isinstance(value, list | dict) and value:
        return all(_is_nothing(entry) for entry in (value.values() if isinstance(value, dict) else value))
    return value is None


def _diagnose_properties(exercise: Exercise, trials: Sequence[Trial]):
    trial = next((trial for trial in trials if trial.broken), None)
    if trial is None:
        return "right", (exercise.notice,), (), None
    return "partly", (trial.broken.sentence,), (trial.broken.name,), trial


def _made(
    exercise: Exercise, mistake: Mistake, trials: Sequence[Trial], seed: int, among: Iterable[int] | None = None
) -> bool:
    """Whether the mistake gives what the learner's function gave, on every case that was asked (or on those `among` them).

    The cases that went wrong come first: there most mistakes part ways with the answer, and the rest need not be asked.
    """
    order = sorted(range(len(trials)) if among is None else among, key=lambda at: trials[at].value_is_right)
    return all(_alike(exercise, trials[at].recognised, _mistaken_answer(exercise, mistake, seed, at)) for at in order)


def _crashed(trial: Trial) -> bool:
    """Whether the learner's function raised where it should not."""
    return isinstance(trial.came, Failed) and trial.came.kind == "raised" and not trial.value_is_right


def _named_beside_a_crash(exercise: Exercise, trials: Sequence[Trial], seed: int) -> list[Mistake]:
    """The mistakes made wherever the learner's function did not raise: a second fault need not hide the first."""
    told = [at for at, trial in enumerate(trials) if not _crashed(trial)]
    if len(told) == len(trials) or all(trials[at].value_is_right for at in told):
        return []
    return [mistake for mistake in exercise.mistakes if _made(exercise, mistake, trials, seed, told)]


def _alike(exercise: Exercise, came, made) -> bool:
    """Whether what a learner's function gave is what a mistake gives, both as `_recognised` sees them."""
    if isinstance(made, Failed) or isinstance(came, Failed):
        both = isinstance(made, Failed) and isinstance(came, Failed)
        return both and (came.kind, came.error) == (made.kind, made.error)
    if made is UNLIKE or came is UNLIKE:
        return False
    whole = exercise.recognised_by is None and exercise.judged_on is None
    return compare(made, came, exercise.tolerance, returns=_names_that_fit(exercise, made) if whole else ()) is None


def _names_that_fit(exercise: Exercise, value) -> Sequence[str]:
    """The names of the things returned, unless the mistake is to return something else."""
    several = isinstance(value, list) or isinstance(value, np.ndarray) and value.ndim > 0
    return exercise.returns if several and len(value) == len(exercise.returns) else ()


def _failing_case(trial: Trial) -> FailingCase:
    inputs = tuple((name, _shown(value)) for name, value in trial.case.inputs.items())
    if trial.difference is None:
        return FailingCase(inputs)
    return FailingCase(inputs, trial.difference.sentence, trial.difference.expected, trial.difference.got)


def _shown(value) -> str:
    if isinstance(value, Oracle):
        return value.shown
    return f"numpy.random.default_rng({value})" if isinstance(value, Seed) else show(value)


def _picture(exercise: Exercise, answer: Answer, trials: Sequence[Trial]) -> str:
    if exercise.picture is None or not all(isinstance(trial.came, Reply) for trial in trials):
        return ""
    try:
        return exercise.picture(answer)
    except Exception:  # a picture is a courtesy: what an answer returns for it must not cost the verdict
        return ""
