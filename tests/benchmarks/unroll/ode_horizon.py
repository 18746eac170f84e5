"""Time saved by a learned horizon: digits, one field, several ways to choose how deep.

Used by ``python -m tests.benchmarks.unroll.ode``. A state of 64 pixels and ten scores,
which start at 0, moves for a time ``T`` in steps of at most an eighth; Adam learns the
field, at the best rate of a search at ``T = 1``. A horizon that learns is let free
after a third of the updates, and in a row of its own from the first. The price of time
is the highest of a search that loses at most a point of accuracy; a horizon beyond
``LONGEST`` has run away. Both searches have a seed of their own, and look at digits
that are neither learned from nor tested on.
"""

import math
import time
from collections.abc import Callable
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from unroll.ode import MIDPOINT, Horizon, Through, odeint

SEEDS, SEARCH_SEED, UPDATES, BATCH, EVERY = (0, 1, 2, 3, 4), 100, 150, 64, 5
STEP, FIRST, LONGEST = 0.125, 1.0, 2.0
RATES, PRICES, LOSS = (0.001, 0.003, 0.01, 0.03), (0.3, 1.0, 3.0, 10.0), 0.01


class Field(nn.Module):
    """Two layers on pixels and scores."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.inner = nn.Linear(74, 48, dtype=torch.float64)
        self.outer = nn.Linear(48, 74, dtype=torch.float64)

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return self.outer(torch.tanh(self.inner(x)))


@cache
def digits(seed: int) -> list[tuple[Tensor, Tensor]]:
    """Return first states and names of digits to learn from, to choose by, to test."""
    bunch = load_digits()
    order = torch.randperm(
        len(bunch.target), generator=torch.Generator().manual_seed(seed)
    )
    x = torch.nn.functional.pad(torch.tensor(bunch.data) / 16, (0, 10))[order]
    name = torch.tensor(bunch.target)[order]
    cuts = [1000, 397, 400]
    return list(zip(x.split(cuts), name.split(cuts), strict=True))


def scores(field: Field, x: Tensor, T: float) -> tuple[Tensor, Tensor]:
    """Return the state at ``T`` and the scores of the ten names."""
    steps = max(1, math.ceil(T / STEP - 1e-9))
    t = torch.linspace(0, T, steps + 1, dtype=x.dtype)
    end = odeint(field, x, t, MIDPOINT, Through())
    return end, 5 * end[:, 64:]


def accuracy(field: Field, x: Tensor, name: Tensor, T: float) -> float:
    """Return the part that is named rightly."""
    with torch.no_grad():
        right = scores(field, x, T)[1].argmax(dim=1) == name
    return right.double().mean().item()


def train(
    seed: int,
    lr: float,
    T: float,
    price: float | None = None,
    feedback: bool = True,
    wait: int = UPDATES // 3,
) -> dict:
    """Train once, with a horizon that is fixed or has a price; return what came out."""
    field, (learn, choose, test) = Field(seed), digits(seed)
    horizon = None if price is None else Horizon(T, price)
    optimiser = torch.optim.Adam(field.parameters(), lr=lr)
    draw = torch.Generator().manual_seed(seed)
    start, times = time.process_time(), []
    for i in range(UPDATES):
        times.append(T)
        some = torch.randint(len(learn[0]), (BATCH,), generator=draw)
        end, score = scores(field, learn[0][some], T)
        end.retain_grad()
        optimiser.zero_grad()
        nn.functional.cross_entropy(score, learn[1][some]).backward()
        before = [p.detach().clone() for p in field.parameters()] if feedback else []
        optimiser.step()
        if horizon is not None and i >= wait:
            pairs = zip(field.parameters(), before, strict=False)
            moved = sum((p.grad * (p.detach() - old)).sum().item() for p, old in pairs)
            T = horizon.step(field, end.detach(), end.grad, moved)
        if T > LONGEST:
            break
    seconds = time.process_time() - start
    return {
        "seconds": round(seconds, 2),
        "looks": sum(2 * max(1, math.ceil(T / STEP - 1e-9)) for T in times),
        "updates": len(times),
        "T": round(T, 3),
        "chosen": accuracy(field, *choose, T) if T <= LONGEST else 0.0,
        "accuracy": accuracy(field, *test, T) if T <= LONGEST else None,
        "times": [round(T, 3) for T in times[::EVERY]],
    }


def saved(rows: dict, save: Callable[[], None], seeds: tuple[int, ...] = SEEDS) -> None:
    """Add what is missing: the two searches, and the row of each side."""
    if "search" not in rows:
        by_rate = {lr: train(SEARCH_SEED, lr, FIRST) for lr in RATES}
        lr = max(RATES, key=lambda one: by_rate[one]["chosen"])
        by_price = {c: train(SEARCH_SEED, lr, FIRST, c) for c in PRICES}
        needed = by_rate[lr]["chosen"] - LOSS
        kept = [c for c in PRICES if by_price[c]["chosen"] >= needed]
        price = max(kept, default=min(PRICES))
        rows["search"] = {
            "lr": lr,
            "price": price,
            "short": by_price[price]["T"],
            "rates": {str(lr): run["chosen"] for lr, run in by_rate.items()},
            "prices": {str(c): [r["chosen"], r["T"]] for c, r in by_price.items()},
        }
        save()
    found = rows["search"]
    lr, price = found["lr"], found["price"]
    sides = {
        "fixed": {"T": FIRST},
        "learned": {"T": FIRST, "price": price},
        "learned, no feedback": {"T": FIRST, "price": price, "feedback": False},
        "fixed where the search ended": {"T": found["short"]},
        "fixed, one step": {"T": STEP},
        "learned, time for nothing": {"T": FIRST, "price": price / 100},
        "learned from the first update": {"T": FIRST, "price": price, "wait": 0},
    }
    for name, side in sides.items():
        if name in rows:
            continue
        runs = [train(seed, lr, **side) for seed in seeds]
        rows[name] = {key: [run[key] for run in runs] for key in runs[0]}
        print(name, rows[name]["accuracy"], rows[name]["T"])
        save()
