"""What a training step holds in memory, and what it costs to hold less.

* **runs**: a small convolutional net on digits with activations kept in several ways,
  three seeds each: accuracy and loss on test data, and bytes of what passed the codec.
* **step**: the same ways by the allocator: bytes between forward and backward, most
  bytes at one moment of a step, and CPU seconds beside plain steps in turns.
* **states**: Adam as it is, and with its two states kept in 8 bits, by our codecs and
  by torchao, which leaves small tensors as they are.
* **zero**: by arithmetic, what each of four workers holds of the rest.
"""

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.autograd.graph import save_on_cpu
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile
from torch.utils.checkpoint import checkpoint_sequential

from modular.memory import (
    BitAllocator,
    Groupwise,
    Identity,
    LinearQuantizer,
    SigmaController,
    compressed_activations,
)
from modular.memory.codec import Codec, Steering
from tests.benchmarks import record
from tests.benchmarks.modular.memory_parts import (
    BATCH,
    CHANNELS,
    CODED,
    EPOCHS,
    LAYERS,
    RANKS,
    RATE,
    Blurred,
    Nearest,
    Packed,
    adam,
    data,
    network,
    shares,
)

PERIOD, SEEDS, PAIRS = 20, 3, 7
SHARES = (0.01, 0.1, 0.3, 1.0)
BOUNDS = (0.1, 0.5, 2.0)

Make = Callable[[nn.Sequential], Codec | Steering | None]


def allocated(model: nn.Sequential, bits: float) -> BitAllocator:
    """Bits by the noise that each map's error makes in the layer that reads it."""
    x, y, *_ = data(0)
    maps: list[Tensor] = []
    watch = [
        m.register_forward_hook(lambda m, i, o: maps.append(o))
        for m in model
        if isinstance(m, nn.ReLU)
    ]
    readers = [m for m in model if isinstance(m, nn.Conv2d | nn.Linear)][1:]
    heard = {}
    for m in readers:
        watch.append(
            m.register_full_backward_hook(lambda m, i, o: heard.update({m: o[0]}))
        )
    cross_entropy(model(x[:BATCH]), y[:BATCH]).backward()
    for hook in watch:
        hook.remove()
    c = [
        (h.max() ** 2 * heard[m].square().sum() / m.weight.grad.square().mean()).item()
        for h, m in zip(maps, readers, strict=True)
    ]
    model.zero_grad()
    sizes = [h.numel() for h in maps]
    return BitAllocator(sizes, c, bits * sum(sizes))


def grouped(_: nn.Sequential, bits: int) -> Codec:
    """Keep all activations in as many bits."""
    return Groupwise(bits)


def ways() -> dict[str, Make]:
    """How activations are kept, by name; none: as autograd keeps them."""
    found: dict[str, Make] = {"plain": lambda m: None, "identity": lambda m: Identity()}
    for share in SHARES:
        found[f"controller, {share:g}"] = partial(
            SigmaController, share=share, period=PERIOD
        )
    for share in (0.1, 1.0):
        found[f"control, {share:g}"] = partial(Blurred, share=share, period=PERIOD)
    found["controller, 0.1, SZ3"] = partial(Packed, share=0.1, period=PERIOD)
    for bits in (2, 4):
        found[f"{bits} bits"] = partial(grouped, bits=bits)
    found["4 bits, allocated"] = partial(allocated, bits=4)
    return found


def coded_by(_: nn.Sequential, codec: Callable[[float], Codec], bound: float) -> Codec:
    """Keep all activations within one bound."""
    return codec(bound)


def fixed() -> dict[str, Make]:
    """One bound for all activations and for all of a training, without a controller."""
    kinds: dict[str, Callable[[float], Codec]] = {
        "signs": LinearQuantizer,
        "nearest": Nearest,
    }
    return {
        f"bound {bound:g}, {kind}": partial(coded_by, codec=codec, bound=bound)
        for bound in BOUNDS
        for kind, codec in kinds.items()
    }


def learned(make: Make, seed: int) -> dict:
    """Train one network; return how good it is and what was kept."""
    x, y, held, labels = data(seed)
    model = network(seed)
    codec = make(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    g, less, step = torch.Generator().manual_seed(seed), [], 0
    for _ in range(EPOCHS):
        for index in torch.randperm(len(x), generator=g).split(BATCH):
            optimizer.zero_grad()
            with kept_by(model, codec) as kept:
                loss = cross_entropy(model(x[index]), y[index])
            loss.backward()
            if isinstance(codec, SigmaController):
                codec.step()
            optimizer.step()
            if codec and step and len(index) == BATCH:
                less.append(kept.plain / kept.peak)
            step += 1
    with torch.no_grad():
        out = model(held)
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return {
        "accuracy": round(100 * (out.argmax(1) == labels).double().mean().item(), 2),
        "loss": round(cross_entropy(out, labels).item(), 4),
        "less": [statistics.median(less), min(less)] if less else [1.0, 1.0],
        "sum": weights.double().sum().item(),
    }


def kept_by(model: nn.Module, codec: Codec | Steering | None) -> AbstractContextManager:
    """Open the way for one forward pass."""
    return compressed_activations(model, codec) if codec else nullcontext()


Step = Callable[[], tuple[Tensor, int]]


def steps(name: str, model: nn.Sequential) -> Step:
    """Return a forward pass in this way: the loss, and bytes outside the allocator."""
    x, y, *_ = data(0)
    x, y = x[:BATCH], y[:BATCH]
    if name.startswith("checkpoints"):
        count = int(name.split(", ")[1])
        return lambda: (
            cross_entropy(
                checkpoint_sequential(model, count, x, use_reentrant=False), y
            ),
            0,
        )
    if name == "offload":

        def offloaded() -> tuple[Tensor, int]:
            with save_on_cpu():
                return cross_entropy(model(x), y), 0

        return offloaded
    codec = ways()[name](model)

    def run() -> tuple[Tensor, int]:
        with kept_by(model, codec) as kept:
            loss = cross_entropy(model(x), y)
        outside = isinstance(codec, SigmaController) and bool(codec.bounds)
        return loss, kept.peak if outside else 0

    if isinstance(codec, SigmaController):
        codec.period = 10**6
        run()[0].backward()
        codec.step()
    return run


def allocator(work: Callable[[], object]) -> tuple[int, int]:
    """Return bytes that are left after some work, and the most in between."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        alive = work()
    events = seen.profiler.kineto_results.events()
    changes = sorted(
        (e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"
    )
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    del alive
    return now, most


def step(name: str) -> dict:
    """Measure one way: bytes by the allocator, CPU seconds beside plain steps."""
    model, other = network(0), network(0)
    run, plain = steps(name, model), steps("plain", other)

    def whole(forward: Step, net: nn.Sequential) -> float:
        net.zero_grad()
        start = time.process_time()
        forward()[0].backward()
        return time.process_time() - start

    for _ in range(2):
        whole(run, model), whole(plain, other)
    pairs = [(whole(run, model), whole(plain, other)) for _ in range(PAIRS)]
    model.zero_grad()
    outside = run()[1]
    held, _ = allocator(run)
    _, most = allocator(lambda: run()[0].backward())
    return {
        "held": held + outside,
        "peak": most + outside,
        "seconds": statistics.median(s for s, _ in pairs),
        "ratio": statistics.median(s / p for s, p in pairs),
    }


def seeds(work: Callable[[int], dict]) -> dict:
    """Run all seeds."""
    return {"runs": [work(seed) for seed in range(SEEDS)]}


def plan() -> dict[str, dict[str, Callable[[], dict]]]:
    """All rows, by part."""
    trained = ways() | fixed()
    names = [*ways(), *(f"checkpoints, {n}" for n in (2, 3, 4, 9)), "offload"]
    kinds = ("32 bits", *CODED, "8 bits, torchao")
    return {
        "runs": {n: partial(seeds, partial(learned, m)) for n, m in trained.items()},
        "step": {n: partial(step, n) for n in names},
        "states": {k: partial(seeds, partial(adam, k)) for k in kinds},
        "zero": {"four workers": shares},
    }


def main() -> None:
    """Measure what is missing; keep each row at once."""
    for found in record.measured("memory", plan(), __doc__):
        found["machine"] = record.machine(("torch", "torchao", "pysz"))
        write(found)


def write(found: dict) -> None:
    """Store all rows that there are, and what they come to."""
    setting = {"channels": CHANNELS, "layers": LAYERS, "batch": BATCH, "rate": RATE}
    setting |= {"epochs": EPOCHS, "period": PERIOD, "seeds": SEEDS, "ranks": RANKS}
    setting |= {"clock": "CPU, beside other work", "dtype": "float32"}
    facts = {"machine": found["machine"], "setting": setting}
    facts["published"] = {"source": "Jin et al. 2021", "less": 13.5}
    facts["reached"] = {
        name: {
            "less": round(statistics.median(run["less"][0] for run in row["runs"]), 1),
            "accuracy": round(statistics.mean(r["accuracy"] for r in row["runs"]), 1),
        }
        for name, row in found.get("runs", {}).items()
    }
    record.write("memory", facts | {p: found[p] for p in plan() if p in found})


if __name__ == "__main__":
    main()
