"""What `make mutants` makes of a run: the run itself takes a quarter of an hour and is a command of its own."""

import doctest
import importlib.util
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("mutation_run", Path(__file__).with_name("run.py"))
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)

KILLED = run.Mutant("rules", "gradient_step", "", "killed")
SURVIVED = run.Mutant("rules", "gradient_step", "theta - lr → theta + lr", "survived")
ARGUMENT = run.Argument("rules", "gradient_step", (SURVIVED.change,), "nobody knows")


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(run)
    assert result.failed == 0 and result.attempted >= 3


@pytest.mark.parametrize("module", run.MODULES)
def test_every_argument_is_about_code_that_still_stands_there(module, root):
    source = " ".join(line.strip() for line in (root / "gdlab" / f"{module}.py").read_text("utf-8").splitlines())
    for argument in run.read_arguments(run.ARGUMENTS):
        if argument.module == module:
            assert argument.why and argument.changes
            for change in argument.changes:
                assert change.split(" → ")[0] in source, f"{argument.function} no longer says {change!r}"


def test_a_module_with_its_decorators_spelled_out_computes_the_same(root):
    from gdlab.schedules import warmup_cosine

    names = {"__name__": "spelled_out"}
    exec(run.spell_out_decorators((root / "gdlab" / "schedules.py").read_text("utf-8")), names)
    settings = {"peak_lr": 0.5, "warmup_steps": 3, "total_steps": 10, "floor_lr": 0.1}
    assert [names["warmup_cosine"](t, **settings) for t in range(12)] == [
        warmup_cosine(t, **settings) for t in range(12)
    ]
    with pytest.raises(ValueError, match="Steps count from 0"):
        names["warmup_cosine"](-1, **settings)


def test_a_survivor_needs_an_argument_and_an_argument_needs_a_survivor():
    assert run.complaints([KILLED, SURVIVED], [ARGUMENT]) == []
    (complaint,) = run.complaints([KILLED, SURVIVED], [])
    assert "gdlab.rules.gradient_step survives" in complaint and SURVIVED.change in complaint
    (complaint,) = run.complaints([KILLED], [ARGUMENT])
    assert "did not survive" in complaint
    (complaint,) = run.complaints([run.Mutant("rules", "leaves", "a → b", "no tests")], [])
    assert "could not be judged (no tests)" in complaint


def test_two_survivors_alike_need_two_arguments():
    (complaint,) = run.complaints([SURVIVED, SURVIVED], [ARGUMENT])
    assert "survives" in complaint


def test_the_page_counts_every_mutant_and_shows_every_survivor():
    page = run.page([KILLED, KILLED, SURVIVED], [ARGUMENT], minutes=3.2, processes=2)
    assert "| rules | 3 | 2 | 0 | 1 | 0 |" in page and "| all | 3 | 2 | 0 | 1 | 0 |" in page
    assert "`gradient_step`: nobody knows\n\n- `theta - lr` → `theta + lr`" in page
    assert "Without an argument: `rules.gradient_step`" in run.page([SURVIVED], [], minutes=3.2, processes=2)
