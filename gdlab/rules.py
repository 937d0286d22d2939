"""Update rules: how a gradient turns into a move.

Gradient descent (Cauchy 1847) subtracts a small multiple of the gradient, again and again:

    θ ← θ − η·∇L(θ)

Every other rule here first turns the gradient into a better direction d, with a memory of the steps
before, and then moves in the same way: θ ← θ − η·d. So a `Rule` is a pair of pure functions, as in
optax: one makes its first memory (its state), one makes the direction; `chain` puts small rules in a
row, and AdamW is Adam followed by weight decay.

Each direction is written once, elementwise, with what floats, NumPy arrays and torch tensors share.
Whatever depends on the step alone (bias corrections) is a scalar, computed apart from it, so that
`torch.compile` turns the textbook line into one kernel. All rules return new values and never change
what they were given. `conventions.md` has all signatures in one table.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

# ------------------------------------------------------------- gradient descent


def gradient_step(theta, grad, lr):
    """One step against the gradient: θ − η·∇L.

    Args:
        theta: the parameters, an array of any shape or a number.
        grad: ∇L at `theta`, of the same shape.
        lr: the learning rate η, in units of θ² per unit of loss.

    Returns:
        The new parameters, of `theta`'s shape and kind. `theta` itself is left as it was.

    >>> gradient_step(-1.0, -8.0, lr=0.25)
    1.0
    """
    return theta - lr * grad


def descend(grad_fn: Callable[[Any], Any], theta, lr, steps: int):
    """Repeat `gradient_step` and keep every point: θ₀, θ₁, …, θ_steps.

    Args:
        grad_fn: θ -> ∇L(θ); called once a step.
        theta: the start θ₀, an array of any shape or a number.
        lr: the learning rate η.
        steps: how many steps to take, 0 or more.

    Returns:
        An array of shape (steps + 1, *theta.shape), of `theta`'s kind and dtype; row 0 is the start.

    Raises:
        ValueError: if `steps` is negative or not a whole number.

    >>> descend(lambda theta: 2 * (theta - 3), -1.0, lr=0.25, steps=2)
    array([-1.,  1.,  2.])
    """
    if steps != int(steps) or steps < 0:
        raise ValueError(f"steps says how many steps to take, a whole number from 0 up, but is {steps!r}.")
    theta = theta if is_array_api_obj(theta) else np.asarray(theta, dtype=float)
    path = [theta]
    for _ in range(int(steps)):
        path.append(gradient_step(path[-1], grad_fn(path[-1]), lr))
    return array_namespace(theta).stack(path)


def stable_learning_rate(hessian) -> float:
    """The learning rate 2/λmax from which gradient descent on ½θᵀHθ no longer shrinks.

    Along an eigenvector of H with eigenvalue λ a step multiplies the distance by 1 − ηλ, which stays
    below 1 in size as long as η < 2/λ. The steepest direction decides.

    Args:
        hessian: H, the second derivatives: a symmetric positive definite matrix (d, d), or a number.

    Raises:
        ValueError: if H is not symmetric, or curves downwards somewhere.

    >>> stable_learning_rate([[4.0, 0.0], [0.0, 0.5]])
    0.5
    """
    hessian = np.atleast_2d(np.asarray(hessian, dtype=float))
    if hessian.ndim != 2 or not np.allclose(hessian, hessian.T):
        raise ValueError("A Hessian is a symmetric square matrix: second derivatives do not depend on their order.")
    curvatures = np.linalg.eigvalsh(hessian)
    if not curvatures[0] > 0:
        raise ValueError(
            f"This surface is not a bowl: its smallest curvature is {curvatures[0]:.6g}, and no rate is stable."
        )
    return float(2 / curvatures[-1])


# ------------------------------------------------------------ trees of parameters


def leaves(tree, like=None) -> list:
    """The arrays of a tree, in order: a tree is one array (or number), or a dict, list or tuple of trees.

    With `like`, a tree of the same form, a dict's arrays come in the order of that tree's keys.

    >>> leaves({"W": 1.0, "layers": [2.0, 3.0]})
    [1.0, 2.0, 3.0]
    >>> leaves({"b": 1.0, "W": 2.0}, like={"W": 0.0, "b": 0.0})
    [2.0, 1.0]
    """
    like = tree if like is None else like
    if isinstance(like, dict):
        return [leaf for key in like for leaf in leaves(tree[key], like[key])]
    if isinstance(like, list | tuple):
        return [leaf for branch, form in zip(tree, like, strict=True) for leaf in leaves(branch, form)]
    return [tree]


def rebuild(tree, new_leaves):
    """A tree of the same form with other leaves.

    >>> rebuild({"W": 1.0, "layers": [2.0, 3.0]}, [10.0, 20.0, 30.0])
    {'W': 10.0, 'layers': [20.0, 30.0]}
    """
    return _refill(tree, iter(new_leaves))


def _refill(tree, supply):
    if isinstance(tree, dict):
        return {key: _refill(tree[key], supply) for key in tree}
    if isinstance(tree, list):
        return [_refill(branch, supply) for branch in tree]
    if isinstance(tree, tuple):
        return tuple([_refill(branch, supply) for branch in tree])
    return next(supply)


def global_norm(tree):
    """√Σg², over all numbers of all arrays of a tree.

    >>> global_norm({"W": np.array([3.0, 0.0]), "b": 4.0})
    np.float64(5.0)
    """
    total = 0.0
    for leaf in leaves(tree):
        square = leaf * leaf
        total = total + (square.sum() if hasattr(square, "sum") else square)
    return total**0.5


# --------------------------------------------------------------------- the rule


def _no_scalars(step):
    return ()


@dataclass(frozen=True)
class Rule:
    """A way of turning gradients into moves, as a pair of pure functions: `init` and `step`.

    `theta`, `grad` and each part of a state are one array (NumPy or torch), one number, or a dict, list
    or tuple of them, nested as you like; a state's parts have `theta`'s form.

        rule = adam(beta1=0.9)
        state = rule.init(theta)
        theta, state = rule.step(theta, grad, state, step, lr)

    Attributes:
        name: what tables and plots call it.
        direct: (theta, grad, state, scalars) -> (direction, state), elementwise.
        state_names: what the rule remembers, in the order of the state: ("m", "v") for Adam.
        start: the number that each part of the state is filled with at first.
        scalar_names: what it computes from the step: ("correction1", "correction2") for Adam.
        scalars: step -> those numbers, as a tuple. Steps count from 0.

    >>> rule = momentum(0.5)
    >>> theta, state = 10.0, rule.init(10.0)
    >>> for step in range(2):
    ...     theta, state = rule.step(theta, 4.0, state, step, lr=0.25)
    >>> theta, state
    (7.5, (6.0,))
    """

    name: str
    direct: Callable[[Any, Any, tuple, tuple], tuple[Any, tuple]]
    state_names: tuple[str, ...] = ()
    start: tuple[float, ...] = ()
    scalar_names: tuple[str, ...] = ()
    scalars: Callable[[Any], tuple] = _no_scalars

    @property
    def state_per_parameter(self) -> int:
        """How many numbers the rule keeps for each parameter: 0 for gradient descent, 2 for Adam.

        >>> [rule.state_per_parameter for rule in (gradient_descent(), momentum(), adamw(), lion())]
        [0, 1, 2, 1]
        """
        return len(self.state_names)

    def init(self, theta) -> tuple:
        """The state before the first step: for each name in `state_names` a tree of `theta`'s form and dtype."""
        return tuple(rebuild(theta, [_filled(leaf, value) for leaf in leaves(theta)]) for value in self.start)

    def update(self, theta, grad, state: tuple, scalars: tuple, lr) -> tuple[Any, tuple]:
        """The elementwise part of a step: θ − η·d, and the new state. This is what gets compiled.

        `scalars` are those of this step; they and `lr` may be numbers or tensors of no dimension.
        """
        direction, state = self.direct(theta, grad, state, scalars)
        moved = [gradient_step(t, d, lr) for t, d in zip(leaves(theta), leaves(direction, theta), strict=True)]
        return rebuild(theta, moved), state

    def step(self, theta, grad, state: tuple, step: int, lr) -> tuple[Any, tuple]:
        """One step of the rule.

        Args:
            theta: the parameters.
            grad: ∇L at `theta`, of the same form and shapes.
            state: what `init` or the step before returned.
            step: which step this is, from 0.
            lr: the learning rate η of this step.

        Returns:
            The new parameters and the new state.

        Raises:
            ValueError: if the gradient or the state has another form than the parameters, or `step` is
                negative.
        """
        _check_step(step)
        for other in (grad, *state):
            _check_same_form(theta, other)
        if len(state) != len(self.state_names):
            raise ValueError(f"{self.name} remembers {self.state_names}, but the state has {len(state)} parts.")
        return self.update(theta, grad, state, self.scalars(_plain(step)), _plain(lr))


def _filled(leaf, value):
    if not is_array_api_obj(leaf):
        return value
    xp = array_namespace(leaf)
    return xp.full_like(leaf, value, dtype=xp.result_type(leaf, 0.0))


def _plain(number):
    """A NumPy scalar as a Python number: float32 parameters stay float32, whatever the schedule returned."""
    return number.item() if isinstance(number, np.generic) else number


def _check_step(step):
    if isinstance(step, Real) and not step >= 0:
        raise ValueError(f"Steps count from 0, but step is {step!r}.")


def _check_same_form(theta, other, place="theta"):
    if isinstance(theta, dict):
        same, keys = isinstance(other, dict) and theta.keys() == other.keys(), theta
    elif isinstance(theta, list | tuple):
        same, keys = isinstance(other, list | tuple) and len(theta) == len(other), range(len(theta))
    else:
        same, keys = (
            not isinstance(other, dict | list | tuple) and getattr(theta, "shape", ()) == getattr(other, "shape", ()),
            (),
        )
    if not same:
        raise ValueError(
            f"{place} is {_form(theta)}, but its gradient or state is {_form(other)}: every parameter needs one number of its own."
        )
    for key in keys:
        _check_same_form(theta[key], other[key], f"{place}[{key!r}]")


def _form(tree) -> str:
    if isinstance(tree, dict):
        return f"a dict of {sorted(map(str, tree))}"
    if isinstance(tree, list | tuple):
        return f"a row of {len(tree)} parts"
    return f"of shape {tuple(getattr(tree, 'shape', ()))}"


def _check(holds: bool, sentence: str):
    if not holds:
        raise ValueError(sentence)


def _all(holds) -> bool:
    """Of an array every entry: a sweep has one decay rate for each run."""
    return bool(holds.all()) if hasattr(holds, "all") else holds


def _check_decay_rate(name: str, value):
    _check(
        _all(value >= 0) and _all(value < 1),
        f"{name} says which part of the past is kept, at least 0 and below 1, but is {value!r}.",
    )


def _check_eps(eps):
    _check(0 <= eps < math.inf, f"eps keeps a division from going wrong and cannot be below 0, but is {eps!r}.")


def _elementwise(formula, theta, grad, state, scalars):
    """Run a formula (theta, grad, *state, *scalars) -> (direction, *state) on every leaf of a tree."""
    columns = [leaves(tree, theta) for tree in (theta, grad, *state)]
    rows = [formula(*row, *scalars) for row in zip(*columns, strict=True)]
    direction, *kept = [rebuild(theta, [row[i] for row in rows]) for i in range(1 + len(state))]
    return direction, tuple(kept)


def chain(*rules: Rule, name: str = "") -> Rule:
    """Rules in a row: each makes its direction out of the one before; the last direction is the step's.

    The chain's state and scalars are those of its rules, one after the other.

    >>> rule = chain(clip_global_norm(1.0), add_decayed_weights(0.1), adam())
    >>> rule.name, rule.state_names
    ('clip_global_norm, add_decayed_weights, adam', ('m', 'v'))
    """
    return Rule(
        name=name or ", ".join(rule.name for rule in rules),
        direct=partial(_chain_direct, rules),
        state_names=tuple(n for rule in rules for n in rule.state_names),
        start=tuple(value for rule in rules for value in rule.start),
        scalar_names=tuple(n for rule in rules for n in rule.scalar_names),
        scalars=partial(_chain_scalars, rules),
    )


def _chain_scalars(rules, step):
    return tuple(value for rule in rules for value in rule.scalars(step))


def _chain_direct(rules, theta, direction, state, scalars):
    kept = ()
    for rule in rules:
        parts, numbers = len(rule.state_names), len(rule.scalar_names)
        direction, new = rule.direct(theta, direction, state[:parts], scalars[:numbers])
        state, scalars, kept = state[parts:], scalars[numbers:], kept + new
    return direction, kept


# ------------------------------------------------- what goes before or after a rule


def clip_by_norm(grads, max_norm):
    """Shorten all gradients together, so that their common norm is at most `max_norm`: g·min(1, M/‖g‖).

    Args:
        grads: an array, or a dict or list of arrays.
        max_norm: M, above 0, in units of the gradient.

    Returns:
        The gradients, and their norm before clipping. Below and at the limit they are unchanged, to the
        bit; above it their directions stay and their norm is M (torch ends a hair lower, at
        M·‖g‖/(‖g‖ + 1e-6)). One number that is not finite makes all of them not a number or zero.

    Source: Pascanu, Mikolov, Bengio 2013, "On the difficulty of training recurrent neural networks".

    >>> clip_by_norm([3.0, 4.0], max_norm=2.5)
    ([1.5, 2.0], 5.0)
    """
    _check(max_norm > 0, f"max_norm is the longest gradient allowed, above 0, but is {max_norm!r}.")
    norm = global_norm(grads)
    scale = _plain(max_norm / _clip(norm, max_norm, None))
    return rebuild(grads, [leaf * scale for leaf in leaves(grads)]), norm


def clip_global_norm(max_norm) -> Rule:
    """`clip_by_norm` as a rule: put it first in a `chain`.

    >>> rule = chain(clip_global_norm(2.5), gradient_descent())
    >>> rule.step([10.0, 10.0], [3.0, 4.0], rule.init([10.0, 10.0]), step=0, lr=2.0)
    ([7.0, 6.0], ())
    """
    _check(max_norm > 0, f"max_norm is the longest gradient allowed, above 0, but is {max_norm!r}.")
    return Rule("clip_global_norm", partial(_clip_global_norm, max_norm))


def _clip_global_norm(max_norm, theta, grad, state, scalars):
    return clip_by_norm(grad, max_norm)[0], ()


def clip_value(limit) -> Rule:
    """Cut every number of the gradient to −limit … limit, each by itself; the direction may turn.

    >>> rule = chain(clip_value(1.0), gradient_descent())
    >>> rule.step([10.0, 10.0], [0.5, -4.0], (), step=0, lr=2.0)
    ([9.0, 12.0], ())
    """
    _check(limit > 0, f"limit is the largest entry allowed, above 0, but is {limit!r}.")
    return Rule("clip_value", partial(_elementwise, partial(_clipped, limit)))


def _clipped(limit, theta, grad):
    return (_clip(grad, -limit, limit),)


def add_decayed_weights(weight_decay) -> Rule:
    """Add λθ to the direction: d + λθ.

    After a rule this is decoupled decay: θ shrinks by η·λ·θ whatever the gradients were (AdamW).
    Before it, λθ passes through the rule like a gradient: that is an L2 penalty ½λ‖θ‖² on the loss.
    For plain gradient descent the two are one and the same.

    >>> rule = chain(gradient_descent(), add_decayed_weights(0.5))
    >>> rule.step(8.0, 1.0, (), step=0, lr=0.25)
    (6.75, ())
    """
    _check(
        0 <= weight_decay < math.inf,
        f"weight_decay shrinks the weights and cannot be below 0, but is {weight_decay!r}.",
    )
    return Rule("add_decayed_weights", partial(_elementwise, partial(_with_decay, weight_decay)))


def _with_decay(weight_decay, theta, direction):
    return (direction + weight_decay * theta,)


def _clip(x, low, high):
    """NumPy and torch name this alike; a Python number has no such method."""
    return x.clip(low, high) if hasattr(x, "clip") else float(np.clip(x, low, high))


def _sign(x):
    """−1, 0 or 1. (Of not-a-number NumPy makes not-a-number, torch 0.)"""
    if hasattr(x, "sign"):
        return x.sign()
    return float(np.sign(x)) if isinstance(x, float) else np.sign(x)


# ------------------------------------------------------------------- momentum


def gradient_descent() -> Rule:
    """Gradient descent as a `Rule`: the direction is the gradient, and nothing is remembered.

    >>> gradient_descent().step(-1.0, -8.0, (), step=0, lr=0.25)
    (1.0, ())
    """
    return Rule("gradient_descent", _follow)


def _follow(theta, grad, state, scalars):
    return grad, state


def _momentum_direction(momentum, theta, grad, velocity, gain):
    velocity = momentum * velocity + gain * grad
    return velocity, velocity


def _momentum_gain(first, later, step):
    return (first + (later - first) * _clip(step, 0, 1),)  # a comparison would give single precision in torch


def _momentum_rule(name, momentum, first_gain, gain) -> Rule:
    return Rule(
        name,
        direct=partial(_elementwise, partial(_momentum_direction, momentum)),
        state_names=("velocity",),
        start=(0.0,),
        scalar_names=("gain",),
        scalars=partial(_momentum_gain, first_gain, gain),
    )


def _check_momentum(momentum):
    _check(
        _all(momentum >= 0) and _all(momentum <= 1),
        f"momentum says which part of the velocity is kept, from 0 to 1, but is {momentum!r}.",
    )


def momentum(momentum=0.9, dampening=0.0) -> Rule:
    """Polyak's momentum, sum form: v ← μv + (1 − dampening)·g, d = v.

    With a steady gradient the velocity grows to g/(1 − μ): ten gradients at μ = 0.9. The learning rate
    stands outside v (Keras folds it in; the two differ when η changes). The first gradient is never
    dampened, as in torch.

    State: one number a parameter, the velocity v, from 0. Source: Polyak 1964; `torch.optim.SGD`.

    >>> rule = momentum(0.9)
    >>> rule.step(10.0, 4.0, (20.0,), step=7, lr=0.5)
    (-1.0, (22.0,))
    """
    _check_momentum(momentum)
    _check(
        0 <= dampening <= 1, f"dampening is the part of a gradient that is left out, from 0 to 1, but is {dampening!r}."
    )
    return _momentum_rule("momentum", momentum, 1.0, 1.0 - dampening)


def momentum_ema(beta=0.9) -> Rule:
    """Polyak's momentum, average form: v ← βv + (1 − β)g, d = v.

    The velocity is an average of past gradients, so it moves (1 − β) times as far as the sum form: at
    β = 0.9 it needs ten times the learning rate for the same walk.

    State: one number a parameter, the velocity v, from 0. Source: Adam's first moment, Kingma & Ba 2015.

    >>> momentum_ema(0.5).step(10.0, 4.0, (8.0,), step=7, lr=0.5)
    (7.0, (6.0,))
    """
    _check_decay_rate("beta", beta)
    return _momentum_rule("momentum_ema", beta, 1.0 - beta, 1.0 - beta)


def momentum_step(theta, grad, velocity, lr, momentum):
    """One step with momentum: v = μv + g, θ − η·v. See `momentum` for the conventions.

    Args:
        theta: the parameters, an array of any shape, a number, or a dict or list of them.
        grad: ∇L at `theta`, of the same shape.
        velocity: v before this step, of the same shape; zeros at first.
        lr: the learning rate η.
        momentum: μ, from 0 to 1.

    Returns:
        The new theta and the new velocity.

    >>> momentum_step(10.0, 4.0, 20.0, lr=0.5, momentum=0.9)
    (-1.0, 22.0)
    """
    _check_momentum(momentum)
    theta, (velocity,) = _momentum_rule("momentum", momentum, 1.0, 1.0).step(theta, grad, (velocity,), 0, lr)
    return theta, velocity


def _nesterov_direction(momentum, theta, grad, velocity):
    velocity = momentum * velocity + grad
    return grad + momentum * velocity, velocity


def nesterov(momentum=0.9) -> Rule:
    """Nesterov's momentum, torch's form: v ← μv + g, d = g + μv.

    The θ that this walks through are the look-ahead points of Sutskever's form (θ − η·μ·v of his θ),
    which is where the gradient is taken; at constant η torch, Keras and optax agree.

    State: one number a parameter, the velocity v, from 0. Sources: Nesterov 1983; Sutskever et al. 2013;
    `torch.optim.SGD(nesterov=True)`.

    >>> nesterov(0.5).step(10.0, 4.0, (8.0,), step=3, lr=0.5)
    (6.0, (8.0,))
    """
    _check_momentum(momentum)
    return Rule(
        "nesterov",
        direct=partial(_elementwise, partial(_nesterov_direction, momentum)),
        state_names=("velocity",),
        start=(0.0,),
    )


def nesterov_step(theta, grad, velocity, lr, momentum):
    """One step with Nesterov's momentum: v = μv + g, θ − η·(g + μv). See `nesterov`.

    Args and returns: as `momentum_step`.

    >>> nesterov_step(10.0, 4.0, 8.0, lr=0.5, momentum=0.5)
    (6.0, 8.0)
    """
    theta, (velocity,) = nesterov(momentum).step(theta, grad, (velocity,), 0, lr)
    return theta, velocity


# -------------------------------------------------- a step size for each parameter


def _adagrad_direction(eps, theta, grad, sum_sq):
    sum_sq = sum_sq + grad * grad
    return grad / (sum_sq**0.5 + eps), sum_sq


def adagrad(eps=1e-10, initial=0.0) -> Rule:
    """AdaGrad: s ← s + g², d = g/(√s + ε). Steps shrink for ever, most where gradients were large.

    The sum starts at `initial` and ε stands outside the root, as in torch (Keras and optax: 0.1 and
    1e-7, inside).

    State: one number a parameter, the sum of squares s. Source: Duchi, Hazan, Singer 2011.

    >>> adagrad(eps=0.0).step(10.0, 4.0, (9.0,), step=1, lr=0.5)
    (9.6, (25.0,))
    """
    _check_eps(eps)
    _check(0 <= initial < math.inf, f"initial is a sum of squares and cannot be below 0, but is {initial!r}.")
    return Rule("adagrad", partial(_elementwise, partial(_adagrad_direction, eps)), ("sum_sq",), (float(initial),))


def adagrad_step(theta, grad, sum_sq, lr, eps=1e-10):
    """One step of AdaGrad: s = s + g², θ − η·g/(√s + ε). See `adagrad`.

    Args:
        theta, grad: the parameters and their gradient, of one shape.
        sum_sq: s before this step, of the same shape; zeros at first.
        lr: the learning rate η, in units of θ.
        eps: ε, in units of the gradient.

    Returns:
        The new theta and the new sum of squares.

    >>> adagrad_step(10.0, 4.0, 9.0, lr=0.5, eps=0.0)
    (9.6, 25.0)
    """
    theta, (sum_sq,) = adagrad(eps).step(theta, grad, (sum_sq,), 0, lr)
    return theta, sum_sq


def _rmsprop_direction(decay, eps, theta, grad, square_avg):
    square_avg = decay * square_avg + (1 - decay) * grad * grad
    return grad / (square_avg**0.5 + eps), square_avg


def rmsprop(decay=0.99, eps=1e-8) -> Rule:
    """RMSProp: s ← ρs + (1 − ρ)g², d = g/(√s + ε). AdaGrad that forgets.

    ε stands outside the root and ρ is 0.99, as in torch (Keras: inside, 0.9). s starts at 0 and is not
    corrected for it, so the first step is 1/√(1 − ρ), ten times as long at 0.99.

    State: one number a parameter, the average square s, from 0. Source: Tieleman & Hinton 2012, lecture 6e.

    >>> rmsprop(decay=0.75, eps=0.0).step(10.0, 4.0, (28.0,), step=5, lr=0.5)
    (9.6, (25.0,))
    """
    _check_decay_rate("decay", decay)
    _check_eps(eps)
    return Rule("rmsprop", partial(_elementwise, partial(_rmsprop_direction, decay, eps)), ("square_avg",), (0.0,))


def rmsprop_step(theta, grad, square_avg, lr, decay=0.99, eps=1e-8):
    """One step of RMSProp: s = ρs + (1 − ρ)g², θ − η·g/(√s + ε). See `rmsprop`.

    Args:
        theta, grad: the parameters and their gradient, of one shape.
        square_avg: s before this step, of the same shape; zeros at first.
        lr: the learning rate η, in units of θ.
        decay: ρ, at least 0 and below 1.
        eps: ε, in units of the gradient, outside the root.

    Returns:
        The new theta and the new average square.

    >>> rmsprop_step(10.0, 4.0, 28.0, lr=0.5, decay=0.75, eps=0.0)
    (9.6, 25.0)
    """
    theta, (square_avg,) = rmsprop(decay, eps).step(theta, grad, (square_avg,), 0, lr)
    return theta, square_avg


def _bias_corrections(beta1, beta2, step):
    return 1 - beta1 ** (step + 1), 1 - beta2 ** (step + 1)


def _adam_direction(beta1, beta2, eps, theta, grad, m, v, correction1, correction2):
    m = beta1 * m + (1 - beta1) * grad
    v = beta2 * v + (1 - beta2) * grad * grad
    return (m / correction1) / ((v / correction2) ** 0.5 + eps), m, v


def adam(beta1=0.9, beta2=0.999, eps=1e-8) -> Rule:
    """Adam: m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², d = m̂/(√v̂ + ε).

    Both averages start at 0; the corrections m̂ = m/(1 − β₁ᵗ) and v̂ = v/(1 − β₂ᵗ) with t = step + 1
    make up for it (and are this rule's scalars). ε is added after the correction, outside the root, as in
    the paper, torch and optax; Keras adds 1e-7 before the correction.

    State: two numbers a parameter, m and v, from 0, uncorrected. Source: Kingma & Ba 2015, algorithm 1.

    >>> rule = adam()
    >>> theta, (m, v) = rule.step(10.0, 4.0, rule.init(10.0), step=0, lr=0.5)
    >>> round(theta, 6), round(m, 6), round(v, 6)
    (9.5, 0.4, 0.016)
    """
    _check_decay_rate("beta1", beta1)
    _check_decay_rate("beta2", beta2)
    _check_eps(eps)
    return Rule(
        "adam",
        direct=partial(_elementwise, partial(_adam_direction, beta1, beta2, eps)),
        state_names=("m", "v"),
        start=(0.0, 0.0),
        scalar_names=("correction1", "correction2"),
        scalars=partial(_bias_corrections, beta1, beta2),
    )


def adam_step(theta, grad, m, v, step, lr, beta1, beta2, eps):
    """One step of Adam: θ − η·m̂/(√v̂ + ε). See `adam` for the conventions.

    Args:
        theta, grad: the parameters and their gradient, of one shape.
        m, v: the two averages before this step, of the same shape, uncorrected; zeros at first.
        step: which step this is, from 0; the corrections use step + 1.
        lr: the learning rate η, in units of θ.
        beta1, beta2: how much of m and of v is kept, at least 0 and below 1.
        eps: ε, in units of the gradient, added to √v̂.

    Returns:
        The new theta, m and v.

    >>> adam_step(10.0, 4.0, 0.0, 0.0, step=0, lr=0.5, beta1=0.5, beta2=0.75, eps=0.0)
    (9.5, 2.0, 4.0)
    """
    theta, (m, v) = adam(beta1, beta2, eps).step(theta, grad, (m, v), step, lr)
    return theta, m, v


def adamw(beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01) -> Rule:
    """AdamW, Adam with decoupled decay: d = m̂/(√v̂ + ε) + λθ, with θ as it was before the step.

    θ shrinks by η·λ·θ a step, so the decay follows the schedule. λ is 0.01 by default, as in torch
    (optax 1e-4, Keras 0.004). It is `chain(adam(…), add_decayed_weights(λ))`.

    State: two numbers a parameter, m and v. Source: Loshchilov & Hutter 2019.

    >>> adamw(0.5, 0.75, 0.0, weight_decay=0.25).step(8.0, 4.0, (0.0, 0.0), step=0, lr=0.5)
    (6.5, (2.0, 4.0))
    """
    return chain(adam(beta1, beta2, eps), add_decayed_weights(weight_decay), name="adamw")


def adam_l2(beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.01) -> Rule:
    """Adam with an L2 penalty: λθ is added to the gradient, before the averages.

    The other order of the same two links: `chain(add_decayed_weights(λ), adam(…))`. Adam's scaling divides
    the decay by √v̂ as well, so weights with large gradients hardly decay. It is what
    `torch.optim.Adam(weight_decay=λ)` does, and what AdamW was made to mend.

    State: two numbers a parameter, m and v. Source: Loshchilov & Hutter 2019, algorithm 2, the pink lines.

    >>> adam_l2(0.5, 0.75, 0.0, weight_decay=0.25).step(8.0, 4.0, (0.0, 0.0), step=0, lr=0.5)
    (7.5, (3.0, 9.0))
    """
    return chain(add_decayed_weights(weight_decay), adam(beta1, beta2, eps), name="adam_l2")


def adamw_step(theta, grad, m, v, step, lr, beta1, beta2, eps, weight_decay):
    """One step of AdamW: θ − η·(m̂/(√v̂ + ε) + λθ). See `adamw`.

    Args and returns: as `adam_step`; weight_decay is λ, and the part of θ that decays a step is η·λ.

    >>> adamw_step(8.0, 4.0, 0.0, 0.0, step=0, lr=0.5, beta1=0.5, beta2=0.75, eps=0.0, weight_decay=0.25)
    (6.5, 2.0, 4.0)
    """
    theta, (m, v) = adamw(beta1, beta2, eps, weight_decay).step(theta, grad, (m, v), step, lr)
    return theta, m, v


# ------------------------------------------------------------------------ Lion


def _lion_direction(beta1, beta2, theta, grad, m):
    direction = _sign(beta1 * m + (1 - beta1) * grad)
    return direction, beta2 * m + (1 - beta2) * grad


def lion(beta1=0.9, beta2=0.99, weight_decay=0.0) -> Rule:
    """Lion: d = sign(β₁m + (1 − β₁)g) + λθ, and only then m ← β₂m + (1 − β₂)g.

    Every parameter moves by η, or not at all where the blend is exactly 0; β₁ steers the step, β₂ the
    memory. The decay is decoupled, η·λ·θ; λ is 0 by default, as in the authors' code (optax 1e-3).

    State: one number a parameter, m, from 0. Source: Chen et al. 2023, arXiv 2302.06675, algorithm 2.

    >>> lion(weight_decay=0.25).step(8.0, -4.0, (0.0,), step=0, lr=0.5)
    (7.5, (-0.040000000000000036,))
    """
    _check_decay_rate("beta1", beta1)
    _check_decay_rate("beta2", beta2)
    blend = Rule("lion", partial(_elementwise, partial(_lion_direction, beta1, beta2)), ("m",), (0.0,))
    return chain(blend, add_decayed_weights(weight_decay), name="lion")


def lion_step(theta, grad, m, lr, beta1, beta2, weight_decay):
    """One step of Lion: θ − η·(sign(β₁m + (1 − β₁)g) + λθ), then m = β₂m + (1 − β₂)g. See `lion`.

    Args:
        theta, grad: the parameters and their gradient, of one shape.
        m: the memory before this step, of the same shape; zeros at first.
        lr: the learning rate η, in units of θ.
        beta1, beta2: for the step and for the memory, at least 0 and below 1.
        weight_decay: λ, the part of θ that decays a step is η·λ.

    Returns:
        The new theta and the new m.

    >>> theta, m = lion_step(np.array([8.0, 2.0]), np.array([-4.0, 6.0]), np.zeros(2), 0.5, 0.9, 0.99, 0.25)
    >>> theta.tolist()
    [7.5, 1.25]
    """
    theta, (m,) = lion(beta1, beta2, weight_decay).step(theta, grad, (m,), 0, lr)
    return theta, m


# ------------------------------------------------------------------------ Muon

NEWTON_SCHULZ = (3.4445, -4.775, 2.0315)
"""Muon's a, b, c. They lift small singular values quickly and let all of them end near 1, not exactly at it."""


def _exact(x):
    return x


def orthogonalize(matrix, iterations=5, coefficients=NEWTON_SCHULZ, eps=1e-7, rounded=None):
    """Bring all singular values of a matrix close to 1: U·S·Vᵀ becomes about U·Vᵀ, by Newton–Schulz iteration.

        X ← M/max(‖M‖, ε), then again and again X ← aX + (bA + cA²)X with A = XXᵀ

    With Muon's coefficients five iterations bring every value above a hundredth of the norm to between
    0.68 and 1.14, and more iterations do not make it exact.

    Args:
        matrix: M, of shape (rows, columns), NumPy or torch.
        iterations: how often, 1 or more.
        coefficients: a, b and c; (1.875, -1.25, 0.375) goes to 1 itself, but slowly.
        eps: ε, below which a matrix counts as zero.
        rounded: what every result on the way passes through, to compute as a coarser number format does;
            None leaves it as precise as it is.

    Raises:
        ValueError: if `matrix` is not a matrix.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".

    >>> orthogonalize(np.array([[3.0, 0.0], [0.0, -0.5]])).round(2)
    array([[ 0.71,  0.  ],
           [ 0.  , -1.04]])
    """
    _check(
        getattr(matrix, "ndim", 0) == 2,
        f"Only a matrix can be orthogonalized, but this is {_form(matrix)}: give vectors and numbers to another rule.",
    )
    a, b, c = coefficients
    rounded = rounded or _exact
    wide = matrix.shape[0] <= matrix.shape[1]
    x = rounded(matrix if wide else matrix.T)
    x = rounded(x / _clip(rounded((x * x).sum() ** 0.5), eps, None))
    for _ in range(iterations):
        gram = rounded(x @ x.T)
        x = rounded(a * x + rounded(b * gram + c * (gram @ gram)) @ x)
    return x if wide else x.T


def _muon_direction(momentum, nesterov, turn, theta, grad, m):
    m = momentum * m + (1 - momentum) * grad
    turned = turn(momentum * m + (1 - momentum) * grad if nesterov else m)
    rows, columns = turned.shape
    return max(1.0, rows / columns) ** 0.5 * turned, m


def muon(
    momentum=0.95, nesterov=True, weight_decay=0.1, iterations=5, coefficients=NEWTON_SCHULZ, eps=1e-7, rounded=None
) -> Rule:
    """Muon, for matrices: m ← μm + (1 − μ)g, d = √max(1, rows/columns)·orthogonalize(μm + (1 − μ)g) + λθ.

    The step has the singular directions of the averaged gradient, all of about the same length, so that
    rare directions are learned as fast as common ones. The decay is decoupled, η·λ·θ. Vectors, numbers
    and embeddings go to another rule, usually AdamW. Rows and columns are torch's, (out, in).

    Args:
        momentum: μ, at least 0 and below 1.
        nesterov: look ahead, as above; else the direction is made of m alone.
        weight_decay: λ.
        iterations, coefficients, eps, rounded: of `orthogonalize`. `torch.optim.Muon` computes in bfloat16:
            `rounded=lambda x: x.bfloat16().to(x.dtype)`.

    State: one number a parameter, m, from 0. Sources: Jordan et al. 2024; `torch.optim.Muon`.

    >>> rule, theta = muon(weight_decay=0.0), np.zeros((2, 2))
    >>> theta, state = rule.step(theta, np.diag([3.0, -0.5]), rule.init(theta), step=0, lr=1.0)
    >>> theta.round(2).tolist()
    [[-0.71, 0.0], [0.0, 1.04]]
    """
    _check_decay_rate("momentum", momentum)
    _check_eps(eps)
    _check(iterations >= 1, f"iterations says how often the matrix is improved, 1 or more, but is {iterations!r}.")
    turn = partial(orthogonalize, iterations=iterations, coefficients=coefficients, eps=eps, rounded=rounded)
    turned = Rule("muon", partial(_elementwise, partial(_muon_direction, momentum, nesterov, turn)), ("m",), (0.0,))
    return chain(turned, add_decayed_weights(weight_decay), name="muon")


# --------------------------------------------------------------- without a schedule


def _schedule_free_share(warmup_steps, step):
    """How much of the rate this step gets, and its share c of the average: w = min(1, t/W), c = w²/Σw²."""
    t, length = step + 1, max(warmup_steps, 1)
    risen = _clip(t, None, length)  # min would ask a GPU for a number
    warm = risen / length
    total = risen * (risen + 1) * (2 * risen + 1) / (6 * length**2) + (t - risen)
    return warm, warm**2 / total


def _schedule_free_move(beta, ahead, step, share):
    """The direction in which y moves when z takes a step, and the new (z − x)/η."""
    new = ahead - step
    kept = (1 - share) * new
    return (1 - beta) * (ahead - kept) - share * new, kept


def _schedule_free_sgd_direction(beta, weight_decay, theta, grad, ahead, warm, share):
    return _schedule_free_move(beta, ahead, warm * (grad + weight_decay * theta), share)


def _schedule_free_adamw_direction(beta1, beta2, eps, weight_decay, theta, grad, ahead, v, warm, share, correction):
    v = beta2 * v + (1 - beta2) * grad * grad
    step = warm * (grad / ((v / correction) ** 0.5 + eps) + weight_decay * theta)
    direction, ahead = _schedule_free_move(beta1, ahead, step, share)
    return direction, ahead, v


def _schedule_free_adamw_scalars(warmup_steps, beta2, step):
    return *_schedule_free_share(warmup_steps, step), 1 - beta2 ** (step + 1)


def _check_schedule_free(weight_decay, warmup_steps):
    _check(
        0 <= weight_decay < math.inf,
        f"weight_decay shrinks the weights and cannot be below 0, but is {weight_decay!r}.",
    )
    _check(warmup_steps >= 0, f"warmup_steps is a number of steps, 0 or more, but is {warmup_steps!r}.")


def schedule_free_sgd(beta=0.9, weight_decay=0.0, warmup_steps=0) -> Rule:
    """Schedule-free SGD: an average of the walk in place of a schedule that ends at zero.

        z ← z − η·(g + λy), x ← (1 − c)x + cz, y ← (1 − β)z + βx

    z walks as SGD does. x is the average of all z so far, and what the model is judged by. y, between the
    two, is this rule's `theta`: there the gradient g is taken. c is 1/t, or with a warm-up of W steps
    w²/Σw², where w = min(1, t/W) also shortens the steps. x is had from `schedule_free_average`.

    Only u = (z − x)/η is remembered, because z = y + βηu and x = y − (1 − β)ηu. In return η has to stay
    what it is: the warm-up is the rule's, and there is nothing else to schedule.

    State: one number a parameter, ahead = u, from 0. Source: Defazio et al. 2024, "The Road Less
    Scheduled", arXiv 2405.15682.

    >>> rule = schedule_free_sgd(beta=0.5)
    >>> theta, state = rule.step(10.0, 4.0, rule.init(10.0), step=0, lr=0.5)
    >>> theta, state = rule.step(theta, 4.0, state, step=1, lr=0.5)
    >>> theta, state, schedule_free_average(theta, state, lr=0.5, beta=0.5)
    (6.5, (-2.0,), 7.0)
    """
    _check_decay_rate("beta", beta)
    _check_schedule_free(weight_decay, warmup_steps)
    return Rule(
        "schedule_free_sgd",
        direct=partial(_elementwise, partial(_schedule_free_sgd_direction, beta, weight_decay)),
        state_names=("ahead",),
        start=(0.0,),
        scalar_names=("warm", "share"),
        scalars=partial(_schedule_free_share, warmup_steps),
    )


def schedule_free_adamw(beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0, warmup_steps=0) -> Rule:
    """Schedule-free AdamW: `schedule_free_sgd` with g/(√v̂ + ε) for g, and decoupled decay.

        z ← z − η·(g/(√v̂ + ε) + λy), with v and v̂ as in Adam

    There is no m: that y lies between z and x takes the place of momentum, and β₁ says where. As in
    the authors' package, schedulefree 1.4; its variant for the paper's own experiments multiplies η by
    √(1 − β₂ᵗ) instead of correcting v.

    State: two numbers a parameter, ahead = (z − x)/η and v, from 0. Source: as `schedule_free_sgd`,
    algorithm 1.

    >>> rule = schedule_free_adamw(eps=0.0)
    >>> theta, state = rule.step(10.0, 4.0, rule.init(10.0), step=0, lr=0.5)
    >>> round(theta, 6), schedule_free_average(theta, state, lr=0.5)
    (9.5, 9.5)
    """
    _check_decay_rate("beta1", beta1)
    _check_decay_rate("beta2", beta2)
    _check_eps(eps)
    _check_schedule_free(weight_decay, warmup_steps)
    return Rule(
        "schedule_free_adamw",
        direct=partial(_elementwise, partial(_schedule_free_adamw_direction, beta1, beta2, eps, weight_decay)),
        state_names=("ahead", "v"),
        start=(0.0, 0.0),
        scalar_names=("warm", "share", "correction"),
        scalars=partial(_schedule_free_adamw_scalars, warmup_steps, beta2),
    )


def schedule_free_average(theta, state, lr, beta=0.9):
    """x, the average that a schedule-free rule is after: θ − η(1 − β)·u. Judge, save and use this one.

    Args:
        theta: the parameters that the rule moves, y.
        state: its state, whose first part is u = (z − x)/η.
        lr: the learning rate η of the run.
        beta: the rule's β, for AdamW its β₁.

    >>> schedule_free_average(6.5, (-2.0,), lr=0.5, beta=0.5)
    7.0
    """
    pairs = zip(leaves(theta), leaves(state[0], theta), strict=True)
    return rebuild(theta, [gradient_step(y, (1 - beta) * ahead, lr) for y, ahead in pairs])
