"""Whose a downloaded submission is: collectors for `nbgrader zip_collect` that read file names as Canvas and Moodle make them.

Canvas    doejane_12345_67890_update_rule.ipynb, doejane_LATE_12345_67890_update_rule.ipynb
          name, whether it was late, the learner's id, the file's id; "anon_" and a code where marking is anonymous
Moodle    Jane Doe_98765_assignsubmission_file/update_rule.ipynb, Jane Doe_98765_assignsubmission_file_update_rule.ipynb
          name and participant number; in folders, which is Moodle's default, or all in one

    nbgrader zip_collect update_rule --collector=gdlab.grading.downloads.CanvasCollector

Canvas's id belongs to a learner for good, so a learner is called doejane_12345, and `gdlab export --format canvas` names
that id. Moodle's number belongs to a learner *in one assignment*, so a learner goes by name, and only namesakes
get their numbers. Neither archive says when anything was handed in: what is late, Canvas and Moodle deduct themselves.

Sources: canvas-lms, lib/content_zipper.rb; moodle, mod/assign/classes/downloader.php; nbgrader's "Managing assignment files manually".
"""

import atexit
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nbgrader.api import Gradebook
from nbgrader.plugins import FileNameCollectorPlugin

from gdlab.grading.course import gradebook

CANVAS = re.compile(
    r"(?:(?!(?:LATE_)?anon_)(?P<name>\w+?)_)?(?P<late>LATE_)?(?P<learner>\d+|anon_[^\W_]+)_\d+_(?P<file>.+)"
)
MOODLE = re.compile(r"(?P<name>[^_]+)_(?P<participant>\d+)_assignsubmission_file(?:_(?P<file>.*))?")
COPY = re.compile(r"(?:-\d+| ?\(\d+\))$")
"""What Canvas and browsers add to the name of a file that was handed in, or downloaded, again."""


@dataclass(frozen=True)
class Handed:
    """A submitted file whose name was understood: the learner, the notebook's name, the LMS's id of the learner."""

    learner: str
    notebook: str
    lms_id: str = ""
    late: bool = False


def from_canvas(path: Path) -> Handed | None:
    """Whose a file from Canvas is; None if its name is not one that Canvas makes."""
    found = _outermost(CANVAS, path)
    if found is None:
        return None
    learner = "_".join(filter(None, (found["name"], found["learner"])))
    lms_id = "" if found["learner"].startswith("anon_") else found["learner"]
    return Handed(learner, _notebook(found, path), lms_id, late=bool(found["late"]))


def from_moodle(path: Path, namesakes: Collection[str] = ()) -> Handed | None:
    """Whose a file from Moodle is; None if its name is not one that Moodle makes.

    Args:
        namesakes: the names that several learners have, who are told apart by number.
    """
    found = _outermost(MOODLE, path)
    if found is None:
        return None
    name = found["name"].strip()
    return Handed(f"{name} {found['participant']}" if name in namesakes else name, _notebook(found, path))


def moodle_namesakes(paths: Iterable[Path]) -> frozenset[str]:
    """The learners' names that come with several numbers among files and folders of one archive."""
    found = filter(None, (_outermost(MOODLE, path) for path in paths))
    learners = Counter(name for name, _ in {(one["name"].strip(), one["participant"]) for one in found})
    return frozenset(name for name, count in learners.items() if count > 1)


def _outermost(pattern: re.Pattern, path: Path) -> re.Match | None:
    """The outermost of a file and the folders around it, with a name that an LMS made: archives are unpacked into folders.

    What lies deeper in an archive was named by the learner, who may have named it like somebody else's.
    """
    if any(part.startswith((".", "__MACOSX")) for part in path.parts[-3:]):
        return None
    return next(filter(None, map(pattern.fullmatch, _below_extracted(path.parts))), None)


def _below_extracted(parts: Sequence[str]) -> Sequence[str]:
    """The parts of a path below the folder into which nbgrader unpacks, downloaded/<assignment>/extracted."""
    for at in range(2, len(parts)):
        if parts[at] == "extracted" and parts[at - 2] == "downloaded":
            return parts[at + 1 :]
    return parts


def _notebook(found: re.Match, path: Path) -> str:
    """The notebook's name as the learner knew it, without its ending."""
    given = found["file"] if found.string == path.name and found["file"] else path.name
    return COPY.sub("", Path(given).stem)


class _Collector(FileNameCollectorPlugin):
    """Hands nbgrader what a file's name says; files of one learner with one name are kept apart."""

    def collect(self, submitted_file: str) -> dict | None:
        path = Path(submitted_file)
        handed = self.read(path) if path.suffix in self.valid_ext else None
        if handed is None:
            return None
        key, count = (handed.learner, handed.notebook), 0
        while (name := f"{handed.notebook}-{count}" if count else handed.notebook) in self._taken.setdefault(
            key, set()
        ):
            count += 1
        self._taken[key].add(name)
        if count:
            self.log.warning(f"{handed.learner} handed in two files called {handed.notebook}; one is kept as {name}.")
        return {"student_id": handed.learner, "file_id": f"{name}{path.suffix}"}

    def read(self, path: Path) -> Handed | None:
        raise NotImplementedError

    @cached_property
    def _taken(self) -> dict[tuple[str, str], set[str]]:
        return {}


class CanvasCollector(_Collector):
    """For the archive that Canvas's "Download Submissions" makes; enters each learner's Canvas id in the gradebook."""

    def read(self, path: Path) -> Handed | None:
        handed = from_canvas(path)
        if handed and handed.lms_id:
            self._gradebook.update_or_create_student(handed.learner, lms_user_id=handed.lms_id)
        if handed and handed.late:
            self.log.warning(f"{handed.learner} is late, says Canvas; its archive does not say by how much.")
        return handed

    @cached_property
    def _gradebook(self) -> Gradebook:
        stack = ExitStack()
        atexit.register(stack.close)
        return stack.enter_context(gradebook(self.parent.coursedir))


class MoodleCollector(_Collector):
    """For the archive that Moodle's "Download all submissions" makes, with folders or without."""

    def read(self, path: Path) -> Handed | None:
        return from_moodle(path, self._namesakes)

    @cached_property
    def _namesakes(self) -> frozenset[str]:
        extracted = Path(self.parent._format_collect_path(self.parent.extracted_directory))
        return moodle_namesakes(extracted.rglob("*"))
