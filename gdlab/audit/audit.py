"""The audit of one exercise.

    every named mistake         loses points, and is called by its own name and by no other, in every round
    every other right answer    gets all points, in every round
    every lazy answer           gets no points; one that knows the shapes or the public cases by heart, not all
    every mutant of the solution is rejected, unless the exercise says why it is no mistake at all; and where
                                one is called by a mistake's name, it makes that very mistake in every round

A round is a set of fresh cases. What should be so and is not, is a miss; an exercise without misses is proven as far as this goes.
"""

import gc
import importlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache

import msgspec

from gdlab.audit.lazy import CONSTANTS, never_ends, public_cases_by_heart, right_shape_wrong_numbers
from gdlab.audit.mutants import Mutant, mutants_of
from gdlab.audit.solutions import Solution
from gdlab.judge.answer import Local
from gdlab.judge.exercise import Exercise, Functions, Mistake
from gdlab.judge.judge import judge, judge_mistake
from gdlab.judge.verdict import Verdict
from gdlab.learn import PUBLIC_SEED

MUTANT_ROUNDS = 6
LAZY_ROUNDS = 3
FOR_EVER = 1.0
"""Seconds of computing after which an answer counts as one that never ends."""


class Audited(msgspec.Struct, frozen=True):
    """What came of one exercise.

    Attributes:
        assignment, exercise, version: which one.
        rounds: how many sets of fresh cases mistakes and right answers were tried on.
        mistakes, alternatives, lazy, mutants: how many there were.
        named, accepted, refused, killed: how many of them were judged as they should be.
        equivalent: how many mutants change no answer, each argued in the exercise.
        misses: a sentence for each thing that is not as it should be.
    """

    assignment: str
    exercise: str
    version: int
    rounds: int
    mistakes: int
    named: int
    alternatives: int
    accepted: int
    lazy: int
    refused: int
    mutants: int
    killed: int
    equivalent: int
    misses: tuple[str, ...] = ()


class NeverEnds(BaseException):
    """Raised in an answer that has computed for too long; no `except Exception` of a learner's catches it."""


def audit(assignment: str, exercise: Exercise, solution: Solution, rounds: int, seed: int = 0) -> Audited:
    """Try an exercise with answers whose verdict is known.

    Args:
        assignment: where the exercise belongs.
        exercise: what is audited.
        solution: the instructor's, of which the mutants are made.
        rounds: how many sets of fresh cases.
        seed: where the rounds begin.
    """
    exercise = replace(exercise, picture=None)
    seeds = range(seed, seed + rounds)
    misses: list[str] = []
    right = [("the reference", exercise.reference), ("the solution", solution.functions())]
    right += [(f"the alternative {a.style!r}", a.function) for a in exercise.alternatives]
    misjudged = _misjudged(exercise, right, seeds)
    misses += misjudged.values()
    lazy = _lazy_answers(exercise)
    refused = sum(_is_refused(exercise, *answer, seeds, misses) for answer in lazy)
    mutants = list(solution.mutants(mutants_of))
    fates = [_fate(exercise, solution, *mutant, seeds[:MUTANT_ROUNDS], misses) for mutant in mutants]
    _complain_of_unused_arguments(exercise, [mutant for _, mutant in mutants], misses)
    return Audited(
        assignment=assignment,
        exercise=exercise.name,
        version=exercise.version,
        rounds=rounds,
        mistakes=len(exercise.mistakes),
        named=sum(mistake.name not in misjudged for mistake in exercise.mistakes),
        alternatives=len(right),
        accepted=sum(style not in misjudged for style, _ in right),
        lazy=len(lazy),
        refused=refused,
        mutants=len(mutants),
        killed=fates.count("killed"),
        equivalent=fates.count("equivalent"),
        misses=tuple(misses),
    )


def verdict_of(exercise: Exercise, functions: Functions, seed: int) -> Verdict | None:
    """The judge's verdict, None for an answer that never ends."""
    answers = [Local(function) for function in (functions if isinstance(functions, tuple) else (functions,))]
    return _unless_endless(lambda: judge(exercise, answers, seed))


def _unless_endless(verdict: Callable[[], Verdict]) -> Verdict | None:
    _import_torch()
    try:
        with _bounded(FOR_EVER):
            return verdict()
    except (NeverEnds, RecursionError, MemoryError, SystemExit):
        return None


@cache
def _import_torch() -> None:
    """Before any answer's time is counted: an import that is cut off in the middle spoils all that follow."""
    with suppress(ImportError):
        importlib.import_module("torch._dynamo")  # which torch itself imports with the first optimizer


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Stop what computes for longer. It is the answer's own time that counts, not that of others on this machine, of other
    threads, or of the search for garbage, which in a large process may take as long."""
    began, collects = time.thread_time(), gc.isenabled()

    def stop(signum, frame):
        if time.thread_time() - began >= seconds:  # the timer counts every thread
            raise NeverEnds

    before = signal.signal(signal.SIGVTALRM, stop)
    gc.disable()
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds / 10)  # and again: a destructor swallows what is raised
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        if collects:
            gc.enable()
        signal.signal(signal.SIGVTALRM, before)


def _misjudged(exercise: Exercise, right: Sequence[tuple[str, Functions]], seeds: Iterable[int]) -> dict[str, str]:
    """The mistakes and right answers that are not judged as such in every round, each with a sentence."""
    found: dict[str, str] = {}
    for turn, seed in enumerate(seeds):  # round by round, since the judge remembers what belongs to a seed
        for mistake in exercise.mistakes:
            verdict = (
                verdict_of(exercise, mistake.function, seed) if turn == 0 else _of_mistake(exercise, mistake, seed)
            )
            if verdict is None or verdict.right or verdict.mistakes != (mistake.name,):
                what = "never ends" if verdict is None else f"is {verdict.outcome}, called {list(verdict.mistakes)}"
                found.setdefault(mistake.name, f"The mistake {mistake.name} {what} in round {seed}.")
        for style, functions in right:
            verdict = verdict_of(exercise, functions, seed)
            if verdict is None or not verdict.right or verdict.points != exercise.points:
                what = "never ends" if verdict is None else f"is {verdict.outcome} ({' '.join(verdict.sentences)})"
                found.setdefault(style, f"A right answer, {style}, {what} in round {seed}.")
    return found


def _of_mistake(exercise: Exercise, mistake: Mistake, seed: int) -> Verdict | None:
    """As `verdict_of` its function, which the first round asks like a learner's, with each answer computed once."""
    return _unless_endless(lambda: judge_mistake(exercise, mistake, seed))


def _lazy_answers(exercise: Exercise) -> list[tuple[str, tuple[Callable, ...], float, int]]:
    """(how, functions, the most points it may get, in how many rounds it is tried)."""
    count = len(exercise.function_names)
    less_than_all = exercise.points - 0.5
    by_heart = public_cases_by_heart(exercise, PUBLIC_SEED)
    return [
        *((how, (function,) * count, 0.0, LAZY_ROUNDS) for how, function in CONSTANTS.items()),
        ("never ends", (never_ends,) * count, 0.0, 1),
        ("gives wrong numbers in the right shape", right_shape_wrong_numbers(exercise), less_than_all, LAZY_ROUNDS),
        ("knows the public cases by heart", by_heart, less_than_all, LAZY_ROUNDS),
    ]


def _is_refused(exercise, how, functions, most, rounds, seeds, misses: list[str]) -> bool:
    for seed in seeds[:rounds]:
        verdict = verdict_of(exercise, functions, seed)
        if verdict is not None and verdict.points > most:
            misses.append(f"An answer that {how} gets {verdict.points:g} points in round {seed}.")
            return False
    return True


def _fate(exercise, solution: Solution, name: str, mutant: Mutant, seeds, misses: list[str]) -> str:
    """ "killed", "equivalent" or "survived"."""
    functions = solution.functions_with(name, mutant.source)
    verdicts = [verdict_of(exercise, functions, seed) for seed in seeds] if functions else [None]
    if all(verdict and verdict.right for verdict in verdicts):
        if mutant.change in exercise.equivalent_mutants:
            return "equivalent"
        misses.append(f"The mutant {mutant.change!r} is accepted.")
        return "survived"
    if mutant.change in exercise.equivalent_mutants:
        misses.append(f"The mutant {mutant.change!r} is declared equivalent, but it is rejected.")
    names = {verdict.mistakes for verdict in verdicts if verdict}
    known = {mistake.name for mistake in exercise.mistakes}
    if len(names) > 1 and any(known & set(called) for called in names):
        misses.append(f"The mutant {mutant.change!r} is called differently in different rounds: {sorted(names)}.")
    return "killed"


def _complain_of_unused_arguments(exercise: Exercise, mutants: list[Mutant], misses: list[str]) -> None:
    changes = {mutant.change for mutant in mutants}
    misses += [
        f"{change!r} is declared an equivalent mutant, but the solution has no such mutant."
        for change in exercise.equivalent_mutants
        if change not in changes
    ]
