"""Train a small task by any method: in one process, or one per module by torchrun.

    python -m modular.run --task pair_sum --method dgl --modules 4
    torchrun --standalone --nproc-per-node 4 -m modular.run --task pair_sum --method dgl

Both print the same accuracies.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial

import torch
import torch.distributed as dist
from torch import nn

from modular.methods import DGL, Backprop, Greedy, Interlocking
from modular.partition import Partition
from modular.tasks import Task, digits, pair_sum
from modular.training import Method, Trainer
from modular.transport import Rank

METHODS: dict[str, Callable[..., Method]] = {
    "backprop": Backprop,
    "greedy": Greedy,
    "dgl": DGL,
    "interlocking": Interlocking,
}
TASKS: dict[str, Callable[..., Task]] = {"digits": digits, "pair_sum": pair_sum}


def network(task: Task, depth: int, width: int) -> list[nn.Sequential]:
    """Return blocks of Linear, BatchNorm and ReLU; the last also classifies."""
    sizes = [task.x.shape[1]] + [width] * depth
    stages = [
        nn.Sequential(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    stages[-1].append(nn.Linear(width, task.classes))
    return stages


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", choices=TASKS, default="digits")
    parser.add_argument("--method", choices=METHODS, default="dgl")
    parser.add_argument("--horizon", type=int, default=2, help="of interlocking")
    parser.add_argument("--modules", type=int, help="default: one per process, or 4")
    parser.add_argument("--head", choices=["linear", "mlp"], default="mlp")
    parser.add_argument("--depth", type=int, default=6, help="blocks")
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def method_of(chosen: argparse.Namespace) -> Method:
    """Return the chosen method."""
    make = METHODS[chosen.method]
    return make(chosen.horizon) if chosen.method == "interlocking" else make()


def main(arguments: list[str] | None = None) -> None:
    """Train and print one accuracy per module."""
    chosen = options(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(chosen.seed)
    generator = torch.Generator().manual_seed(chosen.seed)
    transport = Rank.attached() if "RANK" in os.environ else None
    modules = chosen.modules or int(os.environ.get("WORLD_SIZE", 4))
    task = TASKS[chosen.task](generator)
    partition = Partition(
        network(task, chosen.depth, chosen.width),
        modules,
        head=chosen.head,
        sample=task.x[:1],
        generator=generator,
    )
    trainer = Trainer(
        partition,
        method_of(chosen),
        optimizer=partial(torch.optim.Adam, lr=2e-3),
        transport=transport,
        generator=generator,
    )
    trainer.fit(task.batches(chosen.batch, generator), chosen.epochs)
    accuracy = trainer.evaluate(task.test())
    if trainer.transport.leads:
        for k, share in enumerate(accuracy.tolist()):
            print(f"module {k}: {100 * share:.2f} %")
    if transport is not None:
        transport.close()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
