"""K-FAC on real processes: what is sent, held and computed, against the formulas."""

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import start_processes
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from modular import digits
from modular.allocation import fill_bins, round_robin
from modular.curvature import KFAC, Eigen, Fraction, Local, Owner, Replicated
from modular.curvature.placements import Placement
from modular.meter import SavedTensors
from tests.benchmarks.modular.curvature_race import Shares, network

STEPS, PERIOD, BATCH, FLOAT = 10, 10, 64, 4
PLACES = {"0": 64, "2": 16, "5": 1, "7": 1}  # of a layer, in one sample
PUBLISHED = {
    "source": "Zhang, Shi, Wang, Li 2022, 64 GPUs",
    "traffic": [2.79, 3.15],
    "memory": [1.14, 1.47],
    "compute": [1.55, 1.65],
}


def net() -> nn.Sequential:
    """Return a small convolutional network for digits of 8 x 8 pixels."""
    torch.manual_seed(0)
    first = nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()
    second = nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()
    last = nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10)
    return nn.Sequential(*first, *second, *last)


def kinds(ranks: int) -> dict[str, Placement]:
    """Return the placements; KAISA with half of the workers, and with one."""
    return {
        "Replicated": Replicated(),
        "Owner": Owner(),
        "Fraction(1/2)": Fraction(1 / 2),
        "Fraction(1/P)": Fraction(1 / ranks),
        "Local": Local(),
    }


def eigen_cost(shape: Any, *rest: Any, **more: Any) -> int:
    """Count an eigenvalue problem as ``d^3``."""
    return shape[-1] ** 3


def size(tensors: Any) -> int:
    """Return bytes of nested tuples of tensors."""
    return sum(t.numel() * t.element_size() for row in tensors for t in row)


def backward(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> int:
    """Go backward; return what autograd held for it, in bytes."""
    model.zero_grad()
    with SavedTensors(exclude=model.parameters()) as meter:
        loss = functional.cross_entropy(model(x), y)
        held = meter.now
    loss.backward()
    return held


def average(model: nn.Module) -> None:
    """Average gradients over workers, as data-parallel training does."""
    for p in model.parameters():
        dist.all_reduce(p.grad)
        p.grad /= dist.get_world_size()


def train(placement: Placement) -> dict[str, Any]:
    """Take a period of steps; return what this worker sent, held and computed."""
    model, rank, ranks = net(), dist.get_rank(), dist.get_world_size()
    optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    kfac = KFAC(model, optimizer, period=PERIOD, solve=Eigen(), placement=placement)
    task = digits(torch.Generator().manual_seed(0))
    mapping = {torch.ops.aten._linalg_eigh: eigen_cost}
    generator, flops = torch.Generator().manual_seed(0), 0
    for _ in range(STEPS):
        rows = torch.randint(len(task.x), (BATCH,), generator=generator).chunk(ranks)
        x, y = task.x[rows[rank]].view(-1, 1, 8, 8), task.y[rows[rank]]
        with FlopCounterMode(display=False) as plain:  # nothing is noted here
            backward(model.eval(), x, y)
        with FlopCounterMode(display=False, custom_mapping=mapping) as whole:
            held = backward(model.train(), x, y)
            average(model)
            kfac.step()
        flops += whole.get_total_flops() - plain.get_total_flops()
        optimizer.step()
    weights = [p.detach() for p in model.parameters()]
    return {
        "sent": dict(placement.sent),
        "held": size(kfac.factors.values()) + size(kfac.prepared.values()),
        "flops": flops,
        "rest": 3 * size([weights]) + held,  # gradients and momentum, too
        "weights": torch.cat([p.flatten() for p in weights]),
    }


def shares(ranks: int, rank: int | None = None) -> torch.Tensor:
    """Take five steps with local factors as one of the workers, or as all in one."""
    model = network([64, 64, 64, 10], 0)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    kfac = Shares(model, optimizer, placement=Local(share=round_robin))
    kfac.shares = ranks if rank is None else 1
    task, generator = digits(torch.Generator().manual_seed(0)), torch.Generator()
    for _ in range(5):
        rows = torch.randint(len(task.x), (BATCH,), generator=generator)
        rows = rows if rank is None else rows.chunk(ranks)[rank]
        optimizer.zero_grad()
        functional.cross_entropy(model(task.x[rows]), task.y[rows]).backward()
        if rank is not None:
            average(model)
        kfac.step()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def formulas(name: str, ranks: int) -> list[dict[str, Any]]:
    """Return what the formulas of a placement say of each worker."""
    layers = {k: v for k, v in net().named_children() if k in PLACES}
    sides = {k: (len(v.weight), v.weight[0].numel() + 1) for k, v in layers.items()}
    homes = fill_bins([m**3 + n**3 for m, n in sides.values()], ranks)
    owners = dict(zip(sides, homes, strict=True))
    fraction = {"Fraction(1/2)": 2, "Fraction(1/P)": ranks, "Local": ranks}
    columns = fraction.get(name, 1)
    found = []
    for rank in range(ranks):
        sent, held, flops = Counter(checks=8 * len(sides) * STEPS), 0, 0
        for layer, (m, n) in sides.items():
            factors, mine = m * m + n * n, owners[layer] == rank
            prepared = factors + m + n  # eigenvectors and eigenvalues
            divides = owners[layer] % columns == rank % columns
            if name != "Local":
                sent["factors"] += FLOAT * STEPS * factors
            if mine and name != "Replicated" and columns < ranks:
                sent["inverses"] += FLOAT * prepared
            if divides and columns > 1:
                sent["gradients"] += FLOAT * STEPS * m * n
            if name != "Local" or mine:
                held += FLOAT * factors
                samples = BATCH // ranks * PLACES[layer]
                flops += STEPS * 2 * samples * factors
            if mine or name == "Replicated":
                flops += m**3 + n**3
            if divides:
                held += FLOAT * prepared
                flops += STEPS * 4 * (m * m * n + m * n * n)
        found.append({"sent": dict(sent), "held": held, "flops": flops})
    return found


def wire(name: str, ranks: int, sent: Counter) -> int:
    """Return bytes on the wire: a ring for means, one copy a hearer for the rest."""
    columns = {"Fraction(1/2)": 2, "Fraction(1/P)": ranks, "Local": ranks}.get(name, 1)
    rings = 2 * (ranks - 1) * sent["factors"] // ranks
    down = (ranks // columns - 1) * sent["inverses"]
    return rings + down + (columns - 1) * sent["gradients"]


def work(rank: int, ranks: int, folder: str) -> None:
    """Be one of the processes."""
    torch.set_num_threads(1)
    meet = f"file://{folder}/meet"
    dist.init_process_group("gloo", meet, rank=rank, world_size=ranks)
    found = {name: train(placement) for name, placement in kinds(ranks).items()}
    found["shares"] = shares(ranks, rank)
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def placements(ranks: int) -> dict[str, Any]:
    """Return what the workers found, equal to the formulas or an error."""
    with tempfile.TemporaryDirectory() as folder:
        start_processes(
            partial(work), (ranks, folder), nprocs=ranks, start_method="spawn"
        )
        runs = [torch.load(Path(folder) / f"{rank}.pt") for rank in range(ranks)]
    torch.testing.assert_close(runs[0]["shares"], shares(ranks), rtol=0, atol=1e-5)
    rows, whole = {}, runs[0]["Replicated"]
    for name in kinds(ranks):
        sent: Counter[str] = Counter()
        for run, formula in zip(runs, formulas(name, ranks), strict=True):
            got = {key: run[name][key] for key in formula}
            got["sent"] = {k: v for k, v in got["sent"].items() if v}
            assert got == formula, (name, got, formula)
            sent.update(got["sent"])
        apart = (runs[0][name]["weights"] - whole["weights"]).abs().max().item()
        assert all(
            torch.equal(run[name]["weights"], runs[0][name]["weights"]) for run in runs
        )
        rows[name] = {
            "sent": dict(sent),
            "wire": wire(name, ranks, sent),
            "held_most": max(run[name]["held"] for run in runs),
            "held_all": sum(run[name]["held"] for run in runs),
            "flops_most": max(run[name]["flops"] for run in runs),
            "flops_all": sum(run[name]["flops"] for run in runs),
            "rest": whole["rest"],
            "apart": float(f"{apart:.1e}"),
        }
    return rows


def resnet() -> dict[str, float]:
    """Return ResNet-50's numbers a step: in factors, in halves of them, in gradients.

    He et al. 2016, table 1: a stem, 3 + 4 + 6 + 3 blocks of three convolutions, of
    which the first of each stage has a fourth around it, and a linear layer.
    """
    layers = [(64, 3 * 49), (1000, 2048 + 1)]  # (m, n)
    came = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            layers += [(width, came), (width, 9 * width), (4 * width, width)]
            if block == 0:
                layers.append((4 * width, came))
            came = 4 * width
    factors = sum(m * m + n * n for m, n in layers)
    halves = sum(m * (m + 1) // 2 + n * (n + 1) // 2 for m, n in layers)
    gradients = sum(m * n for m, n in layers)
    return {
        "layers": len(layers),
        "factors": factors,
        "halves": halves,
        "gradients": gradients,
        "ratio": round(factors / gradients, 3),
        "ratio_halves": round(halves / gradients, 3),
    }
