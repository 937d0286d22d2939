"""The house's own rules, as far as a program can check them."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("rule", [["check"], ["format", "--check"]], ids=" ".join)
def test_the_code_reads_as_one_hand_wrote_it(rule, root):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *rule, "--no-cache", "gdlab", "tests"], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{done.stdout}\nRun: ruff check --fix; ruff format"


READ_BY_PEOPLE = (
    "README.md",
    "_config.yml",
    "Makefile",
    "book",
    "exercises",
    "solutions",
    "benchmarks",
    "gdlab",
    "tests",
)


def test_words_are_spelled_as_the_dictionaries_have_them(root):
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", *READ_BY_PEOPLE], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, (
        f"{done.stdout}{done.stderr}\nA word that is right after all: [tool.codespell] in pyproject.toml."
    )
