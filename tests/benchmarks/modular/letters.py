"""The small GPT of ``gpt.py``, and its text: each letter drawn from the two before."""

import torch
from torch import Tensor, nn

LETTERS, LENGTH, WIDTH = 16, 32, 64


class Block(nn.Module):
    """Causal attention and two dense layers, each after a norm, each beside a skip."""

    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.mix = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        wide = nn.Linear(WIDTH, 4 * WIDTH)
        self.dense = nn.Sequential(wide, nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, h: Tensor) -> Tensor:
        parts = self.mix(self.norms[0](h)).chunk(3, dim=-1)
        split = [p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts]
        seen = nn.functional.scaled_dot_product_attention(*split, is_causal=True)
        h = h + self.out(seen.transpose(1, 2).flatten(2))
        return h + self.dense(self.norms[1](h))


class Letters(nn.Module):
    """Letters and their places, as vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.letter = nn.Embedding(LETTERS, WIDTH)
        self.place = nn.Parameter(torch.zeros(LENGTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return self.letter(x) + self.place


def stages(seed: int) -> list[nn.Module]:
    """Return the model in four parts."""
    torch.manual_seed(seed)
    ends = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, LETTERS))
    first, last = nn.Sequential(Letters(), Block()), nn.Sequential(Block(), ends)
    return [first, Block(), Block(), last]


def chain_of(generator: torch.Generator) -> Tensor:
    """Draw how likely each letter is after each two. Shape ``(16, 16, 16)``."""
    chain = torch.rand(LETTERS, LETTERS, LETTERS, generator=generator) ** 8
    return chain / chain.sum(-1, keepdim=True)


def text(seed: int, rows: int) -> Tensor:
    """Draw rows of letters, each from the two before it."""
    generator = torch.Generator().manual_seed(seed)
    chain = chain_of(generator)
    drawn = torch.randint(LETTERS, (rows, 2), generator=generator)
    for _ in range(LENGTH - 1):
        odds = chain[drawn[:, -2], drawn[:, -1]]
        drawn = torch.cat([drawn, odds.multinomial(1, generator=generator)], 1)
    return drawn


def halves(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Return letters, and those that follow."""
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def loss(scores: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy over rows and places."""
    return nn.functional.cross_entropy(scores.flatten(0, 1), target.flatten())
