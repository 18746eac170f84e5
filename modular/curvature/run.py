"""Train on digits by K-FAC, alone or on as many processes as torchrun starts.

    python -m modular.curvature.run
    torchrun --standalone --nproc-per-node 4 -m modular.curvature.run --placement owner

print the same losses: each process has its share of the same batch. Several also print
what the first of them has sent. ``--placement local`` prints other losses, as its
factors are made of shares.
"""

import argparse
import os
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional

from modular.curvature.kfac import KFAC
from modular.curvature.placements import (
    Fraction,
    Local,
    Owner,
    Placement,
    Replicated,
)
from modular.tasks import digits

PLACEMENTS: dict[str, Callable[[], Placement]] = {
    "replicated": Replicated,
    "owner": Owner,
    "half": lambda: Fraction(1 / 2),
    "local": Local,
}


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--placement", choices=PLACEMENTS, default="replicated")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Train and print the loss of every step, then what the first process has sent."""
    chosen = options(arguments)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(chosen.seed)
    generator = torch.Generator().manual_seed(chosen.seed)
    rank, workers = 0, 1
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
        rank, workers = dist.get_rank(), dist.get_world_size()
    if chosen.batch % workers:
        raise SystemExit(f"--batch {chosen.batch}: expected a multiple of {workers}")
    task, width = digits(generator), chosen.width
    layers = nn.Linear(64, width), nn.Tanh(), nn.Linear(width, task.classes)
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    placement = PLACEMENTS[chosen.placement]()
    kfac = KFAC(model, optimizer, clip=3e-3, placement=placement)
    for step in range(chosen.steps):
        rows = torch.randint(len(task.x), (chosen.batch,), generator=generator)
        own = rows.chunk(workers)[rank]
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(task.x[own]), task.y[own])
        loss.backward()
        mean = loss.detach()
        if workers > 1:  # before kfac.step(), which refuses gradients of one share
            gradients = (p.grad for p in model.parameters() if p.grad is not None)
            for t in (mean, *gradients):
                dist.all_reduce(t)
                t.div_(workers)
        kfac.step()
        optimizer.step()
        if rank == 0:
            print(f"step {step}: loss {mean:.6f}")
    if workers > 1:
        sent = ", ".join(f"{k} {v / 2**20:.2f}" for k, v in placement.sent.items())
        if rank == 0:
            print(f"sent, MiB: {sent}")
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
