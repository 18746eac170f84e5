"""Unlocking: four real processes, locked, pairwise and local.

    python -m tests.benchmarks.modular.transport [--quick]

Modules sleep (forward 20 ms, backward 40 ms), so that two cores do for four; the same
with real work is reported and never judged. Part "unlocking" of
``results/modular.json``.
"""

import torch
from torch import nn

from modular import (
    DGL,
    Backprop,
    Calibrated,
    Interlocking,
    Partition,
    Processes,
    Trainer,
    audit,
)
from tests.benchmarks.modular.parts import adam, measure


def course(method, transport, steps: int, modules: int = 4) -> Trainer:
    """Run some steps of four small modules in as many processes."""
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(32, 32) for _ in range(modules)]
    x, y = torch.randn(16, 32, generator=generator), torch.arange(16)
    partition = Partition(layers, modules, sample=x[:1], generator=generator)
    trainer = Trainer(
        partition, method, optimizer=adam, transport=transport, generator=generator
    )
    trainer.fit([(x, y)] * steps, epochs=1)
    return trainer


def unlocking(quick: bool) -> dict[str, object]:
    """Return measured and computed times of locked, pairwise and local training."""
    costs, steps, modules = Calibrated(0.02, 0.04), 10 if quick else 50, 4
    methods = {"locked": Backprop(), "pairwise": Interlocking(2), "local": DGL()}
    found: dict[str, object] = {"forward": 0.02, "backward": 0.04, "steps": steps}
    for name, method in methods.items():
        transport = Processes(modules, stand_in=costs, timeout=60)
        trainer = course(method, transport, steps)
        measured = audit.Timeline.traced(trainer)
        ideal = audit.timeline(trainer, costs, steps=steps)
        found[name] = {
            "seconds": round(measured.makespan, 4),
            "critical_path": round(ideal.makespan, 4),
            "over": round(measured.makespan / ideal.makespan, 4),
        }
    for name in methods:
        speed = found["locked"]["seconds"] / found[name]["seconds"]
        found[name]["speed_up"] = round(speed, 3)
        print(f"{name:22} {found[name]}")
    real = {}
    for name, method in methods.items():
        trainer = course(method, Processes(modules, timeout=60), steps)
        real[name] = {"seconds": round(float(trainer.history.seconds.sum()), 4)}
    found["real_work"] = real
    return found


if __name__ == "__main__":
    measure(__doc__, {"unlocking": unlocking})
