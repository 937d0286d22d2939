"""A folder for a class: its gradebook, the assignments released for nbgrader, and the settings that nbgrader's commands need.

FOLDER/nbgrader_config.py     which course this is, where the sources and the exchange are, who names downloaded files
FOLDER/gradebook.db           with every assignment, so that deadlines can be set before anybody hands anything in
FOLDER/release/               what `nbgrader release_assignment` gives out
FOLDER/submitted/             what `nbgrader collect` and `nbgrader zip_collect` fill, and `gdlab grade` reads
"""

import re
from pathlib import Path

from gdlab.assignments import assignments
from gdlab.grading.course import course_directory, enter_assignment, gradebook, nbgrader_log
from gdlab.grading.recording import write_whole

COLLECTORS = {"canvas": "CanvasCollector", "moodle": "MoodleCollector"}
NAME = re.compile(r"[\w.-]+")
HEAD = "# Settings for nbgrader's own commands, which read them when they are run in this folder. Yours to edit.\nc = get_config()\n"


class BadClass(ValueError):
    """Such a class cannot be made; the message says why."""


def make_class(folder: Path, solutions: Path, course: str, exchange: Path | None, lms: str) -> list[str]:
    """Make a class's folder, or what is missing of it; settings that are there stay as they are.

    Args:
        solutions: the instructor's source notebooks.
        course: by which the exchange tells courses apart.
        exchange: the folder that the learners' accounts share with the instructor's, where there is one.
        lms: whose archives `nbgrader zip_collect` shall read: canvas, moodle, or "".

    Returns:
        The assignments that it has.

    Raises:
        BadClass: if the course has an impossible name.
        CannotRelease: if a source notebook is broken.
    """
    if not NAME.fullmatch(course):
        raise BadClass(f"{course!r} cannot name a course: letters, digits, dots, - and _ can.")
    folder.joinpath("submitted").mkdir(parents=True, exist_ok=True)
    settings = folder / "nbgrader_config.py"
    if not settings.exists():
        write_whole(settings, _settings(solutions, course, exchange, lms))
    directory = course_directory(folder, solutions)
    with nbgrader_log(), gradebook(directory):
        for assignment in assignments():
            enter_assignment(directory, assignment)
    return list(assignments())


def _settings(solutions: Path, course: str, exchange: Path | None, lms: str) -> str:
    chosen = {"CourseDirectory.course_id": course, "CourseDirectory.source_directory": str(solutions)}
    if exchange:
        chosen["Exchange.root"] = str(exchange.resolve())
    if lms:
        chosen["ZipCollectApp.collector_plugin"] = f"gdlab.grading.downloads.{COLLECTORS[lms]}"
    return HEAD + "".join(f"c.{name} = {value!r}\n" for name, value in chosen.items())
