"""A small GPT, five ways: the same model and data, cost, memory and loss together.

    python -m tests.benchmarks.modular.gpt [--quick]

Four stages, text drawn from a chain of second order, Adam, equal batches: in one
process; by data, with DDP and FSDP2; in a pipeline, 1F1B and Chimera; each on four gloo
processes. The template is that of the survey of Nichols et al. 2022. On two cores wall
clock says nothing of four machines: cost is the CPU seconds of all processes together.
Part "gpt" of ``results/pipeline.json``.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from modular.meter import SavedTensors
from modular.pipeline import Chimera, OneFOneB, Ranks
from tests.benchmarks import record

SEEDS = (0, 1, 2)
RANKS, MICROS, STEPS = 4, 8, 20
LETTERS, LENGTH, WIDTH, BATCH = 16, 32, 64, 32

Way = Callable[[list[nn.Module]], tuple[Callable[[Tensor, Tensor], Tensor], list]]


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


def text(seed: int, rows: int) -> Tensor:
    """Draw rows of letters, each from the two before it."""
    generator = torch.Generator().manual_seed(seed)
    chain = torch.rand(LETTERS, LETTERS, LETTERS, generator=generator) ** 8
    drawn = torch.randint(LETTERS, (rows, 2), generator=generator)
    for _ in range(LENGTH - 1):
        odds = chain[drawn[:, -2], drawn[:, -1]]
        drawn = torch.cat([drawn, odds.multinomial(1, generator=generator)], 1)
    return drawn


def loss(scores: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy over rows and places."""
    return nn.functional.cross_entropy(scores.flatten(0, 1), target.flatten())


def by_data(wrap: Callable[[nn.Module], nn.Module], ranks: int) -> Way:
    """Return a way in which every rank has the whole model and a share of the rows."""

    def way(parts: list[nn.Module]) -> tuple[Callable[[Tensor, Tensor], Tensor], list]:
        model = wrap(nn.Sequential(*parts))

        def step(x: Tensor, y: Tensor) -> Tensor:
            here = dist.get_rank() if ranks > 1 else 0
            model.zero_grad()
            found = loss(model(x.chunk(ranks)[here]), y.chunk(ranks)[here])
            found.backward()
            total = found.detach() / ranks
            if ranks > 1:
                dist.all_reduce(total)
            return total

        return step, list(model.parameters())

    return way


def by_stage(scheme: Any) -> Way:
    """Return a way in which every rank has its stages."""

    def way(parts: list[nn.Module]) -> tuple[Callable[[Tensor, Tensor], Tensor], list]:
        sample = text(0, 1)[:, :-1]
        ranks = Ranks(scheme.schedule(RANKS, MICROS), parts, loss, sample, timeout=120)
        return ranks.step, ranks.parameters()

    return way


def sharded(model: nn.Module) -> nn.Module:
    """Return a model whose parts are sharded over all ranks."""
    mesh = init_device_mesh("cpu", (RANKS,))
    for part in model.children():
        fully_shard(part, mesh=mesh)
    return fully_shard(model, mesh=mesh)


WAYS: dict[str, Way] = {
    "one process": by_data(lambda model: model, 1),
    "DDP": by_data(DistributedDataParallel, RANKS),
    "FSDP2": by_data(sharded, RANKS),
    "1F1B": by_stage(OneFOneB()),
    "Chimera": by_stage(Chimera()),
}


def train(way: Way, seed: int, steps: int) -> dict[str, float]:
    """Train; return the last loss, CPU seconds a step, and bytes on this rank."""
    step, parameters = way(stages(seed))
    adam = torch.optim.Adam(parameters, lr=3e-3)
    rows = text(seed, BATCH * steps).split(BATCH)
    start = time.process_time()
    own = [p.to_local() if hasattr(p, "to_local") else p for p in parameters]
    with SavedTensors(own) as meter:
        for batch in rows:
            found = step(batch[:, :-1].contiguous(), batch[:, 1:].contiguous())
            adam.step()
    seconds = time.process_time() - start
    return {
        "loss": round(found.item(), 6),
        "cpu_seconds": seconds / steps,
        "saved_bytes": meter.peak,
        "state_bytes": 4 * sum(p.nbytes for p in own),  # itself, its gradient, Adam's
    }


def work(name: str, steps: int) -> None:
    """Train one way as one of the ranks; rank 0 prints what was found."""
    ranks = int(os.environ["WORLD_SIZE"])
    Ranks.join(120)
    row: dict[str, list[float]] = {}
    for seed in SEEDS:
        everyone: list = [None] * ranks
        dist.all_gather_object(everyone, train(WAYS[name], seed, steps))
        total = sum(mine.pop("cpu_seconds") for mine in everyone)
        found = everyone[0] | {"cpu_seconds": round(total, 4)}
        for key in ("saved_bytes", "state_bytes"):
            found[key] = max(mine[key] for mine in everyone)
        for key, value in found.items():
            row.setdefault(key, []).append(value)
    if dist.get_rank() == 0:
        print(json.dumps(row))
    dist.destroy_process_group()


def started(name: str, quick: bool) -> dict[str, list[float]]:
    """Let torchrun start the ranks of one way; return what they found."""
    ranks = 1 if name == "one process" else RANKS
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        + ["--nproc-per-node", str(ranks), "-m", "tests.benchmarks.modular.gpt"]
        + ["--way", name, *["--quick"] * quick],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    """Measure what is not stored, print it, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--again", action="store_true", help="stored rows, too")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    steps = 3 if chosen.quick else STEPS
    torch.set_num_threads(1)
    if chosen.way:
        work(chosen.way, steps)
        return
    path = record.RESULTS / "pipeline.json"
    setting = {"seeds": SEEDS, "steps": steps, "batch": BATCH, "length": LENGTH}
    for name in WAYS:
        whole = json.loads(path.read_text())
        rows = whole.get("gpt", {}).get("rows", {})
        if name in rows and not (chosen.quick or chosen.again):
            continue
        rows[name] = started(name, chosen.quick)
        print(f"{name:12}", rows[name], flush=True)
        if not chosen.quick:
            facts = {"machine": record.machine(("torch",)), "setting": setting}
            record.write("pipeline", whole | {"gpt": facts | {"rows": rows}})


if __name__ == "__main__":
    main()
