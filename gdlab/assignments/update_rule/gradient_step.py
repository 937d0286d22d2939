"""gradient_step(theta, grad, lr) -> theta: one step against the gradient."""

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.assignments.update_rule._picture import PICTURE_LR, PICTURE_STEPS, walks_on_the_bowl
from gdlab.judge.answer import Answer
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part
from gdlab.objectives import bowl
from gdlab.rules import gradient_step


def _step_cases(rng):
    def case(part, shape):
        theta, grad = signed(rng, 1, 5, shape), signed(rng, 0.5, 4, shape)
        if shape is None:
            theta, grad = float(theta), float(grad)
        return Case(part, {"theta": theta, "grad": grad, "lr": float(rng.uniform(0.05, 0.4))})

    return [case("number", None), case("number", None), case("array", 3), case("array", 5), case("array", (2, 3))]


def _step_in_place_on_a_copy(theta, grad, lr):
    moved = np.array(theta, dtype=float)
    moved -= lr * np.asarray(grad)
    return moved


def _step_by_loop(theta, grad, lr):
    moved = np.array(theta, dtype=float)
    for i in np.ndindex(moved.shape):
        moved[i] = moved[i] - lr * np.asarray(grad)[i]
    return moved


def _step_in_torch(theta, grad, lr):
    import torch

    return torch.as_tensor(theta) - lr * torch.as_tensor(grad)


def _path_of_steps(answer: Answer) -> list[float]:
    """Where the learner's step leads on the bowl, from the book's start."""
    path = [bowl.start]
    for _ in range(PICTURE_STEPS):
        came = answer({"theta": path[-1], "grad": bowl.grad(path[-1]), "lr": PICTURE_LR}).value
        if not is_numeric(came) or np.size(came) != 1:
            break
        path.append(float(np.asarray(came).item()))
    return path


EXERCISE = Exercise(
    name="gradient_step",
    version=1,
    reference=gradient_step,
    cases=_step_cases,
    parts=(
        Part("number", "one parameter", 1),
        Part("array", "an array of parameters", 1),
        Part("unchanged", "the caller's theta stays as it was", 1),
    ),
    mistakes=(
        Mistake(
            "adds-the-gradient",
            lambda theta, grad, lr: theta + lr * grad,
            "You moved uphill; which way does a gradient point?",
        ),
        Mistake("forgets-lr", lambda theta, grad, lr: theta - grad, "Doubling lr changes nothing in your step."),
        Mistake(
            "assigns-the-step", lambda theta, grad, lr: -lr * grad, "The old position is lost; compare =- with -=."
        ),
        Mistake(
            "returns-only-the-step", lambda theta, grad, lr: lr * grad, "That is how far to move; where do you arrive?"
        ),
        Mistake(
            "lr-outside-bracket",
            lambda theta, grad, lr: lr * (theta - grad),
            "lr shrinks theta as well; look at your brackets.",
        ),
        Mistake(
            "sign-only",
            lambda theta, grad, lr: theta - lr * np.sign(grad),
            "Steep and flat slopes move you equally far.",
        ),
        Mistake(
            "one-slope-for-all",
            lambda theta, grad, lr: theta - lr * np.mean(grad),
            "All coordinates moved alike, yet each has its own slope.",
        ),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative("ufuncs", lambda theta, grad, lr: np.add(theta, np.multiply(-lr, grad))),
        Alternative("loop over entries", _step_by_loop),
        Alternative("in place on a copy", _step_in_place_on_a_copy),
        Alternative("torch tensors", _step_in_torch),
        Alternative("float32", lambda theta, grad, lr: np.float32(theta) - np.float32(lr) * np.float32(grad)),
        Alternative("returns a list", lambda theta, grad, lr: np.subtract(theta, lr * np.asarray(grad)).tolist()),
    ),
    notice="Notice that one line serves a single number and a whole matrix: every parameter takes its own step.",
    axes=("entry", "column"),
    picture=lambda answer: walks_on_the_bowl(_path_of_steps(answer)),
)
