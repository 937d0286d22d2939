"""Batches see every example once an epoch, and go on exactly where their state was taken."""

import numpy as np
import pytest
import torch

from gdlab.torch.data import DeviceBatches, Prefetch, TokenBatches, write_tokens


def device_batches(seed=3, **more):
    return DeviceBatches([torch.arange(10), torch.arange(10) * 2.0], batch_size=4, seed=seed, **more)


def token_batches(seed=3):
    return TokenBatches(np.arange(50), batch_size=3, context=4, rng=np.random.default_rng(seed))


KINDS = {
    "device": device_batches,
    "tokens": token_batches,
    "prefetched tokens": lambda seed=3: Prefetch(token_batches(seed), "cpu"),
    "prefetched": lambda seed=3: Prefetch(device_batches(seed), "cpu"),
}


def drawn(batches, count):
    return [torch.cat([part.reshape(-1).double() for part in next(batches)]).tolist() for _ in range(count)]


def test_an_epoch_holds_every_example_once_with_what_belongs_to_it():
    batches = device_batches()
    for epoch in range(3):
        pairs = [next(batches) for _ in range(3)]
        assert batches.epoch == epoch and batches.position == 3
        assert torch.cat([x for x, _ in pairs]).sort().values.tolist() == list(range(10))
        assert all(torch.equal(y, 2.0 * x) for x, y in pairs)


def test_every_epoch_has_an_order_of_its_own_and_every_seed_another():
    batches = device_batches()
    first, second = drawn(batches, 3), drawn(batches, 3)
    assert first != second
    assert drawn(device_batches(), 3) == first and drawn(device_batches(seed=4), 3) != first


def test_the_last_short_batch_may_be_dropped():
    batches = device_batches(drop_last=True)
    assert [len(next(batches)[0]) for _ in range(4)] == [4, 4, 4, 4]
    assert batches.epoch == 1 and batches.position == 2


def test_windows_of_tokens_cover_the_text_once_and_targets_are_one_later():
    batches = token_batches()
    pairs = [next(batches) for _ in range(4)]
    assert torch.cat([x for x, _ in pairs]).reshape(-1).sort().values.tolist() == list(range(48))
    assert all(torch.equal(y, x + 1) and y.is_contiguous() and y.dtype == torch.int64 for x, y in pairs)
    assert batches.epoch == 0 and next(batches) and batches.epoch == 1


@pytest.mark.parametrize(("largest", "kind"), [(255, np.uint8), (256, np.uint16), (65_536, np.uint32)])
def test_a_token_file_is_mapped_and_no_larger_than_its_tokens_need(tmp_path, largest, kind):
    tokens = np.arange(50) + largest - 49
    batches = TokenBatches(write_tokens(tmp_path / "text.npy", tokens), 12, 4, np.random.default_rng(0))
    assert isinstance(batches.tokens, np.memmap) and batches.tokens.dtype == kind
    assert next(batches)[1].max() == largest - 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("done", [0, 1, 3, 5])
def test_after_a_restore_the_same_batches_follow(kind, done):
    first = KINDS[kind]()
    drawn(first, done)
    state, epoch = first.state(), first.epoch
    rest = drawn(first, 7)
    second = KINDS[kind](seed=99)
    drawn(second, 2)
    second.restore(state)
    assert second.epoch == epoch
    assert drawn(second, 7) == rest
    first.restore(state)
    assert drawn(first, 7) == rest  # the state did not change while batches were drawn


def test_prefetching_changes_nothing_but_when():
    assert drawn(KINDS["prefetched"](), 8) == drawn(device_batches(), 8)
    batches = KINDS["prefetched"]()
    drawn(batches, 3)
    assert batches.epoch == 0  # the batch that is on its way already belongs to epoch 1
    assert batches.batches.epoch == 1


def shares_of(kind, shares):
    """Batches of four, as each of so many processes gets them."""
    if kind == "device":
        return [device_batches(drop_last=True, share=(k, shares)) for k in range(shares)]
    rng = np.random.default_rng
    return [TokenBatches(np.arange(50), 4, 4, rng(3), share=(k, shares)) for k in range(shares)]


@pytest.mark.parametrize("kind", ["device", "tokens"])
def test_the_shares_of_a_batch_are_equal_and_together_the_whole_batch(kind):
    (whole,), parts = shares_of(kind, 1), shares_of(kind, 2)
    for _ in range(5):
        batch, pieces = next(whole), [next(part) for part in parts]
        assert [len(piece[0]) for piece in pieces] == [2, 2]
        assert all(
            torch.equal(torch.cat(halves), both) for halves, both in zip(zip(*pieces, strict=True), batch, strict=True)
        )


@pytest.mark.parametrize("kind", ["device", "tokens"])
def test_what_two_shared_four_go_on_with(kind):
    first, second, *_ = shares_of(kind, 2)
    drawn(first, 3), drawn(second, 3)
    assert str(first.state()) == str(second.state())
    (whole,), four = shares_of(kind, 1), shares_of(kind, 4)
    drawn(whole, 3)
    for part in four:
        part.restore(first.state())
    assert torch.equal(torch.cat([next(part)[0] for part in four]), next(whole)[0])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: DeviceBatches([torch.zeros(3), torch.zeros(4)], 1, 0),
            "one row for each example, .* 3 on cpu, 4 on cpu",
        ),
        (lambda: DeviceBatches([torch.zeros(3)], 0, 0), "batch_size is 0 and there are 3"),
        (lambda: DeviceBatches([torch.zeros(3)], 4, 0, drop_last=True), "batch_size is 4 and there are 3"),
        (lambda: DeviceBatches([torch.zeros(0)], 1, 0), "there are 0 examples"),
        (lambda: device_batches(share=(0, 2)), "leave a short one, which has no 2 equal shares: .* drop_last=True"),
        (lambda: device_batches(drop_last=True, share=(0, 3)), "A batch of 4 .* no number 0 of 3 equal ones"),
        (lambda: device_batches(drop_last=True, share=(2, 2)), "no number 2 of 2 equal ones"),
        (lambda: TokenBatches(np.arange(50), 3, 4, None, share=(1, 2)), "A batch of 3 .* no number 1 of 2 equal ones"),
        (lambda: TokenBatches(np.arange(12), 3, 4, np.random.default_rng(0)), "needs 13 tokens, but there are 12"),
        (lambda: device_batches().restore(device_batches(drop_last=True).state()), "drop_last = False, .* had True"),
        (
            lambda: TokenBatches(np.arange(50), 3, 5, np.random.default_rng(0)).restore(token_batches().state()),
            "hold 5 tokens, but the saved ones 4",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize("tokens", [[-1, 3], [2**32]])
def test_what_is_no_token_is_refused(tmp_path, tokens):
    with pytest.raises(ValueError, match="A token is a whole number from 0 to 4294967295"):
        write_tokens(tmp_path / "text.npy", np.array(tokens))
