"""The page "Add your own exercise", done as it says: two files, and nothing else touched."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

BLOCK = re.compile(r"```\{code-block\} python\n:caption: (\S+)\n(.*?)```", re.DOTALL)
COMMANDS = re.compile(r"```bash\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def page(root) -> str:
    return (root / "book" / "add-your-own-exercise.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def course(root, page, tmp_path_factory):
    """A copy of the course with the two files of the page."""
    course = tmp_path_factory.mktemp("course")
    shutil.copytree(root / "gdlab", course / "gdlab", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(root / "_config.yml", course / "_config.yml")
    (course / "book").mkdir()
    files = dict(BLOCK.findall(page))
    assert list(files) == ["gdlab/assignments/averages.py", "make_notebook.py"]
    for path, text in files.items():
        (course / path).write_text(text, encoding="utf-8")
    subprocess.run([sys.executable, "make_notebook.py"], cwd=course, check=True)
    return course


def gdlab(course, *arguments):
    return subprocess.run(
        [sys.executable, "-c", "from gdlab.cli import main; main()", *arguments],
        cwd=course,
        env=os.environ | {"PYTHONPATH": str(course), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_commands_of_the_page_work_on_the_two_files(course, page):
    commands = [line.split()[1:] for block in COMMANDS.findall(page) for line in block.splitlines()]
    assert [command[0] for command in commands] == ["audit", "release"]
    for command in commands:
        rounds = ["--rounds", "10", "--workers", "1"] if command[0] == "audit" else []
        done = gdlab(course, *command, *rounds)
        assert done.returncode == 0, done.stdout + done.stderr
    released = nbformat.read(course / "exercises" / "averages" / "averages.ipynb", as_version=4)
    assert "total" not in "".join(cell.source for cell in released.cells)


def test_a_learner_is_judged_on_it(course):
    notebook = course / "solutions" / "averages" / "averages.ipynb"
    right = gdlab(course, "check", str(notebook))
    assert right.returncode == 0 and "average_path: Right: 4 of 4 points" in right.stdout, right.stdout + right.stderr
    book = nbformat.read(notebook, as_version=4)
    book.cells[2].source = "def average_path(path):\n    return sum(path)"
    nbformat.write(book, course / "averages.ipynb")
    wrong = gdlab(course, "check", "averages.ipynb")
    assert wrong.returncode == 1 and "Longer paths lie farther out in yours: divide." in wrong.stdout
