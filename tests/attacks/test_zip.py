"""An archive of submissions with paths that lead out of it, collected by nbgrader's own command."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ESCAPES = ("../../../../written", "/tmp/gdlab-zip-written", "downloaded/../../../../written", "..\\..\\written")


@pytest.fixture
def course(tmp_path):
    """A course with an archive of downloads: one sound notebook, and members that want to lie elsewhere."""
    folder = tmp_path / "a" / "b" / "course"
    archive = folder / "downloaded" / "update_rule" / "archive"
    archive.mkdir(parents=True)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as hostile:
        hostile.writestr("student_update_rule_attempt_2026-11-20-10-00-00_update_rule.ipynb", "{}")
        for name in ESCAPES:
            hostile.writestr(name, "got out")
    (archive / "downloads.zip").write_bytes(content.getvalue())
    return folder


def strangers(tmp_path: Path, course: Path) -> list[Path]:
    """The files outside the course's folder."""
    found = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(course)]
    return found + [path for path in [Path("/tmp/gdlab-zip-written")] if path.exists()]


def test_nothing_is_written_outside_the_course(course, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "zip_collect", "update_rule", "--force"],
        cwd=course,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Extracting" in done.stdout + done.stderr, done.stderr
    assert strangers(tmp_path, course) == []


def test_a_reader_that_joins_paths_would_have_written_there(course, tmp_path):
    with zipfile.ZipFile(course / "downloaded" / "update_rule" / "archive" / "downloads.zip") as hostile:
        target = course / "downloaded" / "update_rule" / "extracted"
        target.mkdir()
        (target / ESCAPES[0]).resolve().write_bytes(hostile.read(ESCAPES[0]))
    assert strangers(tmp_path, course)
