"""Models of data: linear, logistic and softmax regression, and a neural network with one hidden layer.

Each loss is a mean over the examples it is given, so a batch of rows gives the batch's loss and gradient:
L(θ; X, y) = (1/n)·Σᵢ ℓ(f(xᵢ; θ), yᵢ). The gradients are the chain rule written out by hand, backwards,
layer by layer; for all four the last layer's error is "prediction minus label".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from gdlab.objectives.surfaces import Objective


@dataclass(frozen=True)
class Model:
    """A model with its loss and the loss's gradient.

    `theta` is an array, or for `mlp` a dict of arrays; X is (n, d), one example a row; y is (n,): numbers,
    or the classes 0 … k − 1 as whole numbers.

    Attributes:
        name: what tables and tests call it.
        formula: the loss in LaTeX.
        predict: (theta, X) -> a number, or the classes' probabilities, for each row.
        loss: (theta, X, y) -> the mean loss.
        grad: (theta, X, y) -> its gradient, of theta's form.
    """

    name: str
    formula: str
    predict: Callable[[Any, Any], Any]
    loss: Callable[[Any, Any, Any], Any]
    grad: Callable[[Any, Any, Any], Any]

    def on(self, X, y, start, minimum=None) -> Objective:
        """The loss on these examples as a function of theta alone.

        >>> X, y = np.array([[1.0], [2.0]]), np.array([2.0, 4.0])
        >>> linear_regression.on(X, y, start=np.zeros(1)).grad(np.array([1.0]))
        array([-2.5])
        """
        return Objective(
            self.name, self.formula, partial(_on, self.loss, X, y), partial(_on, self.grad, X, y), start, minimum
        )

    def on_batches(self, X, y) -> Callable:
        """What `loop.train` takes: (theta, rows) -> (loss, gradient) of these examples' `rows`.

        >>> X, y = np.array([[1.0], [2.0]]), np.array([2.0, 4.0])
        >>> linear_regression.on_batches(X, y)(np.array([1.0]), [1])
        (np.float64(2.0), array([-4.]))
        """
        return partial(_on_rows, self, X, y)


def _on(function, X, y, theta):
    return function(theta, X, y)


def _on_rows(model, X, y, theta, rows):
    return model.loss(theta, X[rows], y[rows]), model.grad(theta, X[rows], y[rows])


def with_intercept(X):
    """X with a column of ones at its right, so that the last weight is the intercept b.

    >>> with_intercept(np.array([[5.0], [7.0]]))
    array([[5., 1.],
           [7., 1.]])
    """
    xp = array_namespace(X)
    return xp.concat((X, xp.ones_like(X[:, :1])), axis=1)


def _check_labels(X, y):
    """A column of labels would turn every difference into a square: (n,) − (n, 1) has the shape (n, n)."""
    if tuple(y.shape) != (X.shape[0],):
        raise ValueError(
            f"y holds one label for each of the {X.shape[0]} rows of X, shape ({X.shape[0]},), but has shape {tuple(y.shape)}."
        )
    if X.shape[0] == 0:
        raise ValueError("There are no examples: a mean over none has no value.")


# ------------------------------------------------------------- linear regression


def _linear(theta, X):
    return X @ theta


def _linear_loss(theta, X, y):
    _check_labels(X, y)
    xp = array_namespace(theta)
    return 0.5 * xp.mean((X @ theta - y) ** 2)


def _linear_grad(theta, X, y):
    _check_labels(X, y)
    return X.T @ (X @ theta - y) / X.shape[0]


linear_regression = Model(
    name="linear regression",
    formula=r"L(\theta) = \frac{1}{2n} \sum_i (x_i^\top\theta - y_i)^2",
    predict=_linear,
    loss=_linear_loss,
    grad=_linear_grad,
)
"""A straight line or plane, θ of shape (d,), by half the mean squared error; ∇L = Xᵀ(Xθ − y)/n.

The half makes the gradient free of a factor 2. For an intercept use `with_intercept`.

>>> X, y = with_intercept(np.array([[1.0], [3.0]])), np.array([1.0, 2.0])
>>> linear_regression.loss(np.zeros(2), X, y), linear_regression.grad(np.zeros(2), X, y)
(np.float64(1.25), array([-3.5, -1.5]))
"""


def least_squares(X, y) -> np.ndarray:
    """The θ where `linear_regression` has its lowest loss, solved at once instead of step by step.

    >>> least_squares(with_intercept(np.array([[1.0], [3.0]])), np.array([1.0, 2.0])).round(6)
    array([0.5, 0.5])
    """
    _check_labels(X, y)
    return np.linalg.lstsq(X, y, rcond=None)[0]


# ----------------------------------------------------------- logistic regression


def _sigmoid(z):
    return 0.5 + 0.5 * array_namespace(z).tanh(0.5 * z)  # 1/(1 + e⁻ᶻ), without overflow


def _logistic(theta, X):
    return _sigmoid(X @ theta)


def _logistic_loss(theta, X, y):
    _check_labels(X, y)
    xp, z = array_namespace(theta), X @ theta
    return xp.mean(xp.logaddexp(xp.zeros_like(z), z) - xp.astype(y, z.dtype) * z)


def _logistic_grad(theta, X, y):
    _check_labels(X, y)
    chance = _logistic(theta, X)
    return X.T @ (chance - array_namespace(chance).astype(y, chance.dtype)) / X.shape[0]


logistic_regression = Model(
    name="logistic regression",
    formula=r"L(\theta) = \frac1n \sum_i \log(1 + e^{z_i}) - y_i z_i, \quad z_i = x_i^\top\theta",
    predict=_logistic,
    loss=_logistic_loss,
    grad=_logistic_grad,
)
"""Yes or no: θ of shape (d,), y of 0 and 1, the probability of 1 is σ(xᵀθ); ∇L = Xᵀ(σ(Xθ) − y)/n.

>>> X, y = np.array([[0.0], [2.0]]), np.array([0.0, 1.0])
>>> logistic_regression.predict(np.zeros(1), X), logistic_regression.grad(np.zeros(1), X, y)
(array([0.5, 0.5]), array([-0.5]))
"""


# ------------------------------------------------------------ softmax regression


def _softmax(z):
    xp = array_namespace(z)
    powers = xp.exp(z - xp.max(z, axis=1, keepdims=True))
    return powers / xp.sum(powers, axis=1, keepdims=True)


def _one_hot(y, z):
    xp = array_namespace(z)
    return xp.astype(y[:, None] == xp.arange(z.shape[1], device=device(z))[None, :], z.dtype)


def _cross_entropy(z, y):
    """Mean of log Σⱼ e^zⱼ − z_y over the rows of z, (n, k)."""
    xp = array_namespace(z)
    z = z - xp.max(z, axis=1, keepdims=True)
    return xp.mean(xp.log(xp.sum(xp.exp(z), axis=1)) - xp.sum(_one_hot(y, z) * z, axis=1))


def _cross_entropy_grad(z, y):
    """Its gradient by z: (softmax(z) − one-hot(y))/n."""
    return (_softmax(z) - _one_hot(y, z)) / z.shape[0]


def _softmax_predict(theta, X):
    return _softmax(X @ theta)


def _softmax_loss(theta, X, y):
    _check_labels(X, y)
    return _cross_entropy(X @ theta, y)


def _softmax_grad(theta, X, y):
    _check_labels(X, y)
    return X.T @ _cross_entropy_grad(X @ theta, y)


softmax_regression = Model(
    name="softmax regression",
    formula=r"L(\theta) = \frac1n \sum_i \log \sum_j e^{z_{ij}} - z_{i y_i}, \quad z_i = x_i^\top\theta",
    predict=_softmax_predict,
    loss=_softmax_loss,
    grad=_softmax_grad,
)
"""One of k classes: θ of shape (d, k), y of whole numbers 0 … k − 1; ∇L = Xᵀ(softmax(Xθ) − one-hot(y))/n.

>>> X, y = np.array([[1.0], [5.0]]), np.array([0, 1])
>>> softmax_regression.grad(np.zeros((1, 2)), X, y)
array([[ 1., -1.]])
"""


# ---------------------------------------------------------- one hidden layer


def mlp_start(rng, inputs: int, hidden: int, classes: int) -> dict:
    """Random first weights of `mlp`: normal with standard deviation 1/√(inputs of the layer), biases 0.

    Args:
        rng: a `numpy.random.Generator`.
        inputs, hidden, classes: the widths d, h and k.

    Returns:
        {"W1": (d, h), "b1": (h,), "W2": (h, k), "b2": (k,)}, float64.

    >>> {name: w.shape for name, w in mlp_start(np.random.default_rng(0), 64, 32, 10).items()}
    {'W1': (64, 32), 'b1': (32,), 'W2': (32, 10), 'b2': (10,)}
    """
    return {
        "W1": rng.normal(0.0, inputs**-0.5, (inputs, hidden)),
        "b1": np.zeros(hidden),
        "W2": rng.normal(0.0, hidden**-0.5, (hidden, classes)),
        "b2": np.zeros(classes),
    }


def _forward(theta, X):
    hidden = array_namespace(X).tanh(X @ theta["W1"] + theta["b1"])
    return hidden, hidden @ theta["W2"] + theta["b2"]


def _mlp_predict(theta, X):
    return _softmax(_forward(theta, X)[1])


def _mlp_loss(theta, X, y):
    _check_labels(X, y)
    return _cross_entropy(_forward(theta, X)[1], y)


def _mlp_grad(theta, X, y):
    """Backpropagation: each layer passes on how the loss depends on its input."""
    _check_labels(X, y)
    xp = array_namespace(X)
    hidden, z = _forward(theta, X)
    by_z = _cross_entropy_grad(z, y)  # (n, k)
    by_hidden = by_z @ theta["W2"].T  # (n, h)
    by_sum = by_hidden * (1.0 - hidden**2)  # through tanh: its slope is 1 − tanh²
    return {
        "W1": X.T @ by_sum,
        "b1": xp.sum(by_sum, axis=0),
        "W2": hidden.T @ by_z,
        "b2": xp.sum(by_z, axis=0),
    }


mlp = Model(
    name="MLP",
    formula=r"L(\theta) = \frac1n \sum_i \log \sum_j e^{z_{ij}} - z_{i y_i}, \quad z = \tanh(X W_1 + b_1)\, W_2 + b_2",
    predict=_mlp_predict,
    loss=_mlp_loss,
    grad=_mlp_grad,
)
"""A neural network with one hidden layer of tanh units, for k classes; `mlp_start` makes its first weights.

>>> theta = mlp_start(np.random.default_rng(0), inputs=2, hidden=3, classes=2)
>>> X, y = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([0, 1])
>>> mlp.predict(theta, X).sum(axis=1).round(6).tolist()
[1.0, 1.0]
>>> {name: g.shape for name, g in mlp.grad(theta, X, y).items()}
{'W1': (2, 3), 'b1': (3,), 'W2': (3, 2), 'b2': (2,)}
"""
