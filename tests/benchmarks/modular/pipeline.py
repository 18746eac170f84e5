"""Pipelines: the simulator at scale, schedules side by side, and real processes.

    python -m tests.benchmarks.modular.pipeline [--quick] [--only scale "clock 8 x 16"]

``scale``: seconds of CPU and memory of simulating up to 2048 ranks with 4096
micro-batches, each in a process of its own, the makespan held against its formula.
``table``: idle shares with B = 2F, ours and torch's, exact. ``clock``: four and eight
gloo processes whose stages sleep, so that two cores do for them, against the simulation
of the same costs: several steps, their median and range. Rows called torch are run by
torch's own runtime, the others by ours. Rows that are stored are not measured again.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from modular.pipeline import (
    Chimera,
    Cost,
    Interleaved,
    OneFOneB,
    Ranks,
    Schedule,
    ZeroBubble,
    from_torch,
    simulate,
)
from modular.pipeline.scheme import Scheme
from tests.benchmarks import record

SIZES = ((256, 512), (512, 1024), (1024, 2048), (2048, 4096))
SCALED: dict[str, tuple[Scheme, Any]] = {
    "1F1B": (OneFOneB(), lambda D, N: 3 * (N + D - 1)),
    "Chimera": (Chimera(), lambda D, N: 5 * D - 4 + (N // D - 1) * (4 * D - 2)),
}
TABLE: dict[str, tuple[Scheme, int]] = {  # and stages on a rank
    "1F1B": (OneFOneB(), 1),
    "interleaved, 2 stages": (Interleaved(2), 2),
    "zero bubble (ZB-H1)": (ZeroBubble(), 1),
    "Chimera, concatenated": (Chimera(), 1),
    "Chimera, forward doubling": (Chimera(doubling=True), 1),
}
TORCH = {
    "torch interleaved zero bubble": "ScheduleInterleavedZeroBubble",
    "torch ZBV": "ScheduleZBVZeroBubble",
    "torch DualPipeV": "ScheduleDualPipeV",
}
CLOCK = [*TABLE, "torch interleaved zero bubble", "torch ZBV"]
CLOCKED = ((4, 8), (8, 16))  # ranks and micro-batches
PARTS = ("scale", "table", *(f"clock {D} x {N}" for D, N in CLOCKED))
SECONDS = 0.12  # that a forward of a rank's part of the model sleeps


def scale(name: str, D: int, N: int) -> dict[str, Any]:
    """Simulate once; return what it took."""
    scheme, formula = SCALED[name]
    start = time.process_time()
    schedule = scheme.schedule(D, N)
    found = simulate(schedule, Cost(1, 2))
    seconds = time.process_time() - start
    assert found.makespan == formula(D, N)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ops = len(schedule.kinds)
    return {"operations": ops, "cpu_seconds": round(seconds, 2), "gib": round(peak, 2)}


def listed(name: str, D: int, N: int) -> tuple[Schedule, int]:
    """Return a schedule, ours or torch's, and the stages on a rank."""
    from torch.distributed.pipelining import schedules
    from torch.distributed.pipelining._schedule_visualizer import get_schedule_ops

    if name in TABLE:
        scheme, v = TABLE[name]
        return scheme.schedule(D, N), v
    return from_torch(get_schedule_ops(getattr(schedules, TORCH[name]), D, N)), 2


def table(D: int, N: int) -> dict[str, Any]:
    """Return idle share, most activations in micro-batches, and copies of the model."""
    found = {}
    for name in (*TABLE, *TORCH):
        schedule, v = listed(name, D, N)
        cost = Cost(Fraction(1, v), Fraction(2, v), activation=Fraction(1, v))
        done = simulate(schedule, cost)
        found[name] = {
            "idle": float(max(done.bubble)),
            "held": float(max(done.peak)),
            "copies": int(schedule.pipes.max()) + 1,
        }
    return found


class _Asleep(torch.autograd.Function):
    """The identity, whose derivative takes a while."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, seconds: float) -> Tensor:
        ctx.seconds = seconds
        return h.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        time.sleep(ctx.seconds)
        return g, None


class Sleeper(nn.Module):
    """A stage that sleeps: forward, for its input's gradient, and for its weight's."""

    def __init__(self, forward: float, back: float, weight: float) -> None:
        super().__init__()
        self.seconds = forward, back, weight
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, h: Tensor) -> Tensor:
        forward, back, weight = self.seconds
        time.sleep(forward)
        return _Asleep.apply(h, back) + _Asleep.apply(self.weight, weight)


def costs(ranks: int, stages: int) -> Cost:
    """Return B = 2F in equal halves; the first stage has no input to differentiate."""
    one = Fraction(SECONDS).limit_denominator(10**6) * ranks / stages
    half = [0] + [one] * (stages - 1)
    rest = [2 * one] + [one] * (stages - 1)
    return Cost(one, 2 * one, input=half, weight=rest)


def sleepers(ranks: int, stages: int) -> list[nn.Module]:
    """Return stages of those costs."""
    cost = costs(ranks, stages)
    return [
        Sleeper(float(cost.forward), float(half), float(rest))
        for half, rest in zip(cost.input, cost.weight, strict=True)
    ]


def by_torch(name: str, schedule: Schedule, x: Tensor) -> Callable[[], object]:
    """Return a step by torch's runtime; who has which stage is read from the lists."""
    from torch.distributed.pipelining import PipelineStage, schedules

    rank, (home,) = dist.get_rank(), schedule.homes().tolist()
    stages = sleepers(len(schedule), len(home))
    own = [
        PipelineStage(stages[s], s, len(home), torch.device("cpu"))
        for s in range(len(home))
        if home[s] == rank
    ]
    kind = getattr(schedules, TORCH[name])
    runtime = kind(own, len(x), loss_fn=nn.MSELoss())
    given = (x,) if home[0] == rank else ()
    wanted = {"target": x} if home[-1] == rank else {}
    return lambda: runtime.step(*given, **wanted)


def by_us(schedule: Schedule, x: Tensor) -> Callable[[], object]:
    """Return a step by our ranks."""
    stages = sleepers(len(schedule), int(schedule.stages.max()) + 1)
    ranks = Ranks(schedule, stages, nn.MSELoss(), x)
    return lambda: ranks.step(x, x)


def asleep(name: str, micros: int, steps: int) -> None:
    """Take some steps as one of the ranks; rank 0 prints their seconds."""
    Ranks.join(120)
    schedule, _ = listed(name, dist.get_world_size(), micros)
    x = torch.ones(micros, 1)
    step = by_us(schedule, x) if name in TABLE else by_torch(name, schedule, x)
    seconds = []
    for _ in range(steps + 1):  # the first one opens the connections
        dist.barrier()
        start = time.perf_counter()
        step()
        dist.barrier()  # a rank that is done early is not what is asked
        seconds.append(time.perf_counter() - start)
    if dist.get_rank() == 0:
        print(json.dumps(seconds[1:]))
    dist.destroy_process_group()


def clock(name: str, D: int, N: int, steps: int) -> dict[str, Any]:
    """Return what real processes took, and what the simulation says."""
    here = "tests.benchmarks.modular.pipeline"
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        + ["--nproc-per-node", str(D), "-m", here]
        + ["--asleep", name, "--micros", str(N), "--steps", str(steps)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    seconds = json.loads(run.stdout.splitlines()[-1])
    schedule, _ = listed(name, D, N)
    cost = costs(D, int(schedule.stages.max()) + 1)
    expected = float(simulate(schedule, cost).makespan)
    return {
        "seconds": [round(s, 3) for s in seconds],
        "simulated": round(expected, 3),
        "over": round(statistics.median(seconds) / expected, 4),
    }


def in_a_process(name: str, D: int, N: int) -> dict[str, Any]:
    """Simulate in a process of its own, whose memory is nobody else's."""
    call = f"print(json.dumps(scale({name!r}, {D}, {N})))"
    program = f"import json; from {__spec__.name} import scale; {call}"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def rows(quick: bool, steps: int) -> dict[str, dict[str, Any]]:
    """Return what measures each row of each part."""
    sizes = SIZES[:1] if quick else SIZES
    return {
        "scale": {
            f"{name}, {D} x {N}": lambda name=name, D=D, N=N: in_a_process(name, D, N)
            for name in SCALED
            for D, N in sizes
        },
        "table": {
            f"{D} x {N}": lambda D=D, N=N: table(D, N) for D, N in ((4, 16), (8, 32))
        },
        **{
            f"clock {D} x {N}": {
                name: lambda name=name, D=D, N=N: clock(name, D, N, steps)
                for name in CLOCK
            }
            for D, N in (CLOCKED[:1] if quick else CLOCKED)
        },
    }


def main() -> None:
    """Measure what is not stored, print it, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small, nothing written")
    parser.add_argument("--only", nargs="+", choices=PARTS)
    parser.add_argument("--again", action="store_true", help="stored rows, too")
    parser.add_argument("--asleep", choices=CLOCK, help=argparse.SUPPRESS)
    parser.add_argument("--micros", type=int, default=8, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=5, help="of the clock")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.asleep:
        asleep(chosen.asleep, chosen.micros, chosen.steps)
        return
    path = Path(record.RESULTS / "pipeline.json")
    found = json.loads(path.read_text()) if path.exists() and not chosen.quick else {}
    setting = {"forward": SECONDS}
    parts = rows(chosen.quick, 1 if chosen.quick else chosen.steps)
    for part in chosen.only or parts:
        for name, measure in parts[part].items():
            if name in found.get(part, {}) and not chosen.again:
                continue
            row = measure()
            print(f"{part:6} {name:36}", row, flush=True)
            found.setdefault(part, {})[name] = row
            facts = {"machine": record.machine(("torch", "numpy")), "setting": setting}
            found = facts | {k: v for k, v in found.items() if k not in facts}
            if not chosen.quick:
                record.write("pipeline", found)


if __name__ == "__main__":
    main()
