"""The audit finds what is wrong with an exercise: each fault is put in, and must be reported."""

from dataclasses import replace

import numpy as np
import pytest

from gdlab.assignments import find_exercise
from gdlab.audit.audit import audit
from gdlab.audit.run import chosen
from gdlab.audit.solutions import NoSolution, Solution, solution_of
from gdlab.judge.exercise import Alternative, Mistake

STEP = find_exercise("gradient_step")
SOLUTION = Solution(
    ("gradient_step",),
    {"gradient_step": "def gradient_step(theta, grad, lr):\n    return theta - lr * grad"},
    {"np": np},
)


def misses(exercise=STEP, solution=SOLUTION, rounds=8):
    return audit("update_rule", exercise, solution, rounds).misses


def test_a_sound_exercise_has_no_misses_and_its_counts_add_up():
    audited = audit("update_rule", STEP, SOLUTION, rounds=8)
    assert audited.misses == ()
    assert audited.named == audited.mistakes == len(STEP.mistakes)
    assert audited.accepted == audited.alternatives == len(STEP.alternatives) + 2
    assert audited.refused == audited.lazy >= 15
    assert audited.killed + audited.equivalent == audited.mutants >= 4


def test_two_names_for_one_mistake_are_found():
    twin = replace(STEP.mistakes[0], name="goes-uphill")
    assert any(
        "adds-the-gradient is wrong, called" in miss for miss in misses(replace(STEP, mistakes=(*STEP.mistakes, twin)))
    )


def test_a_mistake_that_is_right_is_found():
    right = Mistake("is-right", STEP.reference, "There is nothing wrong with this.")
    assert any("The mistake is-right is right" in miss for miss in misses(replace(STEP, mistakes=(right,))))


def test_a_right_answer_that_is_refused_is_found():
    rough = Alternative("half precision", lambda theta, grad, lr: np.float16(theta) - np.float16(lr) * np.float16(grad))
    assert any(
        "A right answer, the alternative 'half precision'" in m for m in misses(replace(STEP, alternatives=(rough,)))
    )


def test_points_for_a_lazy_answer_are_found():
    generous = replace(STEP, tolerance=10.0, mistakes=(), alternatives=())
    assert any("An answer that returns its first input gets" in miss for miss in misses(generous))


def test_a_mutant_that_is_accepted_is_found_unless_it_is_argued():
    exercise = find_exercise("descend")
    source = "def descend(grad_fn, theta, lr, steps):\n    lr = lr * 1.0 + 0.0 * steps\n    path = [theta]\n    for _ in range(steps):\n        path.append(path[-1] - lr * grad_fn(path[-1]))\n    return path"
    solution = Solution(("descend",), {"descend": source}, {"np": np})
    survivors = misses(exercise, solution)
    assert any("0.0 * steps' is accepted" in miss for miss in survivors), survivors
    change = next(miss for miss in survivors if "- 0.0" in miss).split("'")[1]
    argued = replace(exercise, equivalent_mutants={change: "Nothing times anything is nothing."})
    assert not any(change in miss for miss in misses(argued, solution))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("return theta - lr * grad → return theta + lr * grad", "declared equivalent, but it is rejected"),
        ("return 1 → return 2", "the solution has no such mutant"),
    ],
)
def test_a_false_argument_for_a_mutant_is_found(change, says):
    assert any(says in miss for miss in misses(replace(STEP, equivalent_mutants={change: "No reason."})))


def test_names_are_exercises_or_assignments():
    assert ("update_rule", "descend") in chosen(["update_rule"]) and chosen(["descend"]) == [("update_rule", "descend")]
    with pytest.raises(LookupError, match="no assignment and no exercise 'nope'"):
        chosen(["descend", "nope"])


def test_a_notebook_without_the_function_is_named(root):
    exercise = replace(STEP, functions=("climb",))
    with pytest.raises(NoSolution, match="update_rule.ipynb defines no function climb"):
        solution_of(exercise, root / "solutions" / "update_rule" / "update_rule.ipynb")
