"""Two models to train: a multilayer perceptron and a small GPT.

The GPT is GPT-2's architecture (Radford et al. 2019) in the size of nanoGPT: embeddings of tokens and places, blocks
of causal self-attention and a feed-forward layer, each added to what came in after a layer norm, and an output layer
that is the token embedding again (tied weights). At the start every weight is drawn from N(0, 0.02²), and the last
layer of each branch from a distribution narrower by √(2·layers), so that the sum over the branches keeps its size.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


def mlp(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between them.

    >>> [tuple(p.shape) for p in mlp([64, 32, 10]).parameters()]
    [(32, 64), (32,), (10, 32), (10,)]
    """
    if len(sizes) < 2:
        raise ValueError(f"A perceptron needs the sizes of its input and its output at least, but sizes is {sizes!r}.")
    layers: list[nn.Module] = []
    for before, after in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class GPT(nn.Module):
    """A GPT of any size.

    Args:
        vocabulary: how many tokens there are; 256 for the bytes of a text.
        context: the most tokens it looks at.
        width: numbers a token is represented by; a multiple of `heads`.
        layers: how many blocks.
        heads: how many attentions side by side.
        dropout: the part of the numbers that is left out while training.

    >>> model = GPT(vocabulary=256, context=8, width=16, layers=2, heads=2)
    >>> model(torch.zeros(3, 8, dtype=torch.long)).shape
    torch.Size([3, 8, 256])
    """

    def __init__(
        self,
        vocabulary: int = 256,
        context: int = 128,
        width: int = 128,
        layers: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
    ):
        super().__init__()
        if width % heads:
            raise ValueError(f"Each of {heads} heads takes an equal part of the width, but the width is {width}.")
        self.context = context
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                narrower = math.sqrt(2 * layers) if name.endswith("out.weight") else 1.0
                nn.init.normal_(parameter, std=0.02 / narrower)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of the next token at every place: (batch, length) -> (batch, length, vocabulary)."""
        length = tokens.shape[1]
        if length > self.context:
            raise ValueError(f"This model looks at {self.context} tokens at most, but was given {length}.")
        x = self.dropout(self.tokens(tokens) + self.places.weight[:length])
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.tokens.weight)


class Block(nn.Module):
    """x + attention(norm(x)), and to that + feed_forward(norm(…))."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_in, self.attention_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed_forward_in, self.feed_forward_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(self.attention_out(self._attend(self.attention_norm(x))))
        hidden = functional.gelu(self.feed_forward_in(self.feed_forward_norm(x)), approximate="tanh")
        return x + self.dropout(self.feed_forward_out(hidden))

    def _attend(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        split = self.attention_in(x).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (batch, heads, length, width of a head)
        dropped = self.rate if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropped, is_causal=True)
        return mixed.transpose(1, 2).reshape(batch, length, width)


def next_token_loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The mean cross-entropy of the next token, in nats."""
    inputs, targets = batch
    return functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def class_loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The mean cross-entropy of the right class, in nats."""
    inputs, targets = batch
    return functional.cross_entropy(model(inputs), targets)


def decayed_and_not(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The parameters that weight decay is for (matrices), and the others (biases, norms), as in nanoGPT.

    >>> decayed, kept = decayed_and_not(mlp([64, 32, 10]))
    >>> len(decayed), len(kept)
    (2, 2)
    """
    params = list(model.parameters())
    return [p for p in params if p.dim() >= 2], [p for p in params if p.dim() < 2]
