"""What the scripts of this folder share: blocks, an optimiser, and one record.

All write parts of ``results/modular.json``; parts not run are kept, and every part has
its own "machine", next to that of the part measured last.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from tests.benchmarks import record

WIDTH = 96
adam = partial(torch.optim.Adam, lr=2e-3, fused=True)


def layer(a: int, b: int) -> list[nn.Module]:
    """Return Linear - BatchNorm - ReLU."""
    return [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()]


def read() -> dict:
    """Return what was measured before."""
    results = record.RESULTS / "modular.json"
    return json.loads(results.read_text()) if results.exists() else {}


def measure(doc: str, parts: dict[str, Callable[[bool], dict[str, object]]]) -> None:
    """Measure the parts of a script, print, and keep the record.

    Args:
        doc: What the script says of itself.
        parts: What measures each part; told whether to be quick.
    """
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    options = parser.parse_args()
    torch.set_num_threads(1)
    facts = record.machine(("torch", "numpy", "scipy", "scikit-learn"))
    for name in options.only:
        found = {"machine": facts} | parts[name](options.quick)
        if not options.quick:
            record.write("modular", read() | {name: found, "machine": facts})
