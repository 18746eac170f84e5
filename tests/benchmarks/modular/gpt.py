"""A small GPT, six ways: the same model and data, cost, memory and loss together.

    python -m tests.benchmarks.modular.gpt [--quick]

Four stages, text drawn from a chain of second order, Adam, equal batches: in one
process; by data, with DDP and FSDP2; in a pipeline, 1F1B and Chimera; with local losses
(DGL), a part to a process; each on four gloo processes. The template is that of the
survey of Nichols et al. 2022. On two cores wall clock says nothing of four machines:
cost is the CPU seconds of all processes together. Rows of five ways have the same loss,
so that who learns more from as many letters is asked of two: one loss for all and
losses of their own, for many more steps, on text that was held out, against the entropy
of the chain. Part "gpt" of ``results/pipeline.json``.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from modular import DGL, Partition, Trainer
from modular.meter import SavedTensors
from modular.pipeline import Chimera, OneFOneB, Ranks
from modular.transport import InProcess, Rank, Transport
from tests.benchmarks import record
from tests.benchmarks.modular.letters import (
    LENGTH,
    LETTERS,
    chain_of,
    halves,
    loss,
    stages,
    text,
)

SEEDS = (0, 1, 2)
RANKS, MICROS, STEPS = 4, 8, 20
BATCH = 32
LONG, HELD_OUT = 100, 512  # steps, and rows, of the comparison of learning
LOCAL = "local learning"

Way = Callable[[list[nn.Module]], tuple[Callable[[Tensor, Tensor], Tensor], list]]


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
            found = step(*halves(batch))
            adam.step()
    return told(found.item(), (time.process_time() - start) / steps, meter, own)


def told(loss: float, seconds: float, meter: SavedTensors, own: list) -> dict:
    """Return a row of one rank."""
    return {
        "loss": round(loss, 6),
        "cpu_seconds": seconds,
        "saved_bytes": meter.peak,
        "state_bytes": 4 * sum(p.nbytes for p in own),  # itself, its gradient, Adam's
    }


def locally(parts: list[nn.Module], seed: int, transport: Transport) -> Trainer:
    """Return a trainer of the four parts, each with a linear head and its own loss."""
    generator = torch.Generator().manual_seed(seed)
    sample = text(0, 1)[:, :-1]
    partition = Partition(parts, cuts=[1, 2, 3], sample=sample, generator=generator)
    adam = partial(torch.optim.Adam, lr=3e-3)
    return Trainer(
        partition, DGL(), optimizer=adam, transport=transport, generator=generator
    )


def train_locally(seed: int, steps: int) -> dict[str, float]:
    """Train with local losses, this rank its own part; return as :func:`train`."""
    transport = Rank(timeout=120)
    trainer = locally(stages(seed), seed, transport)
    batches = [halves(rows) for rows in text(seed, BATCH * steps).split(BATCH)]
    own = [p for w in trainer.workers.values() for p in w.block.parameters()]
    start = time.process_time()
    with SavedTensors(own) as meter:
        trainer.fit(batches, epochs=1)
    seconds = (time.process_time() - start) / steps
    losses = transport.gather({k: w.loss for k, w in trainer.workers.items()})
    return told(losses[RANKS - 1], seconds, meter, own)


def learned(local: bool, seed: int, steps: int) -> float:
    """Train for long in one process; return the mean loss on text held out."""
    rows = text(seed, BATCH * steps + HELD_OUT)
    batches = [halves(some) for some in rows[:-HELD_OUT].split(BATCH)]
    parts = stages(seed)
    if local:
        locally(parts, seed, InProcess()).fit(batches, epochs=1)
    else:
        step, parameters = WAYS["one process"](parts)
        adam = torch.optim.Adam(parameters, lr=3e-3)
        for x, y in batches:
            step(x, y)
            adam.step()
    x, y = halves(rows[-HELD_OUT:])
    with torch.no_grad():
        return round(loss(nn.Sequential(*parts)(x), y).item(), 4)


def entropy(seed: int, steps: int) -> float:
    """Return what the chain itself loses on the text held out: nobody loses less."""
    rows = text(seed, BATCH * steps + HELD_OUT)[-HELD_OUT:]
    chain = chain_of(torch.Generator().manual_seed(seed))
    odds = chain[rows[:, :-2], rows[:, 1:-1], rows[:, 2:]].log()
    first = torch.full((HELD_OUT, 1), 1 / LETTERS).log()  # of it nothing is known
    return round(-torch.cat([first, odds], 1).mean().item(), 4)


def of_seeds(ask: Callable[[int, int], float], steps: int) -> list[float]:
    """Return the answer for each seed."""
    return [ask(seed, steps) for seed in SEEDS]


def work(name: str, steps: int) -> None:
    """Train one way as one of the ranks; rank 0 prints what was found."""
    ranks = int(os.environ["WORLD_SIZE"])
    Ranks.join(120)
    row: dict[str, list[float]] = {}
    for seed in SEEDS:
        everyone: list = [None] * ranks
        local = name == LOCAL
        mine = train_locally(seed, steps) if local else train(WAYS[name], seed, steps)
        dist.all_gather_object(everyone, mine)
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
    parser.add_argument("--way", choices=[*WAYS, LOCAL], help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="+", help="some rows, as DDP or entropy")
    chosen = parser.parse_args()
    steps = 3 if chosen.quick else STEPS
    torch.set_num_threads(1)
    if chosen.way:
        work(chosen.way, steps)
        return
    path = record.RESULTS / "pipeline.json"
    setting = {"seeds": SEEDS, "steps": steps, "batch": BATCH, "length": LENGTH}
    longer = 20 if chosen.quick else LONG
    setting |= {"long": longer, "held_out": HELD_OUT}
    parts: dict[tuple[str, str], Callable[[], Any]] = {
        ("rows", name): partial(started, name, chosen.quick) for name in [*WAYS, LOCAL]
    }
    for name, ask in (
        ("one loss", partial(learned, False)),
        ("losses of their own", partial(learned, True)),
        ("entropy", entropy),
    ):
        parts["learning", name] = partial(of_seeds, ask, longer)
    for (part, name), measure in parts.items():
        whole = json.loads(path.read_text())
        found = whole.get("gpt", {})
        stored = name in found.get(part, {}) and not (chosen.quick or chosen.again)
        if stored or name not in (chosen.only or [name]):
            continue
        found.setdefault(part, {})[name] = measure()
        print(f"{name:14}", found[part][name], flush=True)
        if not chosen.quick:
            facts = {"machine": record.machine(("torch",)), "setting": setting}
            record.write("pipeline", whole | {"gpt": found | facts})


if __name__ == "__main__":
    main()
