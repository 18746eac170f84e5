"""Kernel modules on digits: ten labels in all against all, and transferability.

    python -m tests.benchmarks.modular.kernel [--quick]

Transferability of one hidden module is compared with accuracy over the 45 pairs of
digits. Part "kernel" of ``results/modular.json``.
"""

import statistics

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from modular import (
    KernelModules,
    LengthNorm,
    Partition,
    Trainer,
    digits,
    few_labels,
    transferability,
)
from modular.tasks import Task, binary_tasks
from tests.benchmarks.modular.parts import adam, layer, measure


def kernel_net(task: Task, seed: int) -> Partition:
    """Return a hidden module of two layers and an output module."""
    torch.manual_seed(seed)
    hidden = nn.Sequential(*layer(64, 64), *layer(64, 64))
    output = nn.Sequential(LengthNorm(), nn.Linear(64, task.classes))
    return Partition([hidden, output], 2, sample=task.x[:1])


def output_accuracy(net: Partition, task: Task, batches, epochs: int) -> float:
    """Train the output module anew on a frozen hidden module; test accuracy in %."""
    net.blocks[1].net[0][1].reset_parameters()
    trainer = Trainer(net, KernelModules(), optimizer=adam)
    trainer.fit(batches, epochs, phases=[1])
    return 100 * float(trainer.evaluate(task.test())[-1])


def ten_labels(seed: int) -> dict[str, float]:
    """Compare ten labels in all with all labels for the output module."""
    generator = torch.Generator().manual_seed(seed)
    task = digits(generator)
    net = kernel_net(task, seed)
    trainer = Trainer(net, KernelModules(), optimizer=adam, generator=generator)
    trainer.fit(task.batches(128, generator), 30, phases=[0])
    ten = few_labels(task.y, 1, generator)
    few = output_accuracy(net, task, [(task.x[ten], task.y[ten])], 300)
    return {
        "ten": few,
        "all": output_accuracy(net, task, task.batches(128, generator), 30),
    }


def transfer(tasks: int | None) -> dict[str, object]:
    """Correlate transferability with true accuracy over pairs of digits.

    The hidden module is trained to tell 0-4 from 5-9 only, so that it serves some pairs
    better than others.
    """
    generator = torch.Generator().manual_seed(0)
    task = digits(generator)
    coarse = Task(task.x, task.y // 5, task.x_test, task.y_test // 5, classes=2)
    net = kernel_net(coarse, 0)
    trainer = Trainer(net, KernelModules(), optimizer=adam, generator=generator)
    trainer.fit(coarse.batches(128, generator), 10, phases=[0])
    some = binary_tasks(task)[:tasks]
    proxy = transferability(net.blocks[0].net, [(t.x, t.y) for t in some])
    truth = []
    for one in some:
        few = few_labels(one.y, 5, generator)
        truth.append(output_accuracy(net, one, [(one.x[few], one.y[few])], 100))
    rho = float(spearmanr(proxy.numpy(), truth).statistic)
    chance = np.random.default_rng(0)
    shuffled = [
        spearmanr(chance.permutation(proxy.numpy()), truth).statistic
        for _ in range(2000)
    ]
    p = (1 + sum(value >= rho for value in shuffled)) / (1 + len(shuffled))
    return {
        "tasks": len(some),
        "spearman": round(rho, 4),
        "permutation_p": round(p, 5),
        "proxy": [round(v, 4) for v in proxy.tolist()],
        "accuracy": [round(v, 2) for v in truth],
    }


def kernel(quick: bool) -> dict[str, object]:
    """Return both kernel experiments."""
    runs = [ten_labels(seed) for seed in range(1 if quick else 5)]
    means = {k: round(statistics.mean(r[k] for r in runs), 2) for k in ("ten", "all")}
    found = transfer(5 if quick else None)
    print(
        f"ten labels {means}, spearman {found['spearman']} p {found['permutation_p']}"
    )
    return {"ten_labels": means | {"runs": runs}, "transfer": found}


if __name__ == "__main__":
    measure(__doc__, {"kernel": kernel})
