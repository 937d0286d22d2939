"""The table of signatures says what the functions are, all of them, and its corners are where it says."""

import importlib
import inspect
import re
from functools import partial
from pathlib import Path

import pytest

from gdlab import rules, schedules

TEXT = (Path(rules.__file__).parent / "conventions.md").read_text()
SECTIONS = {title: body for title, body in re.findall(r"^## (.+)\n((?:(?!^## ).*\n?)*)", TEXT, re.MULTILINE)}


def rows(section):
    """The cells of a section's tables, without their headings."""
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def signatures(section):
    """name -> the parameters between its brackets, of every table row that starts with a signature."""
    calls = [re.fullmatch(r"`([\w.]+)\((.*)\)`.*", row[0]) for row in rows(section)]
    return {call[1]: call[2] for call in calls if call}


def public_functions(module):
    return {
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    }


def parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def as_written(text):
    return parameters(eval(f"lambda {text}: 0", {"inf": float("inf")}))


@pytest.mark.parametrize(("section", "module"), [("Rules", rules), ("Schedules", schedules)])
def test_every_function_is_in_the_table_and_the_table_has_no_other(section, module):
    assert set(signatures(section)) == public_functions(module)


@pytest.mark.parametrize(
    ("module", "name", "written"),
    [
        (module, *entry)
        for section, module in (("Rules", rules), ("Schedules", schedules))
        for entry in signatures(section).items()
    ],
    ids=lambda value: value if isinstance(value, str) and "," not in value else "",
)
def test_a_signature_is_the_functions(module, name, written):
    assert as_written(written) == parameters(getattr(module, name))


def test_the_other_modules_signatures_are_theirs():
    modules = [importlib.import_module(f"gdlab.{name}") for name in ("batching", "counting", "loop", "diagnose")]
    for name, written in signatures("Batching, counting, loop, diagnose").items():
        [owner] = [module for module in modules if hasattr(module, name.split(".")[0])]
        function = owner
        for part in name.split("."):
            function = getattr(function, part)
        assert as_written(written) == parameters(function), name


def test_a_rules_state_is_what_the_table_says():
    for cells in rows("Rules"):
        name = cells[0].strip("`").split("(")[0]
        if name in (
            "gradient_descent",
            "momentum",
            "momentum_ema",
            "nesterov",
            "adagrad",
            "rmsprop",
            "adam",
            "adam_l2",
            "adamw",
            "lion",
            "muon",
            "schedule_free_sgd",
            "schedule_free_adamw",
        ):
            rule = getattr(rules, name)()
            state = re.sub(r", from .*", "", cells[2])
            assert state == (", ".join(rule.state_names) or "none"), name
            assert cells[3] == (", ".join(rule.scalar_names) or "none"), name


SETTINGS = {
    "constant": {"base_lr": 0.8},
    "linear_warmup": {"peak_lr": 0.8, "warmup_steps": 6, "start_lr": 0.1},
    "cosine_decay": {"peak_lr": 0.8, "total_steps": 10, "floor_lr": 0.1},
    "linear_decay": {"peak_lr": 0.8, "total_steps": 10, "floor_lr": 0.1},
    "polynomial_decay": {"peak_lr": 0.8, "total_steps": 10, "power": 2.0, "floor_lr": 0.1},
    "warmup_cosine": {"peak_lr": 0.8, "warmup_steps": 4, "total_steps": 15, "start_lr": 0.05, "floor_lr": 0.1},
    "wsd": {"peak_lr": 0.8, "warmup_steps": 3, "stable_steps": 4, "decay_steps": 5, "floor_lr": 0.1},
    "one_cycle": {
        "peak_lr": 0.8,
        "total_steps": 20,
        "warmup_fraction": 0.25,
        "start_divisor": 10.0,
        "end_divisor": 7.0,
    },
    "step_decay": {"base_lr": 0.8, "milestones": [3, 5, 10], "factor": 0.3},
    "exponential_decay": {"base_lr": 0.8, "factor": 0.3, "every": 7},
    "inverse_time": {"base_lr": 0.8, "decay": 0.2},
    "inverse_sqrt": {"peak_lr": 0.8, "warmup_steps": 5},
    "cyclic": {"peak_lr": 0.8, "up_steps": 4, "down_steps": 3, "floor_lr": 0.1},
    "cosine_restarts": {"peak_lr": 0.8, "first_cycle": 6, "growth": 2, "floor_lr": 0.1},
    "join": {
        "first": partial(schedules.linear_warmup, peak_lr=0.8, warmup_steps=4, start_lr=0.3),
        "second": partial(schedules.constant, base_lr=0.5),
        "boundary": 4,
    },
}


def corners(name):
    [cells] = [row for row in rows("End points of the schedules") if row[0].strip("`") == name]
    return [eval(cell.strip("`"), SETTINGS[name] | {"len": len}) if cell else None for cell in cells[1:6]]


def test_the_corners_of_every_schedule_are_in_the_table():
    assert {row[0].strip("`") for row in rows("End points of the schedules")} == public_functions(schedules)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_schedules_corners_are_where_the_table_says(name):
    schedule = partial(getattr(schedules, name), **SETTINGS[name])
    first, turn, there, end, held = corners(name)
    assert schedule(0) == pytest.approx(first, rel=1e-12)
    if turn is not None:
        assert schedule(turn) == pytest.approx(there, rel=1e-12)
        assert schedule(turn + 1) != pytest.approx(there, rel=1e-3) or name in ("step_decay", "join")
        assert schedule(turn - 1) != pytest.approx(there, rel=1e-3) or name == "wsd"
    if end is not None:
        assert [schedule(end), schedule(end + 1), schedule(10 * end)] == pytest.approx([held] * 3, rel=1e-12)
        assert end == 0 or schedule(end - 1) != pytest.approx(held, rel=1e-3)
    else:
        assert name == "join" or schedule(100) != pytest.approx(schedule(101), rel=1e-4)
