"""A class at a glance: how scores lie, which exercises are hardest, which mistakes are made, and who is stuck on one.

Everything is read from the gradebook and the ledger in it; the page stands alone, like the learners' own pages.
"""

import datetime
import hashlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nbgrader.api import Assignment, Gradebook, SubmittedAssignment
from nbgrader.utils import parse_utc
from sqlalchemy import select

from gdlab.grading.export import final_score
from gdlab.grading.feedback import template
from gdlab.grading.ledger import RECORDINGS, Entry, Ledger
from gdlab.judge.verdict import OUTCOMES, Verdict

BINS = 10
SHADES = ("right", "partly", "wrong", "none")
Name = Callable[[str], str]


@dataclass(frozen=True)
class ExerciseReport:
    """How one exercise went: learners by outcome, and the mean share of its points."""

    name: str
    outcomes: dict[str, int]
    mean_share: float

    @property
    def learners(self) -> int:
        return sum(self.outcomes.values())


@dataclass(frozen=True)
class MistakeReport:
    """One thing that is wrong, in the judge's words to the learner, and who does it."""

    exercise: str
    sentence: str
    learners: tuple[str, ...]


@dataclass(frozen=True)
class Stuck:
    """A learner who has handed in the same mistake more than once in a row."""

    learner: str
    exercise: str
    sentence: str
    times: int


@dataclass(frozen=True)
class TimeReport:
    """What is known of time: how long notebooks ran, and how far apart a learner's versions are. How long anybody worked is not.

    Attributes:
        seconds: that running and judging each notebook took, the longest first, and whose it is.
        spans: from the first version to the last, of each learner who handed in more than one; the longest first.
    """

    seconds: tuple[tuple[float, str], ...]
    spans: tuple[datetime.timedelta, ...]

    @property
    def median_seconds(self) -> float:
        return statistics.median(seconds for seconds, _ in self.seconds)

    @property
    def median_span(self) -> datetime.timedelta:
        return statistics.median(self.spans)


@dataclass(frozen=True)
class AssignmentReport:
    """One assignment.

    Attributes:
        scores: points of each learner who handed it in, with what is taken off for lateness.
        max_score: the points there are.
        late: how many handed it in after it was due.
        exercises: the hardest first.
        mistakes: the commonest first.
        stuck: who is, the most often first.
        time: what is known of it.
    """

    name: str
    scores: tuple[float, ...]
    max_score: float
    late: int
    exercises: tuple[ExerciseReport, ...]
    mistakes: tuple[MistakeReport, ...]
    stuck: tuple[Stuck, ...]
    time: TimeReport

    @property
    def histogram(self) -> tuple[int, ...]:
        """How many learners have each tenth of the points; all of them count to the last."""
        places = Counter(min(BINS - 1, int(BINS * score / (self.max_score or 1.0))) for score in self.scores)
        return tuple(places[place] for place in range(BINS))

    @property
    def mean(self) -> float:
        return statistics.fmean(self.scores) if self.scores else 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.scores) if self.scores else 0.0


def class_report(book: Gradebook, anonymous: bool = False) -> list[AssignmentReport]:
    """Every assignment of a gradebook that somebody has handed in.

    Args:
        book: nbgrader's gradebook, with the ledger in its database.
        anonymous: call learners by number, in an order that says nothing about them.
    """
    ledger = Ledger(book.db)
    there = set(
        book.db.execute(select(SubmittedAssignment.student_id, Assignment.name).join(SubmittedAssignment.assignment))
    )
    by_assignment: dict[str, list[Entry]] = defaultdict(list)
    for entry in ledger.standing():
        # Somebody may have removed a learner with nbgrader's own command.
        if (entry.student, entry.assignment) in there:
            by_assignment[entry.assignment].append(entry)
    learners = sorted({e.student for entries in by_assignment.values() for e in entries})
    name = _numbered(learners, ledger.first_seed()) if anonymous else str
    return [
        _assignment_report(book, ledger, assignment, entries, name)
        for assignment, entries in sorted(by_assignment.items())
    ]


def _numbered(learners: Sequence[str], secret: str) -> Name:
    """Learners by number; the same class gets the same numbers, which nobody can work out who has only its names."""

    def place(learner: str) -> bytes:
        return hashlib.sha256("\n".join((secret, *learners, learner)).encode()).digest()

    shuffled = sorted(learners, key=place)
    numbers = {learner: f"learner {number}" for number, learner in enumerate(shuffled, start=1)}
    return numbers.__getitem__


def _assignment_report(
    book: Gradebook, ledger: Ledger, assignment: str, entries: Sequence[Entry], name: Name
) -> AssignmentReport:
    rows = [book.find_submission(assignment, entry.student) for entry in entries]
    return AssignmentReport(
        name=assignment,
        scores=tuple(map(final_score, rows)),
        max_score=max(row.max_score for row in rows),
        late=sum(row.total_seconds_late > 0 for row in rows),
        exercises=_exercises(entries),
        mistakes=_mistakes(entries, name),
        stuck=tuple(sorted(_stuck(ledger, entries, name), key=lambda one: (-one.times, one.exercise, one.learner))),
        time=_time(book, assignment, entries, name),
    )


def _time(book: Gradebook, assignment: str, entries: Sequence[Entry], name: Name) -> TimeReport:
    seconds = sorted(
        ((entry.judged.seconds, name(entry.student)) for entry in entries if entry.judged.seconds), reverse=True
    )
    came: dict[str, list[datetime.datetime]] = defaultdict(list)
    query = select(RECORDINGS.c.student, RECORDINGS.c.handed_in).where(RECORDINGS.c.assignment == assignment)
    for student, handed_in in book.db.execute(query.distinct()):
        if handed_in:
            came[student].append(parse_utc(handed_in))
    spans = sorted((max(times) - min(times) for times in came.values() if len(times) > 1), reverse=True)
    return TimeReport(tuple(seconds), tuple(spans))


def rough_span(span: datetime.timedelta) -> str:
    """A span in the largest unit of which it has two or more."""
    for unit, seconds in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if span.total_seconds() >= 2 * seconds:
            return f"{span.total_seconds() / seconds:.0f} {unit}"
    return f"{span.total_seconds():.0f} seconds"


def _exercises(entries: Sequence[Entry]) -> tuple[ExerciseReport, ...]:
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    for entry in entries:
        for exercise, verdict in entry.judged.verdicts.items():
            verdicts[exercise].append(verdict)
    in_order = sorted(OUTCOMES, key=lambda outcome: SHADES.index(shade(outcome)))
    reports = [
        ExerciseReport(
            exercise,
            {outcome: count for outcome in in_order if (count := sum(one.outcome == outcome for one in all_of_it))},
            sum(one.points / one.max_points for one in all_of_it if one.max_points) / len(all_of_it),
        )
        for exercise, all_of_it in verdicts.items()
    ]
    return tuple(sorted(reports, key=lambda one: one.mean_share))


def _mistakes(entries: Sequence[Entry], name: Name) -> tuple[MistakeReport, ...]:
    made: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in entries:
        for mistake in _named(entry):
            made[mistake].append(name(entry.student))
    reports = [MistakeReport(*mistake, tuple(sorted(learners))) for mistake, learners in made.items()]
    return tuple(sorted(reports, key=lambda one: (-len(one.learners), one.exercise, one.sentence)))


def _named(entry: Entry) -> list[tuple[str, str]]:
    """The mistakes that the judge knows by name in a submission: (exercise, its sentence)."""
    return [
        (exercise, sentence)
        for exercise, verdict in entry.judged.verdicts.items()
        for sentence in verdict.sentences[: len(verdict.mistakes)]
    ]


def _stuck(ledger: Ledger, entries: Iterable[Entry], name: Name) -> Iterable[Stuck]:
    for entry in entries:
        earlier = ledger.earlier(entry)
        for mistake in _named(entry):
            times = 1
            for before in earlier:  # the latest first
                if mistake not in _named(before):
                    break
                times += 1
            if times > 1:
                yield Stuck(name(entry.student), *mistake, times)


def shade(outcome: str) -> str:
    """Which of the page's four colours an outcome has."""
    if outcome in ("right", "partly"):
        return outcome
    return "none" if outcome in ("untouched", "missing") else "wrong"


def _breakable(name: str) -> Markup:
    """A function's name that may go on in the next line after an underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def report_page(reports: Sequence[AssignmentReport], anonymous: bool) -> str:
    """One HTML page: no script, nothing from any host, everything that came from learners escaped."""
    return template("report.html").render(
        reports=reports,
        anonymous=anonymous,
        outcomes=OUTCOMES,
        bins=BINS,
        shade=shade,
        breakable=_breakable,
        rough_span=rough_span,
    )
