"""Deadlines: when each assignment is due, who has longer, and in which zone that is said.

Due dates and extensions are nbgrader's own (`assignment.duedate`, `submitted_assignment.extension`), so formgrader and
nbgrader's commands have the same ones. Its database holds times in UTC and does not say so; every time that
enters or leaves here names its zone. What they mean for the points, `gdlab grade` works out next time, without running
any notebook again.
"""

import datetime
import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dateutil import tz
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.preprocessors import AssignLatePenalties
from traitlets.config import Config

from gdlab.assignments import assignments
from gdlab.grading.course import course_directory, enter_assignment, gradebook, nbgrader_log
from gdlab.grading.database import file_of
from gdlab.grading.late import spelled_penalty

UTC = datetime.UTC
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(m|h|d|w)[a-z]*")
NOTHING = ("none", "never", "0")


class BadDeadline(ValueError):
    """A deadline or extension that cannot be set; the message says why, and what can."""


@dataclass(frozen=True)
class Deadline:
    """One assignment's deadline.

    Attributes:
        due: with its zone; None where there is none.
        extensions: by learner.
        late: how many have handed in after their own deadline.
    """

    assignment: str
    due: datetime.datetime | None
    extensions: dict[str, datetime.timedelta]
    late: int


@contextmanager
def open_class(out: Path, solutions: Path, assignment: str = "") -> Iterator[Gradebook]:
    """The gradebook of a class, which need not have been graded yet; an assignment that is not in it is entered.

    What is changed in it is kept if all goes well, and nothing of it otherwise.

    Raises:
        BadDeadline: if there is no such assignment, or no class and none to begin it with.
        CannotRelease: if the assignment's source notebook is broken.
    """
    if assignment and assignment not in assignments():
        raise BadDeadline(f"There is no assignment {assignment!r}; there is {', '.join(assignments())}.")
    course = course_directory(out, solutions)
    file = file_of(course.db_url)
    if file and not file.is_file() and not assignment:
        raise BadDeadline(
            f"There is no gradebook in {out}; name its folder with --out, or make one: gdlab class {out}."
        )
    out.mkdir(parents=True, exist_ok=True)
    with nbgrader_log(), gradebook(course) as book:
        if assignment and assignment not in {one.name for one in book.assignments}:
            enter_assignment(course, assignment)
        yield book
        book.db.commit()


def deadlines(book: Gradebook) -> list[Deadline]:
    """The deadlines of all assignments that the gradebook has, by name."""
    found = []
    for one in sorted(book.assignments, key=lambda one: one.name):
        came = sorted(one.submissions, key=lambda row: row.student.id)
        extensions = {row.student.id: row.extension for row in came if row.extension}
        due = one.duedate and one.duedate.replace(tzinfo=UTC)
        found.append(Deadline(one.name, due, extensions, sum(row.total_seconds_late > 0 for row in came)))
    return found


def set_due(book: Gradebook, assignment: str, due: datetime.datetime | None) -> None:
    """Set when an assignment is due, or with None that it never is; then nobody can have longer, either.

    Raises:
        BadDeadline: if the gradebook has no such assignment.
    """
    row = _assignment(book, assignment)
    row.duedate = due and due.astimezone(UTC).replace(tzinfo=None)
    if due is None:
        for submission in row.submissions:  # nbgrader adds them to the due date, whether there is one or not
            submission.extension = None


def extend(book: Gradebook, assignment: str, learner: str, span: datetime.timedelta, submitted: Path) -> None:
    """Give one learner longer than the class; a span of nothing takes it back.

    Args:
        submitted: where learners are looked for whom the gradebook does not know yet.

    Raises:
        BadDeadline: if the assignment has no deadline, or nobody knows the learner.
    """
    if _assignment(book, assignment).duedate is None:
        raise BadDeadline(f"{assignment} has no deadline to extend; set one first: gdlab deadline {assignment} WHEN.")
    _known(book, learner, submitted)
    book.update_or_create_student(learner)  # who may have handed nothing in yet
    book.update_or_create_submission(assignment, learner).extension = span or None


def _assignment(book: Gradebook, name: str):
    try:
        return book.find_assignment(name)
    except MissingEntry:
        known = ", ".join(one.name for one in book.assignments) or "none"
        raise BadDeadline(f"The gradebook has no assignment {name!r}; it has {known}.") from None


def _known(book: Gradebook, learner: str, submitted: Path) -> None:
    known = {student.id for student in book.students}
    if submitted.is_dir():
        known |= {folder.name for folder in submitted.iterdir() if folder.is_dir()}
    if learner not in known:
        close = difflib.get_close_matches(learner, known, n=3)
        meant = f"Did you mean {' or '.join(close)}? " if close else ""
        raise BadDeadline(
            f"Nobody called {learner!r} is in the gradebook or has handed anything in. {meant}"
            f"To enter a new learner: nbgrader db student add {learner}"
        )


def moment(text: str, zone: str | None = None) -> datetime.datetime:
    """A moment as typed, with its zone.

    Args:
        text: as in "2026-12-01 18:00", "2026-12-01 18:00 Europe/Berlin", "2026-12-01T18:00+01:00".
        zone: of a text that names none; this machine's by default.

    Raises:
        BadDeadline: if it is no such thing.
    """
    written, named = text.strip(), zone
    if (parts := written.split()) and len(parts) == 3:
        written, named = " ".join(parts[:2]), parts[2]
    try:
        when = datetime.datetime.fromisoformat(written)
    except ValueError:
        raise BadDeadline(f"{text!r} is no date and time; write it as 2026-12-01 18:00.") from None
    if ":" not in written:
        raise BadDeadline(f"{text!r} says no time of day; write it as {when:%Y-%m-%d} 23:59.")
    return when if when.tzinfo else when.replace(tzinfo=time_zone(named))


def time_zone(name: str | None) -> datetime.tzinfo:
    """A time zone by its name (Europe/Berlin, UTC); this machine's where none is named."""
    zone = tz.gettz(name) if name else tz.tzlocal()
    if zone is None:
        raise BadDeadline(f"There is no time zone {name!r}; write it as UTC or Europe/Berlin.")
    return zone


def span(text: str) -> datetime.timedelta:
    """A length of time as typed.

    >>> span("1d 12h")
    datetime.timedelta(days=1, seconds=43200)

    Raises:
        BadDeadline: if it is no such thing.
    """
    if text.strip() in NOTHING:
        return datetime.timedelta()
    parts = SPAN.findall(text)
    if not parts or SPAN.sub("", text).strip():
        raise BadDeadline(
            f"{text!r} is no length of time; write it as 48h, 2d, 90m or 1d 12h, and none to take it back."
        )
    return sum((datetime.timedelta(**{UNITS[unit]: float(much)}) for much, unit in parts), datetime.timedelta())


def spelled_moment(when: datetime.datetime | None, zone: datetime.tzinfo) -> str:
    """A moment in a zone, and in UTC beside it where that is another."""
    if when is None:
        return "never"
    there, utc = when.astimezone(zone), when.astimezone(UTC)
    written = f"{there:%Y-%m-%d %H:%M} {there.tzname()}"
    return written if there.utcoffset() == utc.utcoffset() else f"{written} ({utc:%Y-%m-%d %H:%M} UTC)"


def spelled_span(much: datetime.timedelta) -> str:
    """A length of time as it can be typed."""
    minutes = round(much.total_seconds() / 60)
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    return " ".join(f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if count) or "0m"


def penalty_in_words(settings: Config) -> str:
    """What lateness costs in a class with these settings of nbgrader's."""
    step = AssignLatePenalties(config=settings)
    step.init_plugin()
    return spelled_penalty(step.plugin_inst)
