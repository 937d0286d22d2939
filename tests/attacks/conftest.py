"""A family of the corpus, graded once by each runner, in a world full of decoys."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the corpus, and what hands it in, lie beside the tests

pytest.register_assert_rewrite("checks")

from grading import RUNNERS, grade  # noqa: E402
from world import World  # noqa: E402


def pytest_generate_tests(metafunc):
    """A test of a case is one of each case of its module."""
    cases = getattr(metafunc.module, "CASES", ())
    if cases and "case" in metafunc.fixturenames:
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.fixture(scope="module")
def world():
    """What a submission that got out would find."""
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="module")
def classes(request, tmp_path_factory, world):
    """classes(runner) -> what came of the module's cases; each runner grades them once."""
    done = {}

    def classes(runner: str):
        if runner not in done:
            done[runner] = grade(request.module.CASES, tmp_path_factory.mktemp(runner), world, runner)
        return done[runner]

    return classes


@pytest.fixture(scope="module", params=RUNNERS)
def graded(request, classes):
    """What came of the module's cases."""
    return classes(request.param)
