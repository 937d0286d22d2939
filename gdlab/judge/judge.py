"""Judging: ask, compare, and say the first thing that is wrong.

    cases(rng) ──> the answer under judgement ──> compare with the reference ──> points by part
                          └──> compare with every named mistake ──> sentences

A part of the points is earned whole or not at all, when every case and every property that belongs
to it is right. A mistake is named when it gives the learner's very output on *every* case, the
right ones included; where two do, both are named; where none does, the first failing case is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdlab.judge.answer import Answer, Failed, Local, Oracle, Reply, fresh
from gdlab.judge.compare import Difference, compare, show
from gdlab.judge.exercise import Case, Exercise, Mistake, Property
from gdlab.judge.verdict import FailingCase, PartResult, Verdict

PRINTS_NOT_RETURNS = "Printing shows a value; the caller still receives None. End with return."
REMEMBERS = "The second call with the same inputs gave another answer: something survives from the first."
UNNAMED = "This is not a mistake that I know by name. Here is the first case where your answer differs."


@dataclass(frozen=True)
class Trial:
    """One case, what was right, and what came: a reply or a failure, and the first difference."""

    case: Case
    expected: Any
    came: Reply | Failed
    difference: Difference | None
    broken: Property | None

    @property
    def value_is_right(self) -> bool:
        return isinstance(self.came, Reply) and self.difference is None


def judge(exercise: Exercise, answer: Answer, seed: int) -> Verdict:
    """Judge one function.

    Args:
        exercise: what is right.
        answer: the learner's function, local or in a box.
        seed: what the cases are drawn from; the same seed gives the same cases.
    """
    trials = _ask_all(exercise, answer, seed)
    parts = _points_by_part(exercise, trials)
    earned = sum(part.earned for part in parts)
    outcome, sentences, mistakes, shown = _diagnose(exercise, trials, earned)
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
        case=_failing_case(shown) if shown else None,
        line=failure.line if failure else "",
        picture=_picture(exercise, answer, trials),
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


def _ask_all(exercise: Exercise, answer: Answer, seed: int) -> list[Trial]:
    trials: list[Trial] = []
    for case in draw_cases(exercise, seed):
        given_up = (
            trials and isinstance(trials[-1].came, Failed) and trials[-1].came.kind not in ("raised", "unreadable")
        )
        trials.append(_ask(exercise, answer, case) if not given_up else _unasked(case, trials[-1].came))
    return trials


def _unasked(case: Case, failure: Failed) -> Trial:
    return Trial(case, None, failure, None, None)


def _ask(exercise: Exercise, answer: Answer, case: Case) -> Trial:
    expected = exercise.reference(*fresh(case.inputs).values())
    inputs = fresh(case.inputs)
    try:
        reply = answer(inputs)
    except Failed as failure:
        return Trial(case, expected, failure, None, None)
    difference = compare(expected, reply.value, exercise.tolerance, exercise.axes)
    broken = next((p for p in exercise.properties if not p.holds(inputs, reply)), None)
    return Trial(case, expected, reply, difference, broken)


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


def _diagnose(exercise: Exercise, trials: Sequence[Trial], earned: float):
    """Outcome, sentences, mistakes' names, and the trial to show."""
    wrong = next((trial for trial in trials if not trial.value_is_right), None)
    if wrong is None:
        return _diagnose_properties(exercise, trials)
    named = [mistake for mistake in exercise.mistakes if _made(exercise, mistake, trials)]
    outcome = "partly" if earned else "wrong"
    if named:
        return outcome, tuple(dict.fromkeys(m.sentence for m in named)), tuple(m.name for m in named), wrong
    if isinstance(wrong.came, Failed):
        return "partly" if earned else wrong.came.kind, (wrong.came.sentence,), (), wrong
    if all(isinstance(t.came, Reply) and t.came.value is None for t in trials):
        return outcome, (PRINTS_NOT_RETURNS,), ("prints-not-returns",), wrong
    if wrong is trials[-1]:
        return outcome, (REMEMBERS,), ("remembers-between-calls",), wrong
    return outcome, (UNNAMED,), (), wrong


def _diagnose_properties(exercise: Exercise, trials: Sequence[Trial]):
    trial = next((trial for trial in trials if trial.broken), None)
    if trial is None:
        return "right", (exercise.notice,), (), None
    return "partly", (trial.broken.sentence,), (trial.broken.name,), trial


def _made(exercise: Exercise, mistake: Mistake, trials: Sequence[Trial]) -> bool:
    """Whether the mistake gives what the learner's function gave, on every case that was asked."""
    return all(_same(exercise, trial, mistake) for trial in trials)


def _same(exercise: Exercise, trial: Trial, mistake: Mistake) -> bool:
    try:
        with np.errstate(all="ignore"):
            value = Local(mistake.function)(fresh(trial.case.inputs)).value
    except Failed as failure:
        return isinstance(trial.came, Failed) and trial.came.kind == failure.kind == "raised"
    return isinstance(trial.came, Reply) and compare(value, trial.came.value, exercise.tolerance) is None


def _failing_case(trial: Trial) -> FailingCase:
    inputs = tuple((name, v.shown if isinstance(v, Oracle) else show(v)) for name, v in trial.case.inputs.items())
    if trial.difference is None:
        return FailingCase(inputs)
    return FailingCase(inputs, trial.difference.sentence, trial.difference.expected, trial.difference.got)


def _picture(exercise: Exercise, answer: Answer, trials: Sequence[Trial]) -> str:
    if exercise.picture is None or not all(isinstance(trial.came, Reply) for trial in trials):
        return ""
    try:
        return exercise.picture(answer)
    except Failed:
        return ""
