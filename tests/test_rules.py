"""Every rule against torch.optim, published numbers and its paper, and on every kind of array.

Each published number is asked for twice: the right rule has to give it, and named wrong ones must not.
"""

import doctest
import functools
import math
import pickle

import numpy as np
import pytest
import torch

import gdlab.rules
from gdlab import rules
from gdlab.objectives import bowl
from gdlab.rules import descend, gradient_step

# The primer's bowl: L = (θ − 3)² + 0.5, η = 0.3, from θ = −1.
PRIMER_PATH = [-1.0, 1.4, 2.36, 2.744, 2.8976]
PRIMER_LOSSES = [16.5, 3.06, 0.9096, 0.565536, 0.51048576]
PRIMER_CLIMB = [-1.0, -3.4, -7.24, -13.384]


def test_the_walk_is_the_primers():
    path = descend(bowl.grad, -1.0, 0.3, 4)
    assert path == pytest.approx(PRIMER_PATH, rel=1e-14)
    assert bowl.loss(path) == pytest.approx(PRIMER_LOSSES, rel=1e-12)


def test_with_the_sign_flipped_it_climbs_as_the_primer_says():
    assert descend(bowl.grad, -1.0, -0.3, 3) == pytest.approx(PRIMER_CLIMB, rel=1e-14)


@pytest.mark.parametrize(("lr", "last"), [(0.2, 0.060466176), (0.05, 3.486784401), (1.1, 61.9173642240)])
def test_ten_steps_on_a_parabola_end_where_dive_into_deep_learning_says(lr, last):
    assert descend(lambda x: 2 * x, 10.0, lr, 10)[-1] == pytest.approx(last, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_thousand_random_steps_equal_torchs_sgd(dtype):
    rng = torch.Generator().manual_seed(7)
    theirs = torch.nn.Parameter(torch.randn(4, 3, generator=rng, dtype=dtype))
    ours = theirs.detach().clone()
    optimizer = torch.optim.SGD([theirs], lr=0.037)
    for _ in range(1000):
        theirs.grad = torch.randn(4, 3, generator=rng, dtype=dtype)
        ours = gradient_step(ours, theirs.grad, 0.037)
        optimizer.step()
    bound = {torch.float32: 1e-6, torch.float64: 1e-12}[dtype]
    assert torch.linalg.norm(ours - theirs.detach()) <= bound * torch.linalg.norm(theirs.detach())


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numpy_and_torch_walk_alike_and_keep_their_kind(kind):
    start = np.array([[-1.0, 4.0, 0.5], [2.0, -3.0, 1.0]], dtype=kind)
    with_numpy = descend(lambda t: t**3 - t, start, 0.01, 6)
    with_torch = descend(lambda t: t**3 - t, torch.from_numpy(start), 0.01, 6)
    assert with_numpy.dtype == kind and with_numpy.shape == (7, 2, 3)
    assert isinstance(with_torch, torch.Tensor)
    assert np.allclose(with_numpy, with_torch.numpy(), rtol=1e-6, atol=0)


def test_the_step_compiles_to_the_same_numbers_it_gives_in_numpy():
    theta, grad = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.3, 4.0, -1.0])
    compiled = torch.compile(gradient_step, backend="eager", fullgraph=True)
    assert torch.equal(compiled(theta, grad, 0.1), gradient_step(theta, grad, 0.1))


def test_nothing_that_was_passed_in_changes():
    start = np.array([1.0, 2.0])
    descend(lambda theta: theta, start, 0.5, 3)
    gradient_step(start, np.ones(2), 0.5)
    assert np.array_equal(start, [1.0, 2.0])


def test_the_gradient_is_asked_for_once_a_step():
    asked = []
    descend(lambda theta: asked.append(float(theta)) or 2 * theta, 1.0, 0.25, 3)
    assert asked == [1.0, 0.5, 0.25]


def test_no_steps_is_a_path_of_one_point():
    assert descend(bowl.grad, -1.0, 0.3, 0).tolist() == [-1.0]


def test_a_walk_that_starts_at_a_whole_number_is_a_walk_through_real_ones():
    assert descend(bowl.grad, -1, 0.3, 0).dtype == np.float64
    assert descend(bowl.grad, [-1, 3], 0.3, 1).tolist() == [[-1.0, 3.0], [1.4, 3.0]]


@pytest.mark.parametrize("steps", [-1, 2.5])
def test_a_number_of_steps_that_makes_no_sense_is_refused_with_a_sentence(steps):
    with pytest.raises(ValueError, match="whole number from 0 up"):
        descend(bowl.grad, -1.0, 0.3, steps)


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(gdlab.rules)
    assert result.failed == 0 and result.attempted > 30


# ------------------------------------------------------------ against torch.optim

SHAPES = {"matrix": (4, 3), "vector": (5,), "number": ()}
SCALES = {"matrix": 3.0, "vector": 1e-3, "number": 40.0}


@functools.cache
def stream(seed, steps):
    """Gradients of unequal size, a few of them zero, as NumPy float64: the same for both sides."""
    rng, rows = np.random.default_rng(seed), []
    for step in range(steps):
        grads = {name: np.asarray(SCALES[name] * rng.normal(0.3, 1.0, shape)) for name, shape in SHAPES.items()}
        if step % 7 == 3:
            grads["vector"][2] = 0.0
        for grad in grads.values():
            grad.flags.writeable = False  # a rule that writes into a gradient fails at once
        rows.append(grads)
    return rows


def start(seed=0):
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.normal(size=shape)) for name, shape in SHAPES.items()}


def distance(ours, theirs):
    """‖Δ‖/‖θ‖ over all parameters."""
    gap = math.sqrt(sum(float(np.sum((np.asarray(ours[n]) - np.asarray(theirs[n])) ** 2)) for n in SHAPES))
    return gap / math.sqrt(sum(float(np.sum(np.asarray(theirs[n]) ** 2)) for n in SHAPES))


def torchs_walk(optimizer, steps, lr_of_step=None, **settings):
    theirs = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in start().items()}
    optimizer = optimizer(list(theirs.values()), **settings)
    for step, grads in enumerate(stream(1, steps)):
        for name, parameter in theirs.items():
            parameter.grad = torch.tensor(grads[name])
        if lr_of_step:
            optimizer.param_groups[0]["lr"] = lr_of_step(step)
        optimizer.step()
    return {name: parameter.detach().numpy() for name, parameter in theirs.items()}


def our_walk(rule, steps, lr):
    theta = start()
    state = rule.init(theta)
    for step, grads in enumerate(stream(1, steps)):
        theta, state = rule.step(theta, grads, state, step, lr(step) if callable(lr) else lr)
    return theta


SGD, ADAM = torch.optim.SGD, torch.optim.Adam
TORCHS = [
    *[(rules.gradient_descent(), SGD, {"lr": lr}) for lr in (1e-4, 0.003, 0.037, 0.5, 1.3)],
    *[
        (rules.momentum(mu, tau), SGD, {"lr": lr, "momentum": mu, "dampening": tau})
        for lr, mu, tau in ((1e-3, 0.9, 0), (0.02, 0.5, 0), (0.3, 0.99, 0), (0.01, 0.95, 0.9), (0.1, 0.8, 0.3))
    ],
    *[
        (rules.nesterov(mu), SGD, {"lr": lr, "momentum": mu, "nesterov": True})
        for lr, mu in ((1e-3, 0.9), (0.02, 0.5), (0.3, 0.99), (0.01, 0.95), (0.7, 0.1))
    ],
    *[
        (rules.adagrad(eps, initial), torch.optim.Adagrad, {"lr": lr, "eps": eps, "initial_accumulator_value": initial})
        for lr, eps, initial in (
            (1e-2, 1e-10, 0.0),
            (0.5, 1e-3, 0.0),
            (1e-3, 1e-6, 0.1),
            (0.1, 1e-10, 2.0),
            (2.0, 0.1, 0.0),
        )
    ],
    *[
        (rules.rmsprop(rho, eps), torch.optim.RMSprop, {"lr": lr, "alpha": rho, "eps": eps})
        for lr, rho, eps in (
            (1e-2, 0.99, 1e-8),
            (1e-3, 0.9, 1e-6),
            (0.1, 0.999, 1e-3),
            (0.01, 0.5, 1e-8),
            (1e-4, 0.95, 0.1),
        )
    ],
    *[
        (rules.adam(b1, b2, eps), ADAM, {"lr": lr, "betas": (b1, b2), "eps": eps})
        for lr, b1, b2, eps in (
            (1e-3, 0.9, 0.999, 1e-8),
            (0.1, 0.9, 0.95, 1e-8),
            (0.01, 0.5, 0.9, 1e-3),
            (1e-2, 0.0, 0.99, 1e-6),
            (0.3, 0.95, 0.98, 0.1),
        )
    ],
    *[
        (rules.adam_l2(b1, b2, eps, wd), ADAM, {"lr": lr, "betas": (b1, b2), "eps": eps, "weight_decay": wd})
        for lr, b1, b2, eps, wd in (
            (1e-3, 0.9, 0.999, 1e-8, 0.01),
            (0.1, 0.9, 0.95, 1e-8, 0.1),
            (0.01, 0.5, 0.9, 1e-3, 0.3),
            (1e-2, 0.0, 0.99, 1e-6, 1.0),
            (0.3, 0.95, 0.98, 0.1, 0.05),
        )
    ],
    *[
        (rules.adamw(b1, b2, eps, wd), torch.optim.AdamW, {"lr": lr, "betas": (b1, b2), "eps": eps, "weight_decay": wd})
        for lr, b1, b2, eps, wd in (
            (1e-3, 0.9, 0.999, 1e-8, 0.01),
            (0.1, 0.9, 0.95, 1e-8, 0.1),
            (0.01, 0.5, 0.9, 1e-3, 0.3),
            (1e-2, 0.0, 0.99, 1e-6, 1.0),
            (0.3, 0.95, 0.98, 0.1, 0.05),
        )
    ],
    *[
        (
            rules.chain(rules.add_decayed_weights(wd), rules.momentum(mu)),
            SGD,
            {"lr": lr, "momentum": mu, "weight_decay": wd},
        )
        for lr, mu, wd in ((1e-3, 0.9, 0.01), (0.1, 0.5, 0.1), (0.02, 0.99, 0.3), (0.05, 0.0, 1.0), (0.3, 0.8, 0.05))
    ],
]


def _label(value):
    return value.name.replace(", ", "+") if isinstance(value, rules.Rule) else None


@pytest.mark.parametrize(("rule", "optimizer", "settings"), TORCHS, ids=_label)
def test_a_thousand_steps_equal_torch_optim(rule, optimizer, settings):
    assert distance(our_walk(rule, 1000, settings["lr"]), torchs_walk(optimizer, 1000, **settings)) <= 1e-12


@pytest.mark.parametrize(
    ("make", "optimizer"),
    [
        (rules.adagrad, torch.optim.Adagrad),
        (rules.rmsprop, torch.optim.RMSprop),
        (rules.adam, ADAM),
        (rules.adamw, torch.optim.AdamW),
    ],
)
def test_settings_left_out_are_torchs(make, optimizer):
    assert distance(our_walk(make(), 30, 0.01), torchs_walk(optimizer, 30, lr=0.01)) <= 1e-12


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (rules.momentum, (0.9, 0.0)),
        (rules.momentum_ema, (0.9,)),
        (rules.nesterov, (0.9,)),
        (rules.adam_l2, (0.9, 0.999, 1e-8, 0.01)),
        (rules.lion, (0.9, 0.99, 0.0)),
        (rules.schedule_free_sgd, (0.9, 0.0, 0)),
        (rules.schedule_free_adamw, (0.9, 0.999, 1e-8, 0.0, 0)),
    ],
)
def test_settings_left_out_are_those_of_the_documentation(make, settings):
    assert distance(our_walk(make(), 30, 0.01), our_walk(make(*settings), 30, 0.01)) == 0.0


def test_a_changing_learning_rate_equals_torch_optim():
    def lr(step):
        return 0.02 * (1 + math.cos(step))

    theirs = torchs_walk(SGD, 300, lr, lr=0.0, momentum=0.9, nesterov=True)
    assert distance(our_walk(rules.nesterov(0.9), 300, lr), theirs) <= 1e-12
    lr_in_the_velocity = torchs_walk(
        functools.partial(SGD, lr=0.0, momentum=0.9, nesterov=True), 300, lambda step: lr(step + 1)
    )
    assert distance(our_walk(rules.nesterov(0.9), 300, lr), lr_in_the_velocity) > 1e-3


def test_two_groups_are_two_rules():
    """Decay for the matrix, none for the rest, two learning rates: as two param_groups of torch's AdamW."""
    names = [["matrix"], ["vector", "number"]]
    settings = [{"lr": 0.01, "weight_decay": 0.3}, {"lr": 0.003, "weight_decay": 0.0}]
    theirs = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in start().items()}
    optimizer = torch.optim.AdamW(
        [{"params": [theirs[n] for n in group], **s} for group, s in zip(names, settings, strict=True)]
    )
    groups = [rules.adamw(weight_decay=s["weight_decay"]) for s in settings]
    thetas = [{n: start()[n] for n in group} for group in names]
    states = [rule.init(theta) for rule, theta in zip(groups, thetas, strict=True)]
    for step, grads in enumerate(stream(2, 200)):
        for name, parameter in theirs.items():
            parameter.grad = torch.tensor(grads[name])
        optimizer.step()
        for g, rule in enumerate(groups):
            part = {n: grads[n] for n in names[g]}
            thetas[g], states[g] = rule.step(thetas[g], part, states[g], step, settings[g]["lr"])
    assert distance(thetas[0] | thetas[1], {name: p.detach().numpy() for name, p in theirs.items()}) <= 1e-12


# ---------------------------------------------------- Lion against its pseudo-code


def lions_paper(weight, gradient, momentum, lr, beta1, beta2, weight_decay):
    """Program 1 of arXiv 2302.06675, one number at a time; it returns what is to be subtracted."""

    def interp(x, y, a):
        return (1 - a) * x + a * y

    update = interp(gradient, momentum, beta1)
    update = math.copysign(1.0, update) if update else 0.0
    momentum = interp(gradient, momentum, beta2)
    update = (update + weight * weight_decay) * lr
    return weight - update, momentum


LIONS = [
    (0.9, 0.99, 0.0, 1e-4),
    (0.95, 0.98, 0.1, 1e-3),
    (0.5, 0.9, 0.3, 0.01),
    (0.0, 0.99, 1.0, 0.02),
    (0.99, 0.9, 0.05, 0.1),
]


@pytest.mark.parametrize(("beta1", "beta2", "weight_decay", "lr"), LIONS)
def test_lion_is_its_papers_program(beta1, beta2, weight_decay, lr):
    rule = rules.lion(beta1, beta2, weight_decay)
    weights, memory = (
        {n: v.ravel().tolist() for n, v in start().items()},
        {n: [0.0] * v.size for n, v in start().items()},
    )
    for grads in stream(1, 1000):
        for name, gradient in grads.items():
            for i, g in enumerate(gradient.ravel().tolist()):
                weights[name][i], memory[name][i] = lions_paper(
                    weights[name][i], g, memory[name][i], lr, beta1, beta2, weight_decay
                )
    expected = {n: np.reshape(w, SHAPES[n]) for n, w in weights.items()}
    assert distance(our_walk(rule, 1000, lr), expected) <= 1e-12


def test_lion_stands_still_where_the_blend_is_exactly_zero():
    theta, m = rules.lion_step(
        np.array([5.0, 5.0, 5.0]), np.array([-1.0, -8.0, 0.0]), np.array([1.0, 1.0, 0.0]), 0.5, 0.5, 0.75, 0.0
    )
    assert theta.tolist() == [5.0, 5.5, 5.0]
    assert m.tolist() == [0.5, -1.25, 0.0]


# ---------------------------------------- without a schedule, against its algorithm


def road_less_scheduled(grads, theta, lr, beta, weight_decay, warmup, second=None):
    """Schedule-free SGD, or with `second` = (beta2, eps) AdamW: arXiv 2405.15682, equations 3 to 5 and algorithm 1.

    With three sequences, as printed there; it returns y, where the gradients are taken, and x, the average.
    """
    x = z = y = theta
    v, sum_of_squares = 0.0, 0.0
    for t, g in enumerate(grads, start=1):
        rate = lr * min(1.0, t / warmup) if warmup else lr
        if second:
            beta2, eps = second
            v = beta2 * v + (1 - beta2) * g**2
            g = g / (np.sqrt(v / (1 - beta2**t)) + eps)
        z = z - rate * g - rate * weight_decay * y
        sum_of_squares += rate**2
        c = rate**2 / sum_of_squares
        x = (1 - c) * x + c * z
        y = (1 - beta) * z + beta * x
    return y, x


ROADS = [(0.9, 0.0, 0, 0.1), (0.9, 0.1, 0, 0.01), (0.5, 0.0, 30, 0.03), (0.0, 0.3, 100, 0.1), (0.98, 0.02, 1, 1e-3)]


@pytest.mark.parametrize("second", [None, (0.999, 1e-8), (0.95, 1e-3)], ids=["sgd", "adamw", "adamw, short memory"])
@pytest.mark.parametrize(("beta", "weight_decay", "warmup", "lr"), ROADS)
def test_schedule_free_is_its_papers_algorithm(beta, weight_decay, warmup, lr, second):
    make = functools.partial(rules.schedule_free_adamw, beta, *second) if second else rules.schedule_free_sgd
    rule = (
        make(weight_decay=weight_decay, warmup_steps=warmup)
        if second
        else make(beta, weight_decay, warmup_steps=warmup)
    )
    theta = start()
    state = rule.init(theta)
    for step, grads in enumerate(stream(1, 1000)):
        theta, state = rule.step(theta, grads, state, step, lr)
    average = rules.schedule_free_average(theta, state, lr, beta)
    papers = {
        n: road_less_scheduled([g[n] for g in stream(1, 1000)], start()[n], lr, beta, weight_decay, warmup, second)
        for n in SHAPES
    }
    assert distance(theta, {n: y for n, (y, _) in papers.items()}) <= 1e-12
    assert distance(average, {n: x for n, (_, x) in papers.items()}) <= 1e-12


def test_schedule_free_with_beta_0_walks_as_sgd_and_averages_what_it_walked():
    rule, theta, walked = rules.schedule_free_sgd(beta=0.0), 10.0, []
    state = rule.init(theta)
    for step in range(20):
        theta, state = rule.step(theta, 2 * theta, state, step, 0.1)
        walked.append(theta)
        assert theta == pytest.approx(10.0 * 0.8 ** (step + 1), rel=1e-12)
        assert rules.schedule_free_average(theta, state, 0.1, beta=0.0) == pytest.approx(np.mean(walked), rel=1e-12)


def test_the_average_comes_in_thetas_form():
    theta = {"W": np.ones((2, 3)), "b": [4.0]}
    state = ({"b": [2.0], "W": np.full((2, 3), 3.0)}, None)
    average = rules.schedule_free_average(theta, state, lr=0.5, beta=0.5)
    assert average["W"].tolist() == [[0.25] * 3] * 2 and average["b"] == [3.5]


# ------------------------------------------------------------ Muon against torch's

TABLES = [(4, 3), (3, 5), (6, 2), (1, 4), (3, 3)]
MUONS = [
    {},
    {"momentum": 0.8, "nesterov": False, "weight_decay": 0.0},
    {"weight_decay": 0.5, "ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5), "eps": 1e-3},
]


def tables(seed):
    rng = np.random.default_rng(seed)
    return [torch.tensor(rng.normal(size=shape)) for shape in TABLES]


def our_muon(settings, **more):
    names = {"ns_steps": "iterations", "ns_coefficients": "coefficients"}
    return rules.muon(**{names.get(name, name): value for name, value in settings.items()}, **more)


@pytest.mark.parametrize("settings", MUONS, ids=["left out", "plain momentum", "all set"])
def test_three_hundred_steps_equal_torchs_muon_when_it_does_not_round(settings, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    theirs, ours = [torch.nn.Parameter(t) for t in tables(0)], tables(0)
    rule, optimizer = our_muon(settings), torch.optim.Muon(theirs, lr=0.02, **settings)
    state = rule.init(ours)
    for step in range(300):
        grads = tables(step + 1)
        for parameter, grad in zip(theirs, grads, strict=True):
            parameter.grad = grad.clone()
        optimizer.step()
        ours, state = rule.step(ours, grads, state, step, 0.02)
    for our, their in zip(ours, theirs, strict=True):
        assert torch.linalg.norm(our - their.detach()) <= 1e-12 * torch.linalg.norm(their.detach())


def test_rounded_as_torchs_muon_it_is_torchs_to_a_bfloat16s_last_digit():
    def off(rule):
        worst = 0.0
        for seed in range(100):
            theirs, ours, grads = [torch.nn.Parameter(t) for t in tables(0)], tables(0), tables(seed + 1)
            for parameter, grad in zip(theirs, grads, strict=True):
                parameter.grad = grad.clone()
            torch.optim.Muon(theirs, lr=1.0).step()
            ours, _ = rule.step(ours, grads, rule.init(ours), 0, 1.0)
            worst = max(worst, *((o - t.detach()).abs().max().item() for o, t in zip(ours, theirs, strict=True)))
        return worst

    last_digit = 2.0**-7  # of a bfloat16 from 1 to 2
    assert off(rules.muon(rounded=lambda x: x.bfloat16().to(x.dtype))) <= last_digit
    assert off(rules.muon()) > 3 * last_digit


@pytest.mark.parametrize("shape", TABLES, ids=str)
def test_five_iterations_bring_the_singular_values_close_to_one_and_keep_their_directions(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    inner = left.T @ rules.orthogonalize(matrix) @ right.T
    assert (values / np.linalg.norm(values) > 0.01).all()
    assert np.all((np.diag(inner) > 0.68) & (np.diag(inner) < 1.14))
    assert np.allclose(inner, np.diag(np.diag(inner)), atol=1e-12)


def test_with_the_coefficients_that_converge_the_matrix_becomes_orthogonal():
    matrix = np.random.default_rng(0).normal(size=(3, 5))
    turned = rules.orthogonalize(matrix, iterations=40, coefficients=(1.875, -1.25, 0.375))
    assert np.allclose(turned @ turned.T, np.eye(3), atol=1e-12)


def test_the_length_of_a_gradient_is_no_matter_to_muon_until_it_is_below_eps():
    matrix = np.random.default_rng(0).normal(size=(3, 5))
    assert np.allclose(rules.orthogonalize(1e6 * matrix), rules.orthogonalize(matrix), rtol=1e-9)
    assert np.abs(rules.orthogonalize(1e-12 * matrix)).max() < 0.1
    assert rules.orthogonalize(np.zeros((2, 3))).tolist() == [[0.0] * 3] * 2


def test_numpy_and_torch_take_the_same_steps_with_muon():
    rule, start = rules.muon(), {"W": np.random.default_rng(0).normal(size=(4, 3))}
    grad = {"W": np.random.default_rng(1).normal(size=(4, 3))}
    with_numpy, (kept,) = rule.step(start, grad, rule.init(start), 0, 0.1)
    theta = {"W": torch.tensor(start["W"])}
    with_torch, _ = rule.step(theta, {"W": torch.tensor(grad["W"])}, rule.init(theta), 0, 0.1)
    assert np.allclose(with_numpy["W"], with_torch["W"].numpy(), rtol=1e-12)
    assert kept["W"] == pytest.approx(0.05 * grad["W"])


def test_muon_compiles_whole_and_travels():
    torch.compiler.reset()
    rule = pickle.loads(pickle.dumps(rules.muon()))
    theta, grad = tables(0), tables(1)
    compiled = torch.compile(rule.update, backend="eager", fullgraph=True)
    once, twice = (step(theta, grad, rule.init(theta), (), torch.tensor(0.1))[0] for step in (compiled, rule.update))
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))


@pytest.mark.parametrize("theta", [np.ones(3), np.ones((2, 2, 2)), 1.0], ids=["vector", "three axes", "number"])
def test_muon_takes_matrices_only(theta):
    with pytest.raises(ValueError, match="^Only a matrix can be orthogonalized, .* to another rule.$"):
        rules.muon().step(theta, theta, rules.muon().init(theta), 0, 0.1)


# ------------------------------------------- the classic mistakes are visible to all this


RIGHT = {
    "momentum": lambda t, g, k, v, lr: rules.momentum_step(t, g, v, lr, 0.9),
    "nesterov": lambda t, g, k, v, lr: rules.nesterov_step(t, g, v, lr, 0.9),
    "adagrad": lambda t, g, k, s, lr: rules.adagrad_step(t, g, s, lr),
    "rmsprop": lambda t, g, k, s, lr: rules.rmsprop_step(t, g, s, lr),
    "adam": lambda t, g, k, m, v, lr: rules.adam_step(t, g, m, v, k, lr, 0.9, 0.99, 1e-8),
    "adamw": lambda t, g, k, m, v, lr: rules.adamw_step(t, g, m, v, k, lr, 0.9, 0.99, 1e-8, 0.1),
    "lion": lambda t, g, k, m, lr: rules.lion_step(t, g, m, lr, 0.9, 0.99, 0.1),
}
THEIRS = {
    "momentum": (SGD, {"momentum": 0.9}),
    "nesterov": (SGD, {"momentum": 0.9, "nesterov": True}),
    "adagrad": (torch.optim.Adagrad, {}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "adam": (ADAM, {"betas": (0.9, 0.99)}),
    "adamw": (torch.optim.AdamW, {"betas": (0.9, 0.99), "weight_decay": 0.1}),
}


def _adamish(
    t, g, k, m, v, lr, b1=0.9, b2=0.99, eps=1e-8, c1=None, c2=None, root=True, eps_inside=False, eps_early=False
):
    """Adam with one thing wrong."""
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
    c1 = 1 - b1 ** (k + 1) if c1 is None else c1(b1, k)
    c2 = 1 - b2 ** (k + 1) if c2 is None else c2(b2, k)
    if eps_inside:
        return t - lr * (m / c1) / np.sqrt(v / c2 + eps), m, v
    if eps_early:
        return t - lr * (m / c1) / ((np.sqrt(v) + eps) / np.sqrt(c2)), m, v
    return t - lr * (m / c1) / ((np.sqrt(v / c2) if root else v / c2) + eps), m, v


def _one(beta, k):
    return 1.0


def _then(step, move):
    """After `step`, change the new theta: (new theta, old theta, lr) -> theta."""

    def wrong(t, g, k, *rest):
        new, *state = step(t, g, k, *rest)
        return move(new, t, rest[-1]), *state

    return wrong


def _keeps_corrected(t, g, k, m, v, lr):
    t, m, v = _adamish(t, g, k, m, v, lr)
    return t, m / (1 - 0.9 ** (k + 1)), v / (1 - 0.99 ** (k + 1))


def _lionish(t, g, k, m, lr, b1=0.9, b2=0.99, blend=None, sign=np.sign, wd=0.1, inside=0.0, decay_rate=None):
    new = b2 * m + (1 - b2) * g
    d = sign((b1 * m + (1 - b1) * g if blend is None else blend(m, g, new)) + inside * t)
    return t - lr * d - (lr if decay_rate is None else decay_rate) * wd * t, new


WRONG = {
    "momentum": {
        "average-not-sum": lambda t, g, k, v, lr: (t - lr * (0.9 * v + 0.1 * g), 0.9 * v + 0.1 * g),
        "uses-old-velocity": lambda t, g, k, v, lr: (t - lr * v, 0.9 * v + g),
        "velocity-not-kept": lambda t, g, k, v, lr: (t - lr * (0.9 * v + g), v),
        "lr-twice": lambda t, g, k, v, lr: (t - lr * (0.9 * v + lr * g), 0.9 * v + lr * g),
        "momentum-on-gradient": lambda t, g, k, v, lr: (t - lr * (v + 0.9 * g), v + 0.9 * g),
        "momentum-on-both": lambda t, g, k, v, lr: (t - lr * 0.9 * (v + g), 0.9 * (v + g)),
        "signs-cross": lambda t, g, k, v, lr: (t - (0.9 * v - lr * g), 0.9 * v - lr * g),
    },
    "nesterov": {
        "plain-momentum": lambda t, g, k, v, lr: (t - lr * (0.9 * v + g), 0.9 * v + g),
        "looks-ahead-twice": lambda t, g, k, v, lr: (t - lr * 1.9 * (0.9 * v + g), 0.9 * v + g),
        "forgets-momentum-ahead": lambda t, g, k, v, lr: (t - lr * (g + 0.9 * v + g), 0.9 * v + g),
        "drops-gradient": lambda t, g, k, v, lr: (t - lr * 0.9 * (0.9 * v + g), 0.9 * v + g),
        "keeps-the-step": lambda t, g, k, v, lr: (t - lr * (g + 0.9 * (0.9 * v + g)), g + 0.9 * (0.9 * v + g)),
        "average-not-sum": lambda t, g, k, v, lr: (t - lr * (g + 0.9 * (0.9 * v + 0.1 * g)), 0.9 * v + 0.1 * g),
    },
    "adagrad": {
        "forgets-root": lambda t, g, k, s, lr: (t - lr * g / (s + g * g + 1e-10), s + g * g),
        "uses-old-sum": lambda t, g, k, s, lr: (t - lr * g / (np.sqrt(s) + 1e-10), s + g * g),
        "forgets": lambda t, g, k, s, lr: (t - lr * g / (np.sqrt(0.99 * s + g * g) + 1e-10), 0.99 * s + g * g),
        "sum-not-kept": lambda t, g, k, s, lr: (t - lr * g / (np.sqrt(s + g * g) + 1e-10), s),
        "starts at 0.1, eps inside (Keras, optax)": lambda t, g, k, s, lr: (
            t - lr * g / np.sqrt(s + g * g + 0.1 * (k == 0) + 1e-7),
            s + g * g + 0.1 * (k == 0),
        ),
    },
    "rmsprop": {
        "forgets-root": lambda t, g, k, s, lr: (t - lr * g / (0.99 * s + 0.01 * g * g + 1e-8), 0.99 * s + 0.01 * g * g),
        "never-forgets": lambda t, g, k, s, lr: (t - lr * g / (np.sqrt(s + g * g) + 1e-8), s + g * g),
        "weights-swapped": lambda t, g, k, s, lr: (
            t - lr * g / (np.sqrt(0.01 * s + 0.99 * g * g) + 1e-8),
            0.01 * s + 0.99 * g * g,
        ),
        "full-weight-on-new": lambda t, g, k, s, lr: (
            t - lr * g / (np.sqrt(0.99 * s + g * g) + 1e-8),
            0.99 * s + g * g,
        ),
        "uses-old-average": lambda t, g, k, s, lr: (t - lr * g / (np.sqrt(s) + 1e-8), 0.99 * s + 0.01 * g * g),
        "climbs": lambda t, g, k, s, lr: (
            t + lr * g / (np.sqrt(0.99 * s + 0.01 * g * g) + 1e-8),
            0.99 * s + 0.01 * g * g,
        ),
        "eps inside the root": lambda t, g, k, s, lr: (
            t - lr * g / np.sqrt(0.99 * s + 0.01 * g * g + 1e-8),
            0.99 * s + 0.01 * g * g,
        ),
        "decay .9 (Keras)": lambda t, g, k, s, lr: (
            t - lr * g / (np.sqrt(0.9 * s + 0.1 * g * g) + 1e-8),
            0.9 * s + 0.1 * g * g,
        ),
    },
    "adam": {
        "no-correction": functools.partial(_adamish, c1=_one, c2=_one),
        "power-from-0": functools.partial(
            _adamish, c1=lambda b, k: 1 - b ** max(k, 1), c2=lambda b, k: 1 - b ** max(k, 1)
        ),
        "corrects-m-only": functools.partial(_adamish, c2=_one),
        "corrects-v-only": functools.partial(_adamish, c1=_one),
        "betas-swapped": functools.partial(_adamish, b1=0.99, b2=0.9),
        "forgets-root": functools.partial(_adamish, root=False),
        "keeps-corrected": _keeps_corrected,
        "multiplies-correction": functools.partial(
            _adamish, c1=lambda b, k: 1 / (1 - b ** (k + 1)), c2=lambda b, k: 1 / (1 - b ** (k + 1))
        ),
        "eps inside the root": functools.partial(_adamish, eps_inside=True),
        "eps before correction (Keras)": functools.partial(_adamish, eps_early=True),
    },
    "adamw": {
        "l2-in-gradient": lambda t, g, k, m, v, lr: _adamish(t, g + 0.1 * t, k, m, v, lr),
        "decay-without-lr": _then(_adamish, lambda new, old, lr: new - 0.1 * old),
        "weights-grow": _then(_adamish, lambda new, old, lr: new + lr * 0.1 * old),
        "no-decay": _adamish,
        "decays-after-step": _then(_adamish, lambda new, old, lr: new - lr * 0.1 * new),
        "decays-twice": _then(_adamish, lambda new, old, lr: new - 2 * lr * 0.1 * old),
        "decay-over-root-v": lambda t, g, k, m, v, lr: (
            t
            - lr
            * ((0.9 * m + 0.1 * g) / (1 - 0.9 ** (k + 1)) + 0.1 * t)
            / (np.sqrt((0.99 * v + 0.01 * g * g) / (1 - 0.99 ** (k + 1))) + 1e-8),
            0.9 * m + 0.1 * g,
            0.99 * v + 0.01 * g * g,
        ),
    },
    "lion": {
        "moves-m-first": functools.partial(_lionish, blend=lambda m, g, new: new),
        "blends-with-new-m": functools.partial(_lionish, blend=lambda m, g, new: 0.9 * new + 0.1 * g),
        "betas-swapped": functools.partial(_lionish, b1=0.99, b2=0.9),
        "sign-of-gradient": functools.partial(_lionish, blend=lambda m, g, new: g),
        "forgets-sign": functools.partial(_lionish, sign=lambda c: c),
        "one-beta": functools.partial(_lionish, b2=0.9),
        "decay-inside-sign": functools.partial(_lionish, wd=0.0, inside=0.1),
        "decay-without-lr": functools.partial(_lionish, decay_rate=1.0),
    },
}


def _by_hand(step, parts, steps=60, lr=0.05):
    theta, state = start(), {name: [np.zeros(shape)] * parts for name, shape in SHAPES.items()}
    for k, grads in enumerate(stream(1, steps)):
        for name, grad in grads.items():
            theta[name], *state[name] = step(theta[name], grad + 1e-300, k, *state[name], lr)
    return theta


@functools.cache
def _expected(name):
    if name == "lion":
        return our_walk(rules.lion(0.9, 0.99, 0.1), 60, 0.05)
    optimizer, settings = THEIRS[name]
    return torchs_walk(optimizer, 60, lr=0.05, **settings)


@pytest.mark.parametrize("name", RIGHT)
def test_the_function_forms_equal_torch_and_the_rules(name):
    parts = 2 if name.startswith("adam") else 1
    assert distance(_by_hand(RIGHT[name], parts), _expected(name)) <= 1e-12


@pytest.mark.parametrize(("name", "mistake"), [(name, mistake) for name, row in WRONG.items() for mistake in row])
def test_a_classic_mistake_would_not_pass(name, mistake):
    parts = 2 if name.startswith("adam") else 1
    with np.errstate(all="ignore"):
        assert not distance(_by_hand(WRONG[name][mistake], parts), _expected(name)) <= 1e-7


# --------------------------------------------------------------- published numbers


def walk(rule, grad_fn, theta, lr, steps):
    """Where a rule stands after some steps; `lr` a number, or step -> number."""
    theta = np.array(theta, dtype=float)
    state = rule.init(theta)
    for step in range(steps):
        theta, state = rule.step(theta, grad_fn(theta), state, step, lr(step) if callable(lr) else lr)
    return theta


def wrong_rule(step, parts=1, settings=()):
    """A wrong step function (θ, g, k, *state, lr) in the clothes of a `Rule`."""

    class Wrong:
        def init(self, theta):
            return (np.zeros_like(theta),) * parts

        def step(self, theta, grad, state, k, lr):
            theta, *state = step(theta, grad, k, *state, lr)
            return theta, tuple(state)

    return Wrong()


def gives(rule, grad_fn, theta, lr, steps, published, within=0.51e-6):
    with np.errstate(all="ignore"):
        came = walk(rule, grad_fn, theta, lr, steps)
    return bool(np.all(np.abs(came - published) <= within))


def slope(*curvatures):
    return lambda theta: np.array(curvatures).reshape(np.shape(theta)) * theta


UPHILL = wrong_rule(lambda t, g, k, lr: (t + lr * g,), 0)
NO_LR = wrong_rule(lambda t, g, k, lr: (t - g,), 0)
SIGN_ONLY = wrong_rule(lambda t, g, k, lr: (t - lr * np.sign(g),), 0)
ONE_SLOPE = wrong_rule(lambda t, g, k, lr: (t - lr * np.mean(g),), 0)
LR_OUTSIDE = wrong_rule(lambda t, g, k, lr: (lr * (t - g),), 0)


@pytest.mark.parametrize(
    ("grad_fn", "theta", "lr", "steps", "published"),
    [
        (slope(2), 10.0, 0.2, 10, 0.060466),
        (slope(2), 10.0, 0.05, 10, 3.486784),
        (slope(2), 10.0, 1.1, 10, 61.917364),
        (lambda x: np.cos(0.15 * np.pi * x) - 0.15 * np.pi * x * np.sin(0.15 * np.pi * x), 10.0, 2.0, 10, -1.528166),
        (slope(2, 4), (-5.0, -2.0), 0.1, 20, (-0.057646, -0.000073)),
        (slope(0.2, 4), (-5.0, -2.0), 0.4, 20, (-0.943467, -0.000073)),
        (slope(0.2, 4), (-5.0, -2.0), 0.6, 20, (-0.387814, -1673.365109)),
    ],
)
def test_gradient_descent_ends_where_dive_into_deep_learning_says(grad_fn, theta, lr, steps, published):
    assert gives(rules.gradient_descent(), grad_fn, theta, lr, steps, published)
    assert not any(
        gives(wrong, grad_fn, theta, lr, steps, published) for wrong in (UPHILL, NO_LR, SIGN_ONLY, LR_OUTSIDE)
    )
    assert np.ndim(theta) == 0 or not gives(ONE_SLOPE, grad_fn, theta, lr, steps, published)


@pytest.mark.parametrize(("mu", "published"), [(0.5, (0.007188, 0.002553)), (0.25, (-0.126340, -0.186632))])
def test_momentum_ends_where_dive_into_deep_learning_says(mu, published):
    case = (slope(0.2, 4), (-5.0, -2.0), 0.6, 20, published)
    assert gives(rules.momentum(mu), *case)
    wrong = [
        rules.momentum_ema(mu),
        rules.nesterov(mu),
        rules.momentum(mu, dampening=mu),
        wrong_rule(lambda t, g, k, v, lr: (t - lr * v, mu * v + g)),
        wrong_rule(lambda t, g, k, v, lr: (t - lr * (mu * v + g), v)),
        wrong_rule(lambda t, g, k, v, lr: (t - lr * (v + mu * g), v + mu * g)),
        wrong_rule(lambda t, g, k, v, lr: (t - lr * mu * (v + g), mu * (v + g))),
    ]
    assert not any(gives(rule, *case) for rule in wrong)


@pytest.mark.parametrize(("lr", "published"), [(0.4, (-2.382563, -0.158591)), (2.0, (-0.002295, 0.0))])
def test_adagrad_ends_where_dive_into_deep_learning_says(lr, published):
    case = (slope(0.2, 4), (-5.0, -2.0), lr, 20, published, 1.1e-6)  # its ε of 1e-6 stands inside the root
    assert gives(rules.adagrad(), *case)
    wrong = [
        rules.adagrad(initial=0.1),
        rules.rmsprop(0.9),
        wrong_rule(WRONG["adagrad"]["forgets-root"]),
        wrong_rule(WRONG["adagrad"]["uses-old-sum"]),
        wrong_rule(WRONG["adagrad"]["sum-not-kept"]),
        wrong_rule(WRONG["adagrad"]["forgets"]),
    ]
    assert not any(gives(rule, *case) for rule in wrong)


def test_rmsprop_ends_where_dive_into_deep_learning_says():
    """Its ε of 1e-6 stands inside the root; at gradients this large six decimals hardly tell."""
    case = (slope(0.2, 4), (-5.0, -2.0), 0.4, 20, (-0.010599, 0.0), 1.1e-6)
    assert gives(rules.rmsprop(0.9, eps=1e-6), *case)
    wrong = [
        rules.rmsprop(0.99, eps=1e-6),
        rules.adagrad(),
        wrong_rule(lambda t, g, k, s, lr: (t - lr * g / np.sqrt(0.1 * s + 0.9 * g * g + 1e-6), 0.1 * s + 0.9 * g * g)),
        wrong_rule(lambda t, g, k, s, lr: (t - lr * g / np.sqrt(0.9 * s + g * g + 1e-6), 0.9 * s + g * g)),
        wrong_rule(lambda t, g, k, s, lr: (t - lr * g / np.sqrt(s + 1e-6), 0.9 * s + 0.1 * g * g)),
        wrong_rule(lambda t, g, k, s, lr: (t - lr * g / (0.9 * s + 0.1 * g * g + 1e-6), 0.9 * s + 0.1 * g * g)),
    ]
    assert not any(gives(rule, *case) for rule in wrong)


def _arenas_slope(theta):
    x, y = theta
    sigmoid = 1 / (1 + np.exp(-y))
    return np.array([2 * np.tanh(x) * (1 - np.tanh(x) ** 2) + 0.01 * np.sign(x), sigmoid * (1 - sigmoid)])


@pytest.mark.parametrize(("lr", "mu", "published"), [(0.1, 0.0, (0.2300, 1.4820)), (0.02, 0.99, (0.7196, -6.4586))])
def test_arenas_two_walks(lr, mu, published):
    case = (_arenas_slope, (2.5, 2.5), lr, 100, published, 0.51e-4)
    assert gives(rules.momentum(mu), *case)
    wrong = [UPHILL, NO_LR, ONE_SLOPE] + (
        [rules.momentum_ema(mu), rules.nesterov(mu), rules.momentum(mu, mu)] if mu else []
    )
    assert not any(gives(rule, *case) for rule in wrong)


@pytest.mark.parametrize(("lr", "first_ratio"), [(1, 0.9604), (10, 0.64), (100, 1.0), (1000, 361.0)])
def test_cs336s_learning_rate_tuning(lr, first_ratio):
    """L = mean(w²) of a 10 × 10 matrix, rate lr/√(t + 1): L_t/L_0 = ∏(1 − .02·lr/√(k + 1))²."""
    start_at = np.random.default_rng(5).normal(size=(10, 10)) * 5
    expected = math.prod((1 - 0.02 * lr / math.sqrt(k + 1)) ** 2 for k in range(3))

    def ratio(rate, steps, grad_fn=lambda w: 2 * w / w.size):
        return float(
            np.mean(walk(rules.gradient_descent(), grad_fn, start_at, rate, steps) ** 2) / np.mean(start_at**2)
        )

    def rate(step):
        return lr / math.sqrt(step + 1)

    assert ratio(rate, 1) == pytest.approx(first_ratio, rel=1e-12)
    assert ratio(rate, 3) == pytest.approx(expected, rel=1e-9)
    for wrong in (
        ratio(lr, 3),
        ratio(lambda k: lr / math.sqrt(k + 2), 3),
        ratio(rate, 3, lambda w: w / w.size),
        ratio(rate, 3, lambda w: 2 * w),
    ):
        assert wrong != pytest.approx(expected, rel=1e-3)


CS336_ADAMW = [[0.8642598, 0.8822038, 0.2075710], [0.0553512, -0.5219155, -0.3903891]]


def cs336s_regression(rule, steps=1000):
    """Stanford CS336's AdamW test: y = (x₀ + x₁, −x₂) from torch's seed 42, squared error, batches of one."""
    torch.manual_seed(42)
    weight = torch.nn.Linear(3, 2, bias=False).weight.detach().numpy()
    state = rule.init(weight)
    for step in range(steps):
        x = torch.rand(3).numpy()
        error = weight @ x - np.array([x[0] + x[1], -x[2]])
        weight, state = rule.step(weight, 2 * np.outer(error, x), state, step, 1e-3)
    return np.abs(weight - CS336_ADAMW).max()


def test_adamw_is_cs336s():
    """Their ε stands before the correction, and they decay the new θ: 5.5e-6 away, as torch's AdamW is."""
    assert cs336s_regression(rules.adamw(weight_decay=0.01)) < 7e-6


@pytest.mark.parametrize(
    "mistake",
    [
        "l2",
        "none",
        "decay-without-lr",
        "weights-grow",
        "no-correction",
        "betas-swapped",
        "power-from-0",
        "keeps-corrected",
    ],
)
def test_adamw_done_wrong_is_not_cs336s(mistake):
    adamish = functools.partial(_adamish, b2=0.999)
    wrong = {
        "l2": rules.adam_l2(weight_decay=0.01),
        "none": rules.adam(),
        "decay-without-lr": wrong_rule(_then(adamish, lambda new, old, lr: new - 0.01 * old), 2),
        "weights-grow": wrong_rule(_then(adamish, lambda new, old, lr: new + lr * 0.01 * old), 2),
        "no-correction": wrong_rule(functools.partial(adamish, c1=_one, c2=_one), 2),
        "betas-swapped": rules.adamw(0.999, 0.9),
        "power-from-0": wrong_rule(
            functools.partial(adamish, c1=lambda b, k: 1 - b ** max(k, 1), c2=lambda b, k: 1 - b ** max(k, 1)), 2
        ),
        "keeps-corrected": wrong_rule(_keeps_corrected, 2),
    }[mistake]
    with np.errstate(all="ignore"):
        assert not cs336s_regression(wrong) <= 2e-5


# ------------------------------------------------------- conventions that differ


def test_the_rate_stands_outside_the_velocity():
    """μ = .9, g = 1, rate .1 three times, then .01 three times: −0.683; Keras folds the rate in: −1.278."""
    rates = [0.1] * 3 + [0.01] * 3
    assert walk(rules.momentum(0.9), np.ones_like, 0.0, rates.__getitem__, 6) == pytest.approx(-0.683, abs=5e-4)
    keras = wrong_rule(lambda t, g, k, v, lr: (t + 0.9 * v - lr * g, 0.9 * v - lr * g))
    assert walk(keras, np.ones_like, 0.0, rates.__getitem__, 6) == pytest.approx(-1.278, abs=5e-4)


def test_the_average_form_moves_less_by_one_minus_beta():
    sum_form, average = (
        walk(rule, slope(0.2, 4), (-5.0, -2.0), lr, 15)
        for rule, lr in ((rules.momentum(0.9), 0.01), (rules.momentum_ema(0.9), 0.1))
    )
    assert average == pytest.approx(sum_form, rel=1e-12)
    assert walk(rules.momentum_ema(0.9), slope(0.2, 4), (-5.0, -2.0), 0.01, 15) != pytest.approx(sum_form, rel=0.1)


def test_the_first_gradient_is_not_dampened():
    path = [float(walk(rules.momentum(0.9, dampening=0.9), np.ones_like, 0.0, 0.1, n)) for n in range(5)]
    assert path == pytest.approx([0.0, -0.1, -0.2, -0.3, -0.4], rel=1e-12)
    assert float(walk(rules.momentum_ema(0.9), np.ones_like, 0.0, 0.1, 1)) == pytest.approx(-0.01)


def test_nesterovs_points_are_sutskevers_look_ahead_points():
    mu, lr, grad_fn = 0.9, 0.02, slope(0.2, 4)
    theta, velocity, looks = np.array([-5.0, -2.0]), np.zeros(2), []
    for _ in range(12):
        looks.append(theta + mu * velocity)
        velocity = mu * velocity - lr * grad_fn(theta + mu * velocity)
        theta = theta + velocity
    ours = [walk(rules.nesterov(mu), grad_fn, (-5.0, -2.0), lr, n) for n in range(12)]
    assert np.allclose(ours, looks, rtol=1e-12, atol=0)
    assert not np.allclose(walk(rules.nesterov(mu), grad_fn, (-5.0, -2.0), lr, 12), theta, rtol=1e-2)


def _first_step(rule, grad):
    return float(rule.step(np.array(0.0), np.array(grad), rule.init(np.array(0.0)), 0, 0.1)[0])


def test_where_epsilon_stands_shows_in_the_first_step():
    assert _first_step(rules.adam(), 1e-8) == pytest.approx(-0.05, rel=1e-6)
    keras = wrong_rule(functools.partial(_adamish, b2=0.999, eps=1e-7, eps_early=True), 2)
    assert _first_step(keras, 1e-8) == pytest.approx(-0.000315, rel=3e-3)
    assert _first_step(rules.rmsprop(), 1e-4) == pytest.approx(-0.999, abs=5e-4)
    assert _first_step(
        wrong_rule(lambda t, g, k, s, lr: (t - lr * g / np.sqrt(0.1 * g * g + 1e-7), s)), 1e-4
    ) == pytest.approx(-0.0315, abs=5e-5)
    assert _first_step(
        wrong_rule(lambda t, g, k, s, lr: (t - lr * g / np.sqrt(0.1 * g * g + 1e-8), s)), 1e-4
    ) == pytest.approx(-0.0953, abs=5e-5)
    assert _first_step(rules.adagrad(), 1e-5) == pytest.approx(-0.1, rel=1e-4)
    assert _first_step(wrong_rule(WRONG["adagrad"]["starts at 0.1, eps inside (Keras, optax)"]), 1e-4) == pytest.approx(
        -0.000032, abs=5e-7
    )


def test_decay_after_adam_is_not_decay_before_it():
    steep = {"theta": np.array([1.0, 1.0]), "grad": np.array([100.0, 0.01])}
    after, before = (
        rule.step(steep["theta"], steep["grad"], rule.init(steep["theta"]), 0, 0.1)[0]
        for rule in (rules.adamw(weight_decay=0.5), rules.adam_l2(weight_decay=0.5))
    )
    assert after == pytest.approx([0.85, 0.85], abs=1e-6)
    assert before == pytest.approx([0.9, 0.9], abs=1e-6)


def test_for_plain_gradient_descent_decay_and_l2_are_one():
    decay = rules.add_decayed_weights(0.3)
    for chained in (rules.chain(decay, rules.gradient_descent()), rules.chain(rules.gradient_descent(), decay)):
        assert walk(chained, slope(0.2, 4), (-5.0, -2.0), 0.1, 10) == pytest.approx(
            walk(rules.gradient_descent(), slope(0.5, 4.3), (-5.0, -2.0), 0.1, 10), rel=1e-12
        )


# -------------------------------------------------------------------- composition


@pytest.mark.parametrize(
    ("length", "scale"), [(0.5, 1.0), (2.0, 1.0), (2.0000001, 2 / 2.0000001), (8.0, 0.25), (0.0, 1.0)]
)
def test_clipping_below_at_and_above_the_limit(length, scale):
    unit = {"W": np.array([[0.36, -0.48], [0.0, 0.0]]), "b": np.array(0.8)}
    grads = {name: g * length for name, g in unit.items()}
    clipped, norm = rules.clip_by_norm(grads, 2.0)
    assert norm == pytest.approx(length, rel=1e-15)
    assert all(np.allclose(clipped[n], grads[n] * scale, rtol=1e-14, atol=0) for n in grads)
    if scale == 1.0 and norm <= 2.0:
        assert all(np.array_equal(clipped[n], grads[n]) for n in grads)
    parameters = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in grads.values()]
    for parameter, g in zip(parameters, grads.values(), strict=True):
        parameter.grad = torch.tensor(g)
    assert float(torch.nn.utils.clip_grad_norm_(parameters, 2.0)) == pytest.approx(norm, rel=1e-14)
    assert all(np.allclose(p.grad, clipped[n], rtol=1e-6, atol=0) for p, n in zip(parameters, grads, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda g, m: {n: v * min(1, m / np.linalg.norm(v)) for n, v in g.items()},  # each array alone
        lambda g, m: {n: np.clip(v, -m, m) for n, v in g.items()},  # each number alone
        lambda g, m: {n: v * m / rules.global_norm(g) for n, v in g.items()},  # always rescales
        lambda g, m: g,  # never clips
        lambda g, m: {n: v * min(1, m / rules.global_norm(g) ** 2) for n, v in g.items()},  # forgets the root
        lambda g, m: {
            n: v * min(1, m / sum(np.linalg.norm(x) for x in g.values())) for n, v in g.items()
        },  # adds norms
    ],
)
def test_a_classic_way_to_clip_wrongly_would_not_pass(wrong):
    grads = {"W": np.array([1.2, -0.9]), "b": np.array([2.0])}
    equal = []
    for max_norm in (1.0, 2.4, 2.6, 10.0):
        right, _ = rules.clip_by_norm(grads, max_norm)
        equal.append(all(np.allclose(wrong(grads, max_norm)[n], right[n], rtol=1e-5) for n in grads))
    assert not all(equal)


def test_a_gradient_that_is_not_finite_is_not_hidden():
    clipped, norm = rules.clip_by_norm([np.array([np.nan, 1.0]), np.array([2.0])], 1.0)
    assert math.isnan(norm) and np.isnan(clipped[0]).all() and np.isnan(clipped[1]).all()


def test_clipping_keeps_the_kind_of_each_array():
    clipped, _ = rules.clip_by_norm([np.array([3.0, 1.0], np.float32), np.array([4.0])], 1.0)
    assert [g.dtype.name for g in clipped] == ["float32", "float64"]


def test_a_chain_runs_in_its_order():
    theta, grads = [np.array([3.0, -2.0]), np.array([1.0])], [np.array([30.0, -0.2]), np.array([40.0])]
    rule = rules.chain(
        rules.clip_global_norm(1.0), rules.add_decayed_weights(0.1), rules.momentum(0.9), rules.clip_value(0.25)
    )
    state = ([np.array([0.1, 0.2]), np.array([0.0])],)
    norm = math.sqrt(30**2 + 0.2**2 + 40**2)
    velocity = [
        0.9 * np.array([0.1, 0.2]) + np.array([30.0, -0.2]) / norm + 0.1 * theta[0],
        np.array([40 / norm + 0.1]),
    ]
    moved, (kept,) = rule.step(theta, grads, state, 4, 2.0)
    assert all(np.allclose(k, v, rtol=1e-14) for k, v in zip(kept, velocity, strict=True))
    assert all(
        np.allclose(m, t - 2.0 * np.clip(v, -0.25, 0.25), rtol=1e-14)
        for m, t, v in zip(moved, theta, velocity, strict=True)
    )
    assert rule.state_names == ("velocity",) and rule.state_per_parameter == 1


def test_two_rules_with_memory_keep_both():
    rule = rules.chain(rules.momentum_ema(0.5), rules.adam(0.9, 0.99), name="both")
    assert (rule.name, rule.state_names, rule.scalar_names) == (
        "both",
        ("velocity", "m", "v"),
        ("gain", "correction1", "correction2"),
    )
    assert rule.scalars(1) == pytest.approx((0.5, 1 - 0.9**2, 1 - 0.99**2), rel=1e-15)
    _, (velocity, m, v) = rule.step(1.0, 8.0, rule.init(1.0), 0, 0.1)
    assert (velocity, m, v) == pytest.approx((4.0, 0.4, 0.16))


RULES = [
    rules.gradient_descent(),
    rules.momentum(0.9, 0.5),
    rules.momentum_ema(0.8),
    rules.nesterov(0.9),
    rules.adagrad(),
    rules.rmsprop(),
    rules.adam(),
    rules.adam_l2(weight_decay=0.1),
    rules.adamw(weight_decay=0.1),
    rules.lion(weight_decay=0.1),
    rules.schedule_free_sgd(weight_decay=0.1, warmup_steps=2),
    rules.schedule_free_adamw(weight_decay=0.1),
    rules.chain(rules.clip_global_norm(1.0), rules.clip_value(0.3), rules.add_decayed_weights(0.1), rules.adam()),
]


@pytest.mark.parametrize(
    ("rule", "numbers"), list(zip(RULES, [0, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 2, 2], strict=True)), ids=_label
)
def test_the_state_has_the_form_of_theta_once_for_each_name(rule, numbers):
    theta = {"W": np.ones((2, 3), np.float32), "layers": [torch.ones(4), (np.ones(()), 2.0)]}
    state = rule.init(theta)
    assert rule.state_per_parameter == len(rule.state_names) == len(state) == numbers
    for part in state:
        assert part["W"].dtype == np.float32 and part["W"].shape == (2, 3)
        assert part["layers"][0].shape == (4,) and part["layers"][0].dtype == torch.float32
        assert part["layers"][1] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("make", "name", "state_names"),
    [
        (rules.gradient_descent, "gradient_descent", ()),
        (rules.momentum, "momentum", ("velocity",)),
        (rules.momentum_ema, "momentum_ema", ("velocity",)),
        (rules.nesterov, "nesterov", ("velocity",)),
        (rules.adagrad, "adagrad", ("sum_sq",)),
        (rules.rmsprop, "rmsprop", ("square_avg",)),
        (rules.adam, "adam", ("m", "v")),
        (rules.adam_l2, "adam_l2", ("m", "v")),
        (rules.adamw, "adamw", ("m", "v")),
        (rules.lion, "lion", ("m",)),
        (rules.muon, "muon", ("m",)),
        (rules.schedule_free_sgd, "schedule_free_sgd", ("ahead",)),
        (rules.schedule_free_adamw, "schedule_free_adamw", ("ahead", "v")),
        (lambda: rules.clip_global_norm(1.0), "clip_global_norm", ()),
        (lambda: rules.clip_value(1.0), "clip_value", ()),
        (lambda: rules.add_decayed_weights(0.1), "add_decayed_weights", ()),
    ],
)
def test_a_rule_says_its_name_and_what_it_remembers(make, name, state_names):
    rule = make()
    assert (rule.name, rule.state_names) == (name, state_names)


def test_dicts_inside_dicts_come_in_the_order_of_the_other_tree():
    tree, like = {"a": {"y": 1.0, "x": 2.0}, "b": [3.0]}, {"b": [0.0], "a": {"x": 0.0, "y": 0.0}}
    assert rules.leaves(tree, like) == [3.0, 2.0, 1.0]
    assert rules.leaves([{"y": 1.0, "x": 2.0}], [{"x": 0.0, "y": 0.0}]) == [2.0, 1.0]


def test_a_tree_is_rebuilt_whatever_is_nested_in_what():
    tree = ({"W": (1.0, [2.0])}, [(3.0,)])
    assert rules.leaves(tree) == [1.0, 2.0, 3.0]
    assert rules.rebuild(tree, [10.0, 20.0, 30.0]) == ({"W": (10.0, [20.0])}, [(30.0,)])


@pytest.mark.parametrize(("tree", "like"), [([1.0], [0.0, 0.0]), ([1.0, 2.0], [0.0])])
def test_a_row_of_another_length_has_no_order_to_borrow(tree, like):
    with pytest.raises(ValueError):
        rules.leaves(tree, like)


def test_clipping_cuts_plain_numbers_on_both_sides():
    rule = rules.chain(rules.clip_value(1.0), rules.gradient_descent())
    assert rule.step([10.0, 10.0, 10.0], [4.0, -4.0, 0.5], (), 0, 2.0) == ([8.0, 12.0, 9.0], ())


def test_adagrads_sum_may_start_above_zero_even_for_whole_numbers():
    (sum_sq,) = rules.adagrad(initial=0.1).init(np.array([1, 2]))
    assert sum_sq.tolist() == [0.1, 0.1]


@pytest.mark.parametrize("rule", RULES, ids=_label)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_torch_take_the_same_steps_and_keep_their_kind(rule, dtype):
    ours = {n: v.astype(dtype) for n, v in start().items()}
    theirs = {n: torch.tensor(v) for n, v in ours.items()}
    our_state, their_state = rule.init(ours), rule.init(theirs)
    for step, grads in enumerate(stream(1, 60)):
        grads = {n: np.asarray(g, dtype) for n, g in reversed(grads.items())}  # a dict's order is no matter
        ours, our_state = rule.step(ours, grads, our_state, np.int64(step), np.float64(0.01))
        theirs, their_state = rule.step(theirs, {n: torch.tensor(g) for n, g in grads.items()}, their_state, step, 0.01)
    assert list(ours) == list(SHAPES)
    for name in SHAPES:
        assert ours[name].dtype == dtype and theirs[name].dtype == getattr(torch, dtype)
        assert all(part[name].dtype == dtype for part in our_state)
        assert np.allclose(
            ours[name], theirs[name], rtol={"float32": 2e-4, "float64": 1e-12}[dtype], atol=1e-6 * (dtype == "float32")
        )


@pytest.mark.parametrize("rule", RULES, ids=_label)
def test_every_rule_compiles_whole_and_gives_the_same_numbers(rule):
    torch.compiler.reset()
    theta = [torch.linspace(-1, 2, 6).reshape(2, 3), torch.tensor([0.3, -0.7])]
    compiled = torch.compile(rule.update, backend="eager", fullgraph=True)
    state = rule.init(theta)
    for step in range(3):
        grad = [torch.cos(t * (step + 1)) for t in theta]
        once, kept = compiled(theta, grad, state, rule.scalars(step), torch.tensor(0.1))
        theta, state = rule.update(theta, grad, state, rule.scalars(step), torch.tensor(0.1))
        assert all(
            torch.equal(a, b) for a, b in zip(rules.leaves((once, kept)), rules.leaves((theta, state)), strict=True)
        )


@pytest.mark.parametrize("rule", RULES, ids=_label)
def test_a_rule_changes_nothing_it_was_given_and_remembers_nothing(rule):
    theta, grad = np.array([3.0, -2.0]), np.array([0.5, 4.0])
    state = tuple(np.array([0.7, 0.9]) for _ in rule.state_names)
    for array in (theta, grad, *state):
        array.flags.writeable = False
    first, second = (rule.step(theta, grad, state, 3, 0.1) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and all(
        np.array_equal(a, b) for a, b in zip(first[1], second[1], strict=True)
    )


@pytest.mark.parametrize("rule", RULES, ids=_label)
def test_a_rule_can_travel_to_another_process(rule):
    theta, grad = np.array([3.0, -2.0]), np.array([0.5, 4.0])
    copy = pickle.loads(pickle.dumps(rule))
    assert np.array_equal(
        copy.step(theta, grad, copy.init(theta), 0, 0.1)[0], rule.step(theta, grad, rule.init(theta), 0, 0.1)[0]
    )


@pytest.mark.parametrize("rule", RULES, ids=_label)
def test_plain_numbers_stay_plain_numbers(rule):
    theta, state = rule.step(3.0, 0.5, rule.init(3.0), 0, 0.125)
    assert type(theta) is float and all(type(part) is float for part in state)


# ------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("grad", "state", "step", "sentence"),
    [
        (
            {"W": np.ones((2, 1)), "b": 1.0},
            None,
            0,
            r"theta\['W'\] is of shape \(2,\), but its gradient or state is of shape \(2, 1\)",
        ),
        (
            {"W": np.ones(2)},
            None,
            0,
            r"theta is a dict of \['W', 'b'\], but its gradient or state is a dict of \['W'\]",
        ),
        ({"W": 1.0, "b": 1.0}, None, 0, r"theta\['W'\] is of shape \(2,\), but its gradient or state is of shape \(\)"),
        ([np.ones(2), 1.0], None, 0, "a row of 2 parts"),
        (None, (), 0, r"remembers \('velocity',\), but the state has 0 parts"),
        (None, None, -1, "Steps count from 0, but step is -1"),
        (None, None, math.nan, "Steps count from 0, but step is nan"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(grad, state, step, sentence):
    rule, theta = rules.momentum(), {"W": np.ones(2), "b": 1.0}
    with pytest.raises(ValueError, match=sentence):
        rule.step(theta, grad or theta, rule.init(theta) if state is None else state, step, 0.1)


@pytest.mark.parametrize("grad", [[1.0, 2.0, 3.0], [1.0], np.ones(2)])
def test_a_row_of_parameters_needs_a_row_of_as_many_gradients(grad):
    with pytest.raises(ValueError, match="^theta is a row of 2 parts, but its gradient or state is "):
        rules.gradient_descent().step([1.0, 2.0], grad, (), 0, 0.1)


def test_the_last_settings_that_make_sense_are_taken():
    assert rules.momentum(1.0).step(1.0, 2.0, (3.0,), 1, 1.0) == (-4.0, (5.0,))
    assert rules.momentum(0.0, dampening=1.0).step(1.0, 2.0, (3.0,), 1, 1.0) == (1.0, (0.0,))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: rules.momentum(1.1), "momentum .* from 0 to 1, but is 1.1"),
        (lambda: rules.nesterov(-0.1), "momentum .* but is -0.1"),
        (lambda: rules.momentum_step(1.0, 1.0, 0.0, 0.1, math.nan), "momentum .* but is nan"),
        (lambda: rules.momentum(0.9, 2), "dampening .* but is 2"),
        (lambda: rules.momentum_ema(1.0), "beta .* below 1, but is 1.0"),
        (lambda: rules.adagrad(-1), "eps .* but is -1"),
        (lambda: rules.adagrad(initial=-1), "initial .* but is -1"),
        (lambda: rules.adagrad(initial=math.inf), "initial .* but is inf"),
        (lambda: rules.rmsprop(1.0), "decay .* below 1, but is 1.0"),
        (lambda: rules.rmsprop(eps=math.inf), "eps .* but is inf"),
        (lambda: rules.adam(1.0), "beta1 .* below 1, but is 1.0"),
        (lambda: rules.adamw(beta2=1.0), "beta2 .* below 1, but is 1.0"),
        (lambda: rules.adam_l2(eps=-1e-8), "eps .* but is -1e-08"),
        (lambda: rules.adamw(weight_decay=-0.1), "weight_decay .* but is -0.1"),
        (lambda: rules.add_decayed_weights(math.inf), "weight_decay .* but is inf"),
        (lambda: rules.lion(-0.1), "beta1 .* but is -0.1"),
        (lambda: rules.lion(beta2=1.5), "beta2 .* but is 1.5"),
        (lambda: rules.muon(1.0), "momentum .* below 1, but is 1.0"),
        (lambda: rules.muon(eps=-1), "eps .* but is -1"),
        (lambda: rules.muon(iterations=0), "iterations .* but is 0"),
        (lambda: rules.muon(weight_decay=-1), "weight_decay .* but is -1"),
        (lambda: rules.schedule_free_sgd(1.0), "beta .* below 1, but is 1.0"),
        (lambda: rules.schedule_free_sgd(weight_decay=-1), "weight_decay .* but is -1"),
        (lambda: rules.schedule_free_sgd(warmup_steps=-1), "warmup_steps .* but is -1"),
        (lambda: rules.schedule_free_adamw(1.0), "beta1 .* below 1, but is 1.0"),
        (lambda: rules.schedule_free_adamw(beta2=1.0), "beta2 .* below 1, but is 1.0"),
        (lambda: rules.schedule_free_adamw(eps=-1), "eps .* but is -1"),
        (lambda: rules.schedule_free_adamw(weight_decay=math.inf), "weight_decay .* but is inf"),
        (lambda: rules.schedule_free_adamw(warmup_steps=-2), "warmup_steps .* but is -2"),
        (lambda: rules.clip_global_norm(0), "max_norm .* above 0, but is 0"),
        (lambda: rules.clip_by_norm(1.0, -1), "max_norm .* above 0, but is -1"),
        (lambda: rules.clip_by_norm(1.0, 0), "max_norm .* above 0, but is 0"),
        (lambda: rules.clip_value(0), "limit .* above 0, but is 0"),
        (
            lambda: rules.stable_learning_rate([[1.0, 2.0], [0.0, 1.0]]),
            "^A Hessian is a symmetric square matrix: second derivatives do not depend on their order.$",
        ),
        (lambda: rules.stable_learning_rate([[1.0, 0.0], [0.0, -2.0]]), "smallest curvature is -2"),
        (lambda: rules.stable_learning_rate([[1.0, 0.0], [0.0, 0.0]]), "smallest curvature is 0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


# ------------------------------------------------------- the largest stable rate


def test_below_the_stable_rate_the_loss_shrinks_and_above_it_grows():
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    hessian = turn @ np.diag([0.5, 2.0, 5.0]) @ turn.T
    limit = rules.stable_learning_rate(hessian)
    assert limit == pytest.approx(0.4, rel=1e-12)
    below, above = (
        np.linalg.norm(descend(lambda t: hessian @ t, turn.sum(axis=1), factor * limit, 400)[-1])
        for factor in (0.99, 1.01)
    )
    assert below < 0.01 and above > 100
    largest_entry, trace, smallest = 2 / np.abs(hessian).max(), 2 / np.trace(hessian), 2 / 0.5
    for wrong in (limit / 2, largest_entry, trace, smallest, 2 / 5.5, 5 / 2):
        assert wrong != pytest.approx(limit, rel=1e-3)
    assert rules.stable_learning_rate(2.0) == 1.0
    assert rules.stable_learning_rate(np.float32(3.0)) == 2 / 3  # in double precision, whatever the Hessian's kind


@pytest.mark.parametrize(
    ("make", "right", "wrong"),
    [(rules.momentum, [0.0, 0.5, 1.0], [0.5, 1.01]), (rules.momentum_ema, [0.0, 0.5], [0.5, 1.0])],
    ids=["momentum", "momentum_ema"],
)
def test_a_memory_may_be_one_for_each_run_and_all_have_to_make_sense(make, right, wrong):
    theta, _ = make(np.array(right)).step(np.zeros(len(right)), np.ones(len(right)), (np.ones(len(right)),), 1, 1.0)
    for end, one in zip(theta, right, strict=True):
        assert end == make(one).step(0.0, 1.0, (1.0,), 1, 1.0)[0]
    for entries in (wrong, [-0.01, 0.5], [np.nan, 0.5]):
        with pytest.raises(ValueError, match="is kept"):
            make(np.array(entries))
