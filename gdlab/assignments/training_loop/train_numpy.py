"""train_numpy(theta, X, y, grad_fn, batches_fn, rule, schedule, epochs) -> (steps + 1, d): the loop, in every rule's hands."""

import itertools
from collections import deque

import numpy as np

from gdlab.assignments._shared import leaves_inputs_alone, signed
from gdlab.figures.curve_svg import curve_picture
from gdlab.judge.answer import Answer, Oracle, fresh
from gdlab.judge.compare import is_numeric
from gdlab.judge.exercise import Alternative, Case, Exercise, Mistake, Part, Property
from gdlab.loop import train_numpy


def _half_mean_square_slope(theta, X, y):
    """The gradient of ½·mean((Xθ − y)²) over the rows it is given."""
    return X.T @ (X @ theta - y) / len(y)


def _momentum(decay):
    def rule(theta, grad, state, step, lr):
        velocity = grad if state is None else decay * state + grad
        return theta - lr * velocity, velocity

    return Oracle(rule, f"momentum {decay:.3g}: v = {decay:.3g}·v + grad, theta − lr·v; v is the state")


def _adam(beta1, beta2):
    def rule(theta, grad, state, step, lr):
        m, v = (np.zeros_like(theta), np.zeros_like(theta)) if state is None else state
        m, v = beta1 * m + (1 - beta1) * grad, beta2 * v + (1 - beta2) * grad**2
        corrected = m / (1 - beta1 ** (step + 1))
        return theta - lr * corrected / (np.sqrt(v / (1 - beta2 ** (step + 1))) + 1e-8), (m, v)

    return Oracle(rule, f"Adam with beta1 {beta1:.3g} and beta2 {beta2:.3g}; (m, v) is the state")


def _shuffled_batches(seed, n, batch_size):
    """Another shuffle at each call; the short last batch is kept."""

    def make():
        rng = np.random.default_rng(seed)

        def batches_fn():
            order = rng.permutation(n)
            return [order[first : first + batch_size] for first in range(0, n, batch_size)]

        return batches_fn

    return Oracle(None, f"each call shuffles 0 … {n - 1} anew and cuts them into batches of {batch_size}", make)


def _inverse_time(peak, decay):
    return Oracle(lambda step: peak / (1 + decay * step), f"{peak:.3g}/(1 + {decay:.3g}·step)")


def _training_cases(rng):
    def case(part, epochs, rule, peak):
        d, batch_size = int(rng.integers(2, 5)), int(rng.integers(3, 5))
        n = int(rng.integers(2, 4)) * batch_size + int(rng.integers(1, batch_size))
        X, true = signed(rng, 0.3, 1.5, (n, d)), signed(rng, 1, 3, d)
        return Case(
            part,
            {
                "theta": -true * rng.uniform(0.5, 1, d),  # across the valley, so that there is a way to go
                "X": X,
                "y": X @ true + signed(rng, 0.2, 0.6, n),
                "grad_fn": Oracle(_half_mean_square_slope, "the gradient of half the mean squared error"),
                "batches_fn": _shuffled_batches(int(rng.integers(2**32)), n, batch_size),
                "rule": rule,
                "schedule": _inverse_time(peak, float(rng.uniform(0.15, 0.3))),
                "epochs": epochs,
            },
        )

    def momentum():
        return _momentum(float(rng.uniform(0.6, 0.9)))

    def adam():
        return _adam(float(rng.uniform(0.6, 0.9)), float(rng.uniform(0.8, 0.95)))

    return [
        case("one", 1, momentum(), float(rng.uniform(0.1, 0.2))),
        case("one", 1, adam(), float(rng.uniform(0.3, 0.6))),
        case("several", 3, momentum(), float(rng.uniform(0.1, 0.2))),
        case("several", 2, adam(), float(rng.uniform(0.3, 0.6))),
    ]


def _trained(
    theta,
    X,
    y,
    grad_fn,
    batches_fn,
    rule,
    schedule,
    epochs,
    *,
    rate=lambda schedule, step, epoch: schedule(step),
    first_step=0,
    numbered_anew=False,
    keeps_state=lambda step, epoch_begins: True,
    seen=lambda X, batch: X[batch],
    batches_of=None,
):
    """The loop with places where a slip can be put in; returns one path for each epoch, the start in the first."""
    batches_of = batches_of or (lambda batches_fn, epoch: batches_fn())
    paths, state, step = [[theta]], None, first_step
    for epoch in range(epochs):
        step = first_step if numbered_anew else step
        for place, batch in enumerate(batches_of(batches_fn, epoch)):
            if not keeps_state(step, place == 0):
                state = None
            grad = grad_fn(theta, seen(X, batch), seen(y, batch))
            theta, state = rule(theta, grad, state, step, rate(schedule, step, epoch))
            paths[-1].append(theta)
            step += 1
        paths.append([])
    return paths


def _slip(**where):
    return lambda *inputs: np.stack(sum(_trained(*inputs, **where), []))


def _one_draw_for_all(theta, X, y, grad_fn, batches_fn, rule, schedule, epochs):
    batches = batches_fn()
    return train_numpy(theta, X, y, grad_fn, lambda: batches, rule, schedule, epochs)


def _returns_inside_the_loop(theta, X, y, grad_fn, batches_fn, rule, schedule, epochs):
    return train_numpy(theta, X, y, grad_fn, batches_fn, rule, schedule, 1)


def _one_point_an_epoch(*inputs):
    return np.stack([path[-1] for path in [[inputs[0]], *_trained(*inputs)[:-1]]])


def _by_flattening(theta, X, y, grad_fn, batches_fn, rule, schedule, epochs):
    path, state = [theta], None
    batches = (batch for _ in range(epochs) for batch in batches_fn())
    for step, batch in enumerate(batches):
        theta, state = rule(theta, grad_fn(theta, X[batch], y[batch]), state, step, schedule(step))
        path.append(theta)
    return path


def _from_a_queue(theta, X, y, grad_fn, batches_fn, rule, schedule, epochs):
    queue = deque()
    for _ in range(epochs):
        queue.extend(batches_fn())
    path = np.empty((len(queue) + 1, len(theta)))
    path[0], state, step = theta, None, 0
    while queue:
        batch = queue.popleft()
        path[step + 1], state = rule(path[step], grad_fn(path[step], X[batch], y[batch]), state, step, schedule(step))
        step += 1
    return path


def _by_recursion(theta, X, y, grad_fn, batches_fn, rule, schedule, epochs):
    def rest_of_path(theta, state, step, batches):
        if not batches:
            return []
        batch, *later = batches
        theta, state = rule(theta, grad_fn(theta, X[batch], y[batch]), state, step, schedule(step))
        return [theta, *rest_of_path(theta, state, step + 1, later)]

    return np.array([theta, *rest_of_path(theta, None, 0, [batch for _ in range(epochs) for batch in batches_fn()])])


def _by_accumulate(theta, X, y, grad_fn, batches_fn, rule, schedule, epochs):
    def after(now, batch):
        theta, state, step = now
        grad = grad_fn(theta=theta, X=X[batch], y=y[batch])
        return *rule(theta=theta, grad=grad, state=state, step=step, lr=schedule(step=step)), step + 1

    batches = itertools.chain.from_iterable(batches_fn() for _ in range(epochs))
    return [theta for theta, _, _ in itertools.accumulate(batches, after, initial=(theta, None, 0))]


def _in_torch(theta, X, y, grad_fn, batches_fn, rule, schedule, epochs):
    import torch

    theta, X, y = torch.tensor(theta), torch.tensor(X), torch.tensor(y)
    path, state, step = theta[None].clone(), None, 0
    for _ in range(epochs):
        for batch in batches_fn():
            grad = grad_fn(theta, X[batch], y[batch])
            theta, state = rule(theta, grad, state, step, schedule(step))
            theta = torch.as_tensor(theta)
            path = torch.cat([path, theta[None]])
            step += 1
    return path


def _losses_along(path, X, y) -> list[float]:
    """The loss over all rows at each point of a path; empty if it is no path at all."""
    if not is_numeric(path) or np.ndim(path) != 2 or np.shape(path)[1] != X.shape[1]:
        return []
    with np.errstate(all="ignore"):
        return [float(np.mean((X @ theta - y) ** 2) / 2) for theta in path]


def _loss_of_your_run(answer: Answer) -> str:
    case = next(case for case in _training_cases(np.random.default_rng(15)) if case.part == "several")
    right, yours = EXERCISE.local(train_numpy)(fresh(case.inputs)).value, answer(fresh(case.inputs)).value
    X, y = case.inputs["X"], case.inputs["y"]
    curves = [("right", _losses_along(right, X, y)), ("yours", _losses_along(yours, X, y))]
    return curve_picture(curves, x_label="step", y_label="loss of all examples")


EXERCISE = Exercise(
    name="train_numpy",
    version=1,
    reference=train_numpy,
    cases=_training_cases,
    parts=(
        Part("one", "one epoch, its short last batch included", 2),
        Part("several", "several epochs", 3),
        Part("manners", "one gradient a step, one draw an epoch, and the caller's arrays stay as they were", 1),
    ),
    mistakes=(
        Mistake(
            "same-batches-every-epoch",
            _one_draw_for_all,
            "Every epoch of yours goes through the same batches in the same order. Each epoch needs a fresh draw.",
        ),
        Mistake(
            "schedule-by-epoch",
            _slip(rate=lambda schedule, step, epoch: schedule(epoch)),
            "Your rate stands still within an epoch: the schedule wants to know the step.",
        ),
        Mistake(
            "step-restarts",
            _slip(numbered_anew=True),
            "Your steps count from 0 again in every epoch, and the schedule starts over with them.",
        ),
        Mistake(
            "schedule-one-ahead",
            _slip(rate=lambda schedule, step, epoch: schedule(step + 1)),
            "Your schedule is one step ahead of the rule: its first rate is never used.",
        ),
        Mistake(
            "steps-from-1",
            _slip(first_step=1),
            "Your steps count from 1, so step 0 never happens, neither for the schedule nor for the rule.",
        ),
        Mistake(
            "state-thrown-away",
            _slip(keeps_state=lambda step, epoch_begins: False),
            "The rule gets no state back, so momentum can't build up. Hand it what it returned last time.",
        ),
        Mistake(
            "state-restarts-each-epoch",
            _slip(keeps_state=lambda step, epoch_begins: not epoch_begins),
            "Your rule forgets its state whenever an epoch begins. An epoch's end means nothing to it.",
        ),
        Mistake(
            "whole-data-each-step",
            _slip(seen=lambda rows, batch: rows),
            "You look at all examples at every step, whatever the batch is: that is the full gradient.",
        ),
        Mistake(
            "last-batch-lost",
            _slip(batches_of=lambda batches_fn, epoch: batches_fn()[:-1]),
            "The last batch of each epoch never trains. It is short, but its examples count as much.",
        ),
        Mistake(
            "stops-after-one-epoch",
            _returns_inside_the_loop,
            "Your path ends with the first epoch: how far is the return indented?",
        ),
        Mistake(
            "one-point-an-epoch",
            _one_point_an_epoch,
            "You keep one point for each epoch. Keep one for each step.",
        ),
        Mistake(
            "start-not-recorded",
            lambda *inputs: train_numpy(*inputs)[1:],
            "Row 0 is missing: where were you before the first step?",
        ),
        Mistake(
            "returns-only-the-end",
            lambda *inputs: train_numpy(*inputs)[-1],
            "That is where training ended. We want every point on the way, the start included.",
        ),
    ),
    properties=(
        Property(
            name="gradient-more-than-once-a-step",
            part="manners",
            holds=lambda inputs, reply: len(inputs["grad_fn"].queries) == len(inputs["rule"].queries),
            sentence="Your path is right, but it should ask for one gradient a step: on a real model every call is costly.",
        ),
        Property(
            name="draws-too-often",
            part="manners",
            holds=lambda inputs, reply: len(inputs["batches_fn"].queries) == inputs["epochs"],
            sentence="Your path is right, but batches_fn should be called once an epoch: every call shuffles the data anew.",
        ),
        leaves_inputs_alone(part="manners"),
    ),
    alternatives=(
        Alternative("flattened generator, returned as a list", _by_flattening),
        Alternative("queue, filling a prepared array", _from_a_queue),
        Alternative("recursion", _by_recursion),
        Alternative("itertools.accumulate, arguments by name", _by_accumulate),
        Alternative("torch tensors", _in_torch),
        Alternative("float32", lambda *inputs: np.float32(train_numpy(*inputs))),
    ),
    notice="Notice that the loop knows nothing of momentum, Adam or warm-up: they are functions it is handed.",
    axes=("step", "coordinate"),
    picture=_loss_of_your_run,
    equivalent_mutants={
        "path = [theta] ⇄ state = None": "Neither line uses what the other sets.",
        "state = None ⇄ step = 0": "Neither line uses what the other sets.",
        "path.append(theta) ⇄ step += 1": "Neither line uses what the other changes.",
    },
)
