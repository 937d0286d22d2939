"""The models have the sizes they say, start as they say, and look only where they may."""

import math

import pytest
import torch

from gdlab.torch.models import GPT, class_loss, decayed_and_not, mlp, next_token_loss


def small(**more):
    torch.manual_seed(0)
    return GPT(**{"vocabulary": 32, "context": 12, "width": 16, "layers": 2, "heads": 4} | more)


def test_at_gpt2s_size_it_has_gpt2s_parameters():
    with torch.device("meta"):
        model = GPT(vocabulary=50_257, context=1024, width=768, layers=12, heads=12)
    assert sum(p.numel() for p in model.parameters()) == 124_439_808
    assert len(list(model.parameters())) == 148


def test_it_looks_at_what_came_before_and_never_ahead():
    model, tokens = small(), torch.randint(32, (1, 12), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 32
    before, after = model(tokens)[0], model(changed)[0]
    assert torch.equal(before[:7], after[:7])
    assert all(not torch.allclose(before[k], after[k]) for k in range(7, 12))


def test_the_output_layer_is_the_embedding_of_the_tokens():
    model = small()
    with torch.no_grad():
        model.tokens.weight[5] = 0.0
    logits = model(torch.tensor([[1, 2, 3]]))
    assert (logits[..., 5] == 0).all() and logits[..., 6].all()
    logits[0, -1, 9].backward()
    assert model.tokens.weight.grad[9].any()  # no input: it is reached through the output


def test_the_order_of_the_tokens_matters():
    model = small(layers=1)  # a second block would tell by what the first was allowed to see
    first, second = (model(torch.tensor([row]))[0, -1] for row in ([1, 2, 3, 4], [2, 1, 3, 4]))
    assert not torch.allclose(first, second)


def test_at_the_start_every_token_is_about_as_likely():
    model = small()
    tokens = torch.randint(32, (8, 13), generator=torch.Generator().manual_seed(1))
    loss = next_token_loss(model, (tokens[:, :-1], tokens[:, 1:])).item()
    assert loss == pytest.approx(math.log(32), rel=0.02)


def test_the_last_layer_of_each_branch_starts_narrower():
    model = GPT(vocabulary=64, context=64, width=128, layers=8, heads=4)
    block = model.blocks[3]
    assert block.attention_in.weight.std().item() == pytest.approx(0.02, rel=0.05)
    for layer in (block.attention_out, block.feed_forward_out):
        assert layer.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)
    assert not block.attention_in.bias.any() and (model.norm.weight == 1).all()


def test_dropout_acts_in_training_only():
    model, tokens = small(dropout=0.5), torch.zeros(1, 5, dtype=torch.long)
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


def test_the_perceptron_ends_without_a_relu():
    torch.manual_seed(0)
    model = mlp([3, 8, 4])
    assert model(torch.randn(50, 3)).min() < 0
    loss = class_loss(model, (torch.zeros(2, 3), torch.tensor([1, 2])))
    expected = -model(torch.zeros(1, 3)).log_softmax(1)[0, [1, 2]].mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_every_parameter_is_decayed_or_not():
    model = small()
    decayed, kept = decayed_and_not(model)
    assert len(decayed) + len(kept) == len(list(model.parameters()))
    assert any(p is model.tokens.weight for p in decayed) and any(p is model.norm.bias for p in kept)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: GPT(width=10, heads=4), "Each of 4 heads takes an equal part of the width, but the width is 10"),
        (lambda: small()(torch.zeros(1, 13, dtype=torch.long)), "12 tokens at most, but was given 13"),
        (lambda: mlp([3]), "input and its output at least, but sizes is"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
