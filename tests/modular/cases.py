"""What the contract tests draw from, and how to call every public name."""

from functools import partial

import torch
from torch import nn

from modular import (
    DGL,
    HSIC,
    Backprop,
    Calibrated,
    DifferenceTargets,
    Goodness,
    Greedy,
    InfoPro,
    InProcess,
    Interlocking,
    Kernel,
    KernelModules,
    LengthNorm,
    Options,
    Partition,
    Pred,
    PredSim,
    Processes,
    Sim,
    SyntheticGradients,
    Trainer,
    TransportGreedy,
    digits,
    few_labels,
    goodness_scores,
    openml,
    pair_sum,
    transferability,
)
from modular.event import Event
from modular.objectives.kernel import upper_alignment

METHODS = [
    Backprop(),
    Greedy(),
    DGL(),
    Interlocking(1),
    Interlocking(2),
    Interlocking(3),
    Interlocking(4),
    KernelModules(),
    SyntheticGradients(),
    DifferenceTargets(),
    TransportGreedy(1.0),
    TransportGreedy(1.0, laps=2, name="TransportGreedy in laps"),
]

OBJECTIVES = [
    Pred(),
    Sim(),
    PredSim(),
    InfoPro(),
    HSIC(),
    Goodness(),
    Kernel(),
    0.5 * Pred() + 2 * Sim(),
]

x, y = torch.rand(6, 5), torch.arange(6) % 3
sgd = partial(torch.optim.SGD, lr=0.1)


def net() -> Partition:
    """Return three small blocks."""
    layers = [nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 3)]
    return Partition(layers, 3, sample=x)


def small() -> Trainer:
    """Return a trainer of them."""
    return Trainer(net(), DGL(), optimizer=sgd)


def playing() -> dict:
    """Return what one forward event needs."""
    one = small()
    one.workers[0].begin(one.prepare((x, y)))
    return {"worker": one.workers[0], "event": Event("forward", 0, 0)}


def schedule() -> dict:
    """Return what a step needs."""
    one = small()
    return {"events": list(one.method.schedule(3)), "step": one.prepare((x, y))}


class Fetched:
    """Stands in for a data set of OpenML."""

    def __init__(self, name: str, **options: object) -> None:
        self.data, self.target = torch.rand(7, 5), "0123456"


CALLS = {
    "Partition": lambda: (
        Partition,
        {"model": [nn.Linear(5, 3)], "modules": 1, "sample": x},
    ),
    "Partition.whole": lambda: (net().whole, {}),
    "Partition.states": lambda: (net().states, {"x": x}),
    "Partition.check_batch": lambda: (net().check_batch, {"x": x, "target": y}),
    "Partition.freeze": lambda: (net().freeze, {}),
    "Partition.unfreeze": lambda: (net().unfreeze, {}),
    "Partition.cost": lambda: (net().cost, {}),
    "Goodness": lambda: (Goodness, {"theta": 1.0}),
    "HSIC": lambda: (HSIC, {}),
    "InfoPro": lambda: (InfoPro, {}),
    "Kernel": lambda: (Kernel, {}),
    "LengthNorm": lambda: (LengthNorm, {}),
    "Pred": lambda: (Pred, {}),
    "PredSim": lambda: (PredSim, {"beta": 0.5}),
    "Sim": lambda: (Sim, {}),
    "goodness_scores": lambda: (goodness_scores, {"partition": net(), "x": x}),
    "Backprop": lambda: (Backprop, {}),
    "DGL": lambda: (DGL, {}),
    "DifferenceTargets": lambda: (DifferenceTargets, {}),
    "Greedy": lambda: (Greedy, {}),
    "Interlocking": lambda: (Interlocking, {"n": 2}),
    "KernelModules": lambda: (KernelModules, {"proxy": upper_alignment}),
    "SyntheticGradients": lambda: (SyntheticGradients, {}),
    "TransportGreedy": lambda: (TransportGreedy, {"tau": 1.0}),
    "Calibrated": lambda: (Calibrated, {"forward": 0.0, "backward": 0.0}),
    "Calibrated.seconds": lambda: (
        Calibrated(0, 1).seconds,
        {"event": Event("take", 0, 0)},
    ),
    "Calibrated.run": lambda: (Calibrated(0, 0).run, playing()),
    "InProcess": lambda: (InProcess, {}),
    "Options": lambda: (Options, {"clip": 1.0}),
    "Processes": lambda: (Processes, {"ranks": 2}),
    "Trainer": lambda: (
        Trainer,
        {"partition": net(), "method": DGL(), "optimizer": sgd},
    ),
    "Trainer.step": lambda: (small().step, {"batch": (x, y)}),
    "Trainer.check_batch": lambda: (small().check_batch, {"batch": (x, y)}),
    "Trainer.prepare": lambda: (small().prepare, {"batch": (x, y)}),
    "Trainer.play": lambda: (small().play, schedule()),
    "Trainer.fit": lambda: (small().fit, {"loader": [(x, y)], "epochs": 2}),
    "Trainer.follow": lambda: (
        small().follow,
        {"plan": [0], "loader": [(x, y)], "validation": None},
    ),
    "Trainer.evaluate": lambda: (small().evaluate, {"loader": [(x, y)]}),
    "digits": lambda: (digits, {}),
    "openml": lambda: (openml, {"name": "mnist_784", "test": 2, "fetch": Fetched}),
    "pair_sum": lambda: (pair_sum, {"train": 7, "test": 4}),
    "few_labels": lambda: (few_labels, {"target": y, "per_class": 1}),
    "transferability": lambda: (
        transferability,
        {"module": nn.Linear(5, 2), "tasks": [(x, y)]},
    ),
}
