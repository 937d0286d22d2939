"""Sweeps: every run is what it would be alone, however it is cut into chunks, wherever it runs, killed or not."""

import math
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from gdlab import rules, sweep
from gdlab.loop import read_checkpoint
from gdlab.sweep import Axis, Sweep, from_loss, linear_axis, log_axis, noisy_quadratic, run_sweep, tanh_network

DEVICES = ("numpy", "cpu")
RATES = (log_axis("lr_W1", 0.05, 300.0, 7), log_axis("lr_W2", 0.05, 300.0, 9))
NETWORK = tanh_network(width=4, seed=3)
QUADRATIC = noisy_quadratic([4.0, 1.0, 0.25], noise=0.3, start=[1.0, -2.0, 0.5], steps=60, seed=1)


def network_sweep(steps=60):
    return Sweep(NETWORK, RATES, steps)


def alone(problem, rule, rates, steps, settings=None):
    """The losses before each step and after the last, by gdlab's rule on one run's own arrays."""
    theta = {name: array.copy() for name, array in problem.start.items()}
    state = {name: rule.init(array) for name, array in theta.items()}
    losses = []
    for step in range(steps + 1):
        at = {name: rows[min(step, steps - 1)] for name, rows in problem.each_step.items()}
        loss, grad = one_gradient(problem, theta, settings or {}, {**problem.arrays, **at})
        losses.append(loss)
        if step < steps and math.isfinite(loss):
            for name in theta:
                theta[name], state[name] = rule.step(theta[name], grad[name], state[name], step, rates[name])
    return np.array(losses)


def one_gradient(problem, theta, settings, arrays):
    """Loss and gradient by other means than the sweep's: autograd for the network, the formula for the quadratic."""
    if problem.settings or "curvatures" in arrays:
        slope = arrays["curvatures"] * theta["theta"]
        noise = arrays["noise"] * arrays.get("draws", 0) / math.sqrt(settings.get("batch_size", 1))
        return 0.5 * slope @ theta["theta"], {"theta": slope + noise}
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in theta.items()}
    X, y, n = torch.tensor(arrays["X"]), torch.tensor(arrays["y"]), len(theta["W2"])
    loss = ((torch.tanh(X @ leaves["W1"]) @ leaves["W2"] / n - y) ** 2).mean()
    loss.backward()
    return loss.item(), {name: leaf.grad.numpy() for name, leaf in leaves.items()}


# ------------------------------------------------------------- each run is what it would be alone


@pytest.mark.parametrize("device", DEVICES)
def test_each_run_of_the_network_ends_as_it_does_alone(device):
    outcome = run_sweep(network_sweep(), device=device)
    assert 0 < outcome.converged.sum() < outcome.sweep.runs
    steady = 0
    for place in np.ndindex(outcome.sweep.shape):
        rates = {name: axis.values()[i] for name, axis, i in zip(("W1", "W2"), RATES, place, strict=True)}
        with np.errstate(all="ignore"):
            losses = alone(NETWORK, rules.gradient_descent(), rates, 60)
        ratios = losses / losses[0]
        ratios = np.where(np.logical_and.accumulate(ratios <= sweep.LIMIT), ratios, sweep.LIMIT)
        if np.diff(ratios).max() <= 0:  # a walk that is thrown about and comes back amplifies the last digit
            steady += 1
            assert outcome.loss[place] == pytest.approx(losses[-1], rel=1e-9)
            learned = ratios[40:60].mean() < 1
            measure = -ratios[:60].sum() if learned else (1 / ratios[:60]).sum()
            assert outcome.measure[place] == pytest.approx(measure, rel=1e-9)
        assert outcome.diverged[place] == (ratios[-1] == sweep.LIMIT)
    assert steady > 15


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("rule", "axis", "fixed"),
    [
        (rules.gradient_descent, log_axis("batch_size", 1, 64, 3), {}),
        (rules.momentum, linear_axis("momentum", 0.0, 0.9, 3), {"batch_size": 4.0}),
        (rules.momentum, linear_axis("momentum", 0.0, 0.9, 3), {"batch_size": 4.0, "dampening": 0.5}),
        (rules.nesterov, linear_axis("momentum", 0.1, 0.9, 3), {"batch_size": 2.0}),
        (rules.momentum_ema, log_axis("batch_size", 1, 4, 3), {"beta": 0.7}),
        (rules.rmsprop, linear_axis("decay", 0.5, 0.99, 3), {"batch_size": 2.0, "eps": 1e-3}),
        (rules.adam, linear_axis("beta1", 0.0, 0.9, 3), {"batch_size": 8.0, "beta2": 0.95}),
        (rules.adamw, linear_axis("beta2", 0.9, 0.999, 3), {"batch_size": 8.0, "weight_decay": 0.1}),
        (rules.lion, linear_axis("beta2", 0.9, 0.99, 3), {"batch_size": 8.0}),
        (rules.adagrad, log_axis("batch_size", 1, 4, 3), {}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_run_of_the_quadratic_ends_as_it_does_alone(device, rule, axis, fixed):
    rates = log_axis("lr", 0.01, 0.4, 4)
    asked = Sweep(QUADRATIC, (rates, axis), 50, rule, fixed)
    outcome = run_sweep(asked, device=device)
    for i, lr in enumerate(rates.values()):
        for j, value in enumerate(axis.values()):
            own = {**fixed, axis.name: value}
            settings = {"batch_size": own.pop("batch_size")}
            losses = alone(QUADRATIC, rule(**own), {"theta": lr}, 50, settings)
            gone = max(losses) > sweep.LIMIT * losses[0]
            assert outcome.loss[i, j] == pytest.approx(math.inf if gone else losses[-1], rel=1e-9)


def test_the_loop_of_chapter_five_takes_the_same_steps():
    from gdlab.loop import train

    asked = Sweep(QUADRATIC, (log_axis("lr", 0.01, 0.3, 3),), 60, rules.momentum, {"momentum": 0.5, "batch_size": 4})
    outcome = run_sweep(asked, device="numpy")
    curvatures, noise = QUADRATIC.arrays["curvatures"], QUADRATIC.arrays["noise"]

    def loss_and_grad(theta, draws):
        return 0.5 * curvatures @ theta**2, curvatures * theta + noise * draws / 2

    for lr, loss in zip(asked.axes[0].values(), outcome.loss, strict=True):
        draws = QUADRATIC.each_step["draws"]
        run = train(loss_and_grad, QUADRATIC.start["theta"], draws, rules.momentum(0.5), lr, 60, progress=False)
        assert loss == pytest.approx(0.5 * curvatures @ run.theta**2, rel=1e-9)


def test_heavy_ball_on_a_bowl_diverges_beyond_its_limit():
    """η < 2(1 + μ)/λ, the known limit of momentum on a quadratic."""
    asked = Sweep(
        noisy_quadratic([2.0, 0.5]),
        (linear_axis("momentum", 0.0, 0.9, 10), linear_axis("lr", 0.05, 2.0, 40)),
        3000,
        rules.momentum,
    )
    outcome = run_sweep(asked, device="numpy")
    momentum, lr = (axis.values() for axis in asked.axes)
    limit = 2 * (1 + momentum)[:, None] / 2.0
    clear = np.abs(lr / limit - 1) > 0.02
    assert (outcome.diverged == (lr > limit))[clear].all()


def test_a_run_that_diverges_is_marked_and_one_that_only_stays_is_not():
    rates = Axis("lr", 1.0, 4.0, 4, log=False)  # on λ = 1: arrives at once, stays for ever, grows, grows
    outcome = run_sweep(Sweep(noisy_quadratic([1.0]), (rates,), 100), device="numpy")
    assert outcome.diverged.tolist() == [False, False, True, True]
    assert outcome.converged.tolist() == [True, False, False, False]
    assert outcome.loss.tolist() == [0.0, 0.5, math.inf, math.inf]
    # Growing by 4 each step in loss: Σ 4⁻ᵗ while it is below the limit, then 10⁻⁶ for each step that is left.
    below = [4.0**t for t in range(100) if 4.0**t <= sweep.LIMIT]
    assert outcome.measure[2] == pytest.approx(sum(1 / v for v in below) + (100 - len(below)) / sweep.LIMIT, rel=1e-12)
    assert outcome.measure[0] == -1.0 and outcome.measure[1] == 100.0


def test_the_last_step_counts_as_well():
    lr = linear_axis("lr", 0.5, 4.0, 2)  # at 4 the loss grows nine times a step, and passes the limit with the seventh
    before, after = (run_sweep(Sweep(noisy_quadratic([1.0]), (lr,), steps), device="numpy") for steps in (6, 7))
    assert before.diverged.tolist() == [False, False] and after.diverged.tolist() == [False, True]


def test_a_short_run_that_stays_where_it_is_has_not_converged():
    lr = linear_axis("lr", 1.9, 2.0, 2)
    outcome = run_sweep(Sweep(noisy_quadratic([1.0]), (lr,), 5), device="numpy")
    assert outcome.converged.tolist() == [True, False] and outcome.measure[1] == 5.0


# ------------------------------------------------------------- neither chunks nor the device matter


@pytest.mark.parametrize("device", DEVICES)
def test_the_size_of_the_chunks_changes_nothing(device):
    asked = Sweep(NETWORK, (log_axis("lr_W1", 0.05, 4.0, 12), log_axis("lr_W2", 0.05, 4.0, 12)), 60)
    small, large = (run_sweep(asked, device=device, memory=memory) for memory in (1, 1e9))
    assert small.loss == pytest.approx(large.loss, rel=1e-9)
    assert small.measure == pytest.approx(large.measure, rel=1e-9)


def test_numpy_and_torch_agree():
    asked = Sweep(NETWORK, (log_axis("lr_W1", 0.05, 4.0, 12), log_axis("lr_W2", 0.05, 4.0, 12)), 60)
    numpys, torchs = (run_sweep(asked, device=device) for device in DEVICES)
    assert numpys.loss == pytest.approx(torchs.loss, rel=1e-9)
    assert numpys.measure == pytest.approx(torchs.measure, rel=1e-9)


def test_many_chunks_are_made_where_memory_is_short(tmp_path):
    asked = Sweep(NETWORK, (log_axis("lr", 0.1, 10, 150),), 5)
    run_sweep(asked, device="numpy", memory=1, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == math.ceil(150 / sweep.LANES)


def test_single_precision_is_close():
    asked = Sweep(NETWORK, (log_axis("lr", 0.1, 1.0, 5),), 30)
    single, double = (run_sweep(asked, device="cpu", dtype=dtype) for dtype in ("float32", "float64"))
    assert single.loss == pytest.approx(double.loss, rel=1e-4)
    assert (single.loss != double.loss).any()


def test_compiled_sweeps_give_the_same_and_do_not_use_up_each_others_kernels(monkeypatch):
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda take, **how: compile(take, backend="eager", **how))
    asked = [
        Sweep(NETWORK, (log_axis("lr", 0.01, 0.3, 70),), 4),
        Sweep(QUADRATIC, (log_axis("lr", 0.01, 0.3, 70),), 20, rules.adam, {"batch_size": 2.0}),
    ]
    with torch._dynamo.config.patch(recompile_limit=1):
        for one in asked:
            plain, compiled = (run_sweep(one, device="cpu", compiled=yes, memory=1) for yes in (False, True))
            assert compiled.loss == pytest.approx(plain.loss, rel=1e-12)


def test_a_loss_of_ones_own_needs_no_gradient_by_hand():
    def loss(theta, arrays):
        n = theta["W2"].shape[0]
        return ((torch.tanh(arrays["X"] @ theta["W1"]) @ theta["W2"] / n - arrays["y"]) ** 2).mean()

    own = from_loss("mine", loss, NETWORK.start, NETWORK.arrays, workspace=1000)
    axes = (log_axis("lr_W1", 0.1, 3, 3), log_axis("lr_W2", 0.1, 3, 4))
    by_hand, by_torch = (run_sweep(Sweep(problem, axes, 25), device="cpu") for problem in (NETWORK, own))
    assert by_torch.loss == pytest.approx(by_hand.loss, rel=1e-9)
    with pytest.raises(ValueError, match="needs torch"):
        run_sweep(Sweep(own, axes, 25), device="numpy")


def test_the_network_is_the_papers():
    """Mean-field scaling: f(x) = (1/n)·Σ W2·tanh(√(2/n)·W1ᵀx), as many examples as weights."""
    problem = tanh_network(width=16)
    n, D = 16, 16 * 16 + 16
    assert problem.arrays["X"].shape == (D, n) and problem.arrays["y"].shape == (D,)
    X = problem.arrays["X"] / math.sqrt(2 / n)
    assert X.std() == pytest.approx(1.0, rel=0.05)
    f = np.tanh(math.sqrt(2) * (X @ problem.start["W1"]) / math.sqrt(n)) @ problem.start["W2"] / n
    theta = {name: array[..., None] for name, array in problem.start.items()}
    loss, _ = problem.loss_and_grad(theta, {}, problem.arrays)
    assert loss == pytest.approx(((f - problem.arrays["y"]) ** 2).mean(), rel=1e-12)


# ------------------------------------------------------------- killed, and taken up again


KILLED = """
    from gdlab.sweep import *
    asked = Sweep(tanh_network(width=4, seed=3), (log_axis("lr_W1", 0.05, 300.0, 48), log_axis("lr_W2", 0.05, 300.0, 48)), 400)
    print("ready", flush=True)
    run_sweep(asked, device="numpy", memory=1, folder={folder!r})
"""


def test_killed_and_resumed_equals_never_killed_to_the_bit(tmp_path):
    folder = tmp_path / "swept"
    code = textwrap.dedent(KILLED).format(folder=str(folder))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        while len(list(folder.glob("chunk-*"))) < 3 and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    done = len(list(folder.glob("chunk-*")))
    axes = (log_axis("lr_W1", 0.05, 300.0, 48), log_axis("lr_W2", 0.05, 300.0, 48))
    asked = Sweep(tanh_network(width=4, seed=3), axes, 400)
    assert 3 <= done < 48 * 48 / sweep.LANES
    resumed = run_sweep(asked, device="numpy", memory=1, folder=folder)
    whole = run_sweep(asked, device="numpy", memory=1)
    assert np.array_equal(resumed.loss, whole.loss) and np.array_equal(resumed.measure, whole.measure)


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_saved_is_not_run_again_and_what_is_lost_is(tmp_path, device, monkeypatch):
    asked = Sweep(NETWORK, (log_axis("lr", 0.1, 10, 200),), 10)
    whole = run_sweep(asked, device=device, memory=1, folder=tmp_path)
    (tmp_path / "chunk-000001.sweep").unlink()
    (tmp_path / "chunk-000002.sweep").write_bytes(b"half a fi")
    taken = []
    plain = sweep._watch
    monkeypatch.setattr(sweep, "_watch", lambda *given: taken.append(1) or plain(*given))
    again = run_sweep(asked, device=device, memory=1, folder=tmp_path)
    assert len(taken) == 2 * 10
    assert np.array_equal(again.loss, whole.loss) and np.array_equal(again.measure, whole.measure)
    assert read_checkpoint(tmp_path / "chunk-000002.sweep")["loss"].shape == (sweep.LANES,)


@pytest.mark.parametrize(
    "other",
    [
        {"sweep": Sweep(NETWORK, (log_axis("lr", 0.1, 11, 100),), 5)},
        {"sweep": Sweep(NETWORK, (log_axis("lr", 0.1, 10, 100),), 6)},
        {"sweep": Sweep(NETWORK, (log_axis("lr", 0.1, 10, 100),), 5, rules.momentum)},
        {"sweep": Sweep(tanh_network(width=4, seed=4), (log_axis("lr", 0.1, 10, 100),), 5)},
        {"dtype": "float32"},
        {"device": "cpu"},
        {"memory": 1},
    ],
    ids=["axis", "steps", "rule", "data", "dtype", "device", "memory"],
)
def test_a_folder_of_another_sweep_is_refused(tmp_path, other):
    asked = Sweep(NETWORK, (log_axis("lr", 0.1, 10, 100),), 5)
    how = {"sweep": asked, "device": "numpy", "folder": tmp_path}
    run_sweep(**how)
    with pytest.raises(ValueError, match="holds another sweep, which differs in"):
        run_sweep(**{**how, **other})


# ------------------------------------------------------------- axes and zoom


def test_the_last_axis_changes_fastest():
    asked = Sweep(NETWORK, (log_axis("lr_W1", 1, 4, 2), log_axis("lr_W2", 1, 4, 3)), 1)
    values = asked.hyperparameters()
    assert values["lr_W1"].round(9).tolist() == [1, 1, 1, 4, 4, 4]
    assert values["lr_W2"].round(9).tolist() == [1, 2, 4, 1, 2, 4]
    assert asked.hyperparameters(4, 4)["lr_W2"].round(9).tolist() == [2, 4, 4, 4]  # past the end, the last again


def test_a_zoomed_sweep_is_the_same_map_seen_closer():
    asked = Sweep(NETWORK, (log_axis("lr_W1", 0.05, 0.8, 5), log_axis("lr_W2", 0.05, 0.8, 5)), 40)
    window = asked.zoom(2, lr_W1=0.2, lr_W2=0.2)
    assert [axis.values()[[0, 2, 4]].round(9).tolist() for axis in window.axes] == [[0.1, 0.2, 0.4]] * 2
    whole, close = run_sweep(asked, device="numpy"), run_sweep(window, device="numpy")
    assert close.loss[::2, ::2] == pytest.approx(whole.loss[1:4, 1:4], rel=1e-9)


def test_a_zoom_of_ten_decades_still_tells_neighbours_apart():
    axis = log_axis("lr", 1.0, 10.0, 100)
    for _ in range(10):
        axis = axis.zoomed(math.pi, 10)
    assert len(set(axis.values().tolist())) == 100 and axis.low < math.pi < axis.high


# ------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: log_axis("lr", 1.0, 0.1, 5), "from a smaller to a larger number"),
        (lambda: log_axis("lr", 0.1, math.inf, 5), "from a smaller to a larger number"),
        (lambda: log_axis("lr", math.nan, 1.0, 5), "from a smaller to a larger number"),
        (lambda: log_axis("lr", 0.0, 1.0, 5), "begins above 0"),
        (lambda: log_axis("lr", 0.1, 1.0, 1), "2 or more"),
        (lambda: log_axis("lr", 0.1, 1.0, 2.5), "2 or more"),
        (lambda: log_axis("lr", 0.1, 1.0, 5).zoomed(2.0, 2), "a place on the axis"),
        (lambda: log_axis("lr", 0.1, 1.0, 5).zoomed(0.5, 1), "a factor above 1"),
        (lambda: network_sweep().zoom(2, lr_W1=1.0), "one place on each of the axes"),
        (lambda: tanh_network(width=0), "one unit and one example"),
        (lambda: tanh_network(examples=0), "one unit and one example"),
        (lambda: noisy_quadratic([1.0], start=0.0), "a start outside its minimum"),
        (lambda: noisy_quadratic([1.0], noise=-1.0), "a noise of 0 or more"),
        (lambda: Sweep(NETWORK, (), 5), "an axis or more"),
        (lambda: Sweep(NETWORK, (log_axis("lr", 0.1, 1, 3),), 5, fixed={"lr": 1.0}), "each hyper-parameter once"),
        (lambda: Sweep(NETWORK, (log_axis("lr", 0.1, 1, 3),), 0), "steps is a whole number from 1 up"),
        (lambda: Sweep(NETWORK, (log_axis("lr_W1", 0.1, 1, 3),), 5), r"needs \['lr_W2'\]"),
        (lambda: Sweep(NETWORK, (log_axis("rate", 0.1, 1, 3),), 5), "Nothing here is called 'rate'"),
        (lambda: Sweep(NETWORK, (log_axis("momentum", 0.1, 0.9, 3),), 5, fixed={"lr": 1}), "called 'momentum'"),
        (lambda: Sweep(NETWORK, (log_axis("lr", 0.1, 1, 3),), 5, fixed={"batch_size": 1}), "called 'batch_size'"),
        (lambda: Sweep(QUADRATIC, (log_axis("lr", 0.1, 1, 3),), 5), r"needs \['batch_size'\]"),
        (lambda: Sweep(QUADRATIC, (linear_axis("batch_size", 0, 9, 3),), 5, fixed={"lr": 1}), "batch_size is a number"),
        (lambda: Sweep(QUADRATIC, (log_axis("lr", 0.1, 1, 3),), 61, fixed={"batch_size": 1}), "draws for 60 steps"),
        (lambda: Sweep(NETWORK, (linear_axis("lr", -1.0, 1, 3),), 5), "lr is a number above 0"),
        (lambda: Sweep(NETWORK, (log_axis("lr", 0.1, 1, 3),), 5, rules.momentum()), "the constructor"),
        (lambda: Sweep(NETWORK, (log_axis("lr", 0.1, 1, 3),), 5, rules.muon), "would mix the runs"),
        (
            lambda: Sweep(NETWORK, (linear_axis("momentum", 0.5, 1.5, 3),), 5, rules.momentum, {"lr": 1}),
            "momentum says which part of the velocity is kept",
        ),
        (lambda: run_sweep(network_sweep(), dtype="float16"), 'dtype is "float64" or "float32"'),
        (lambda: run_sweep(network_sweep(), device="abacus"), "no device 'abacus'"),
        (lambda: run_sweep(network_sweep(), memory=0), "a number of bytes above 0"),
        (lambda: run_sweep(network_sweep(), device="numpy", compiled=True), "needs torch"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_without_torch_a_sweep_runs_on_numpy(monkeypatch):
    monkeypatch.setattr(sweep, "find_spec", lambda name: None)
    asked = Sweep(NETWORK, (log_axis("lr", 0.1, 1, 3),), 5)
    assert np.array_equal(run_sweep(asked).loss, run_sweep(asked, device="numpy").loss)
    with pytest.raises(ValueError, match="Install gdlab"):
        run_sweep(asked, device="cpu")


def test_the_bar_counts_runs_and_stays_away_when_asked(capsys):
    asked = Sweep(NETWORK, (log_axis("lr", 0.1, 1, 100),), 5)
    run_sweep(asked, device="numpy", memory=1, progress=True)
    assert "100/100" in capsys.readouterr().err
    run_sweep(asked, device="numpy", memory=1)
    assert capsys.readouterr().err == ""
