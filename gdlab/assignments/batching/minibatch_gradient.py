"""minibatch_gradient(theta, X, y, batch) -> (d,): the gradient of a linear model's half squared error over a batch."""

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.batching import minibatch_gradient
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part


def _cases(rng):
    def case(part, n, d, rows):
        """A shuffled batch; unless it is all rows, row 0 is not among them, so it is never simply the first rows."""
        X, y = signed(rng, 0.5, 2, (n, d)), signed(rng, 1, 5, n)
        batch = rng.permutation(n) if rows == n else rng.permutation(np.arange(1, n))[:rows]
        return Case(part, {"theta": signed(rng, 0.5, 2, d), "X": X, "y": y, "batch": batch})

    n = int(rng.integers(6, 9))
    return [
        case("batch", n, 3, 4),
        case("batch", n, 2, 5),
        case("batch", n, 4, 2),
        case("one", n, 3, 1),
        case("one", n, 2, 1),
        case("all", n, 3, n),
        case("all", n, 2, n),
    ]


def _residuals(theta, X, y, batch):
    return X[batch] @ theta - y[batch]


def _loops(theta, X, y, batch):
    total = np.zeros(len(theta))
    for i in batch:
        total = total + (sum(X[i] * theta) - y[i]) * X[i]
    return total / len(batch)


def _in_torch(theta, X, y, batch):
    import torch

    theta = torch.tensor(theta, requires_grad=True)
    errors = torch.as_tensor(X[batch]) @ theta - torch.as_tensor(y[batch])
    (0.5 * errors**2).mean().backward()
    return theta.grad


def _in_float32(theta, X, y, batch):
    inputs, labels = X[batch].astype(np.float32), y[batch].astype(np.float32)
    return inputs.T @ (inputs @ theta.astype(np.float32) - labels) / np.float32(len(batch))


def _normal_equations(theta, X, y, batch):
    inputs = X[batch]
    return (inputs.T @ inputs @ theta - inputs.T @ y[batch]) / len(batch)


def _list_by_coordinate(theta, X, y, batch):
    errors = _residuals(theta, X, y, batch)
    return [float(np.mean(errors * X[batch, j])) for j in range(len(theta))]


def _losses_downhill(gradient) -> list[float]:
    """The loss over all data while going down with batches of 4, a new one each step."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(40, 2))
    y = X @ np.array([2.0, -1.0]) + 0.3 * rng.normal(size=40)
    theta, losses = np.zeros(2), []
    for _ in range(25):
        losses.append(float(np.mean((X @ theta - y) ** 2) / 2))
        grad = gradient({"theta": theta, "X": X, "y": y, "batch": rng.choice(40, 4, replace=False)})
        if not is_numeric(grad) or np.shape(grad) != (2,) or not np.all(np.isfinite(grad)):
            break
        theta = theta - 0.5 * np.asarray(grad)  # a rate at which a sum in place of the mean diverges
    return losses


def _picture(answer: Answer) -> str:
    right = _losses_downhill(lambda inputs: minibatch_gradient(*inputs.values()))
    yours = _losses_downhill(lambda inputs: answer(inputs).value)
    return curve_picture([("right", right), ("yours", yours)], x_label="step", y_label="loss over all rows")


EXERCISE = Exercise(
    name="minibatch_gradient",
    version=1,
    reference=minibatch_gradient,
    cases=_cases,
    parts=(
        Part("batch", "a batch of several rows", 1),
        Part("one", "a batch of one row", 1),
        Part("all", "a batch of all rows", 1),
        Part("unchanged", "the caller's arrays stay as they were", 1),
    ),
    mistakes=(
        Mistake(
            "sum-not-mean",
            lambda theta, X, y, batch: X[batch].T @ _residuals(theta, X, y, batch),
            "Twice the batch gives you twice the gradient: average over the batch, so that a step's length does not depend on its size.",
        ),
        Mistake(
            "divides-by-all",
            lambda theta, X, y, batch: X[batch].T @ _residuals(theta, X, y, batch) / len(X),
            "Divide by how many rows you looked at, not by how many there are.",
        ),
        Mistake(
            "whole-data",
            lambda theta, X, y, batch: minibatch_gradient(theta, X, y, np.arange(len(X))),
            "All examples entered your gradient, not only those of this batch.",
        ),
        Mistake(
            "takes-first-rows",
            lambda theta, X, y, batch: minibatch_gradient(theta, X, y, np.arange(len(batch))),
            "You took the first rows, as many as the batch has; batch says which rows to take.",
        ),
        Mistake(
            "residual-backwards",
            lambda theta, X, y, batch: -minibatch_gradient(theta, X, y, batch),
            "This points downhill, and a step against it climbs: check which way round prediction and label are subtracted.",
        ),
        Mistake(
            "labels-of-others",
            lambda theta, X, y, batch: X[batch].T @ (X[batch] @ theta - y[: len(batch)]) / len(batch),
            "These inputs met other examples' labels: pick X and y by the same rows.",
        ),
        Mistake(
            "forgets-x",
            lambda theta, X, y, batch: np.mean(_residuals(theta, X, y, batch)),
            "You averaged the errors alone; each error reaches a weight through the input that the weight multiplies.",
        ),
        Mistake(
            "column-broadcast",
            lambda theta, X, y, batch: X[batch].T @ (X[batch] @ theta[:, None] - y[batch]) / len(batch),
            "Your errors formed a square, each prediction minus every label: print the shapes of both before you subtract.",
        ),
        Mistake(
            "returns-the-loss",
            lambda theta, X, y, batch: np.mean(_residuals(theta, X, y, batch) ** 2) / 2,
            "That is the loss, a single number; its gradient has one entry for each weight.",
        ),
        Mistake(
            "without-the-half",
            lambda theta, X, y, batch: 2 * minibatch_gradient(theta, X, y, batch),
            "Exactly twice the answer: that is the gradient of the plain squared error, as in torch's MSELoss; the loss here is half of it.",
        ),
    ),
    properties=(leaves_inputs_alone(part="unchanged"),),
    alternatives=(
        Alternative("loop over rows", _loops),
        Alternative("normal equations", _normal_equations),
        Alternative(
            "einsum",
            lambda theta, X, y, batch: np.einsum("bd,b->d", X[batch], _residuals(theta, X, y, batch)) / len(batch),
        ),
        Alternative(
            "mean of the rows' own gradients",
            lambda theta, X, y, batch: (X[batch] * _residuals(theta, X, y, batch)[:, None]).mean(axis=0),
        ),
        Alternative("torch autograd", _in_torch),
        Alternative("float32", _in_float32),
        Alternative("a list, weight by weight", _list_by_coordinate),
    ),
    notice="Notice that the cost of one gradient depends on the batch and not on the data: a million more rows would not slow you down.",
    axes=("weight",),
    picture=_picture,
)
