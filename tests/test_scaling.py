"""The cost model of an update on many GPUs: its corners, its units, and each part against something that is counted."""

import doctest
import math

import numpy as np
import pytest

import gdlab.scaling
from gdlab.scaling import Cluster, expected_largest, ring_bytes, update_time

CLUSTER = Cluster(flops=3e14, near=4e11, far=5e10, gpus_per_machine=8, delay=2e-5, spread=0.03)
N, TOKENS = 7 * 10**9, 2**22


def ring(gradients):
    """An all-reduce around a ring, as machines do it; the sums, and the bytes that each sent."""
    n = len(gradients)
    held, sent = [np.array_split(gradient, n) for gradient in gradients], [0] * n
    for turn in range(2 * (n - 1)):
        message = [held[m][(m - turn) % n] for m in range(n)]
        for m in range(n):
            sent[m] += message[m].nbytes
            there, part = held[(m + 1) % n], (m - turn) % n
            there[part] = there[part] + message[m] if turn < n - 1 else message[m]
    return [np.concatenate(parts) for parts in held], sent


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_a_ring_sends_the_bytes_that_the_formula_says(n):
    gradients = [np.random.default_rng(k).normal(size=240) for k in range(n)]
    sums, sent = ring(gradients)
    assert all(np.allclose(total, sum(gradients)) for total in sums)
    assert sent == [ring_bytes(gradients[0].nbytes, n)] * n


@pytest.mark.parametrize(
    ("n", "exact"), [(1, 0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (10, 1.5387527308351729)]
)
def test_the_largest_of_a_few_normal_numbers_is_what_tables_say(n, exact):
    assert expected_largest(n) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("n", [2, 64, 1024])
def test_the_largest_of_many_is_what_a_simulation_finds(n):
    drawn = np.random.default_rng(n).normal(size=(4000, n)).max(axis=1)
    assert abs(drawn.mean() - expected_largest(n)) < 4 * drawn.std() / math.sqrt(len(drawn))
    assert expected_largest(n) < math.sqrt(2 * math.log(n))


def test_a_simulated_update_takes_what_the_model_says():
    """Each GPU draws its own time, then a ring that waits for the slowest."""
    update = update_time(CLUSTER, 64, N, TOKENS)
    mean = 6 * N * TOKENS / 64 / CLUSTER.flops
    slowest = np.random.default_rng(0).normal(mean, CLUSTER.spread * mean, size=(4000, 64)).max(axis=1)
    ring_turn = (4 * N / 64) / CLUSTER.far + CLUSTER.delay
    simulated = slowest.mean() + 2 * 63 * ring_turn - update.hidden
    assert update.seconds == pytest.approx(simulated, rel=1e-3)


def test_one_gpu_only_computes():
    update = update_time(CLUSTER, 1, N, TOKENS)
    assert update.seconds == update.computing == 6 * N * TOKENS / CLUSTER.flops and update.efficiency == 1.0
    assert update.tokens_per_second == TOKENS / update.seconds


def test_inside_a_machine_messages_are_faster():
    inside, outside = (update_time(CLUSTER, gpus, N, TOKENS) for gpus in (8, 9))
    assert inside.averaging == pytest.approx(2 * 7 / 8 * 4 * N / 4e11 + 14 * 2e-5)
    assert outside.averaging == pytest.approx(2 * 8 / 9 * 4 * N / 5e10 + 16 * 2e-5)


def test_messages_hide_behind_the_last_backward_pass_and_no_longer():
    for gpus, accumulation in ((64, 1), (64, 16), (1024, 1)):
        update = update_time(CLUSTER, gpus, N, TOKENS, accumulation=accumulation)
        assert update.hidden == pytest.approx(min(update.averaging, update.computing * 2 / 3 / accumulation))
    assert update.hidden < update.averaging  # 1,024 GPUs have too little to compute


def test_with_the_same_batch_more_gpus_are_faster_and_less_busy():
    updates = [update_time(CLUSTER, gpus, N, TOKENS) for gpus in (1, 8, 64, 512, 1024)]
    speeds, busy = [u.tokens_per_second for u in updates], [u.efficiency for u in updates]
    assert speeds == sorted(speeds) and busy == sorted(busy, reverse=True)


@pytest.mark.parametrize("how", [{"gpus": 0}, {"gpus": 1.5}, {"gpus": 2, "accumulation": 0}])
def test_half_a_gpu_is_refused(how):
    with pytest.raises(ValueError, match="is a whole number from 1 up"):
        update_time(CLUSTER, n_params=N, tokens=TOKENS, **how)


def test_the_examples_in_the_docstrings_are_true():
    result = doctest.testmod(gdlab.scaling)
    assert result.failed == 0 and result.attempted == 5
