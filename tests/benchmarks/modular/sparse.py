"""What truly sparse layers cost, how large they can be, and whether SET learns better.

* **cost**: forward and backward of one square layer, sparse and dense in turns, at some
  densities; CPU time, the median of pairs.
* **large**: steps of a network of ten million neurons, and one move of its connections.
* **noise**: features of which few tell something (Guyon's generator of Madelon, as
  scikit-learn has it), learned dense, with connections that stay, that move by SET and
  by RigL; each at its best rate of one search on validation data of other draws.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from sklearn.datasets import make_classification
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modular.sparse import SET, AllReLU, RigL, SparseLinear, sparse_layers
from tests.benchmarks import record

SIZE, BATCH = 4000, 128
DENSITIES = (0.005, 0.01, 0.02, 0.05)
PAIRS = 7
HIDDEN, WIDTH = 10, 1_000_000
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
SEEDS = 5
EPOCHS = 60
WAYS = ("dense", "static", "SET", "RigL")


def seconds(layer: nn.Module, x: Tensor) -> tuple[float, float]:
    """Return CPU seconds of a forward and of a backward pass."""
    start = time.process_time()
    y = layer(x)
    middle = time.process_time()
    y.backward(torch.ones_like(y))
    return middle - start, time.process_time() - middle


def cost(density: float) -> dict:
    """Race a sparse layer with the dense one of its size, in turns."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, SIZE, generator=g).requires_grad_()
    sparse = SparseLinear(SIZE, SIZE, density * SIZE / 2, g)
    dense = nn.Linear(SIZE, SIZE)
    for layer in (sparse, dense):
        seconds(layer, x)  # warm
    pairs = [(seconds(sparse, x), seconds(dense, x)) for _ in range(PAIRS)]
    forward = [d[0] / s[0] for s, d in pairs]
    both = [sum(d) / sum(s) for s, d in pairs]
    return {
        "connections": sparse.connections,
        "sparse_ms": [1e3 * statistics.median(s[i] for s, _ in pairs) for i in (0, 1)],
        "dense_ms": [1e3 * statistics.median(d[i] for _, d in pairs) for i in (0, 1)],
        "forward_ratio": statistics.median(forward),
        "ratio": statistics.median(both),
        "ratios": [min(both), max(both)],
    }


def large() -> dict:
    """Train ten million hidden neurons for some steps, and move their connections."""
    g = torch.Generator().manual_seed(0)
    sizes = [1000, *[WIDTH] * HIDDEN, 10]
    start = time.process_time()
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers += [SparseLinear(a, b, 1.0, g), AllReLU(0.6, i)]
    model = nn.Sequential(*layers[:-1])
    made = time.process_time() - start
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)
    x = torch.randn(8, 1000, generator=g)
    target = torch.randint(10, (8,), generator=g)
    losses, steps = [], []
    for _ in range(6):
        start = time.process_time()
        optimizer.zero_grad()
        loss = cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        steps.append(time.process_time() - start)
    start = time.process_time()
    moved = SET(sparse_layers(model)[:-1], 0.3, optimizer, g).step()
    return {
        "neurons": HIDDEN * WIDTH,
        "connections": sum(layer.connections for layer in sparse_layers(model)),
        "made_seconds": made,
        "step_seconds": statistics.median(steps[1:]),
        "samples_per_cpu_second": len(x) / statistics.median(steps[1:]),
        "move_seconds": time.process_time() - start,
        "moved": moved,
        "losses": losses,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def noise(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw 500 features, 5 of which tell the class and 15 repeat them mixed."""
    x, y = make_classification(
        n_samples=4000,
        n_features=500,
        n_informative=5,
        n_redundant=15,
        n_clusters_per_class=16,
        random_state=seed,
    )
    x = StandardScaler().fit(x[:2000]).transform(x)
    inputs, labels = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    return inputs[:2000], labels[:2000], inputs[2000:], labels[2000:]


def network(way: str, g: torch.Generator) -> nn.Sequential:
    """The paper's 500-400-100-400 for Madelon, with two outputs."""
    sizes = [500, 400, 100, 400, 2]
    layers: list[nn.Module] = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        dense = way == "dense" or b == 2
        layers += [nn.Linear(a, b) if dense else SparseLinear(a, b, 10, g), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def learned(way: str, rate: float, seed: int) -> dict:
    """Train one network; return its share of right answers, and what it cost."""
    x, y, held, labels = noise(seed)
    torch.manual_seed(seed)  # nn.Linear
    g = torch.Generator().manual_seed(seed)
    model = network(way, g)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=rate, momentum=0.9, weight_decay=2e-4
    )
    moving = {"SET": partial(SET, generator=g), "RigL": RigL}.get(way)
    topology = moving and moving(sparse_layers(model), 0.3, optimizer)
    start = time.process_time()
    for epoch in range(EPOCHS):
        for index in torch.randperm(len(x), generator=g).split(BATCH):
            optimizer.zero_grad()
            cross_entropy(model(x[index]), y[index]).backward()
            optimizer.step()
        if topology and epoch < EPOCHS - 1:
            topology.step()
    right = (model(held).argmax(1) == labels).double().mean()
    return {
        "accuracy": round(100 * right.item(), 2),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(time.process_time() - start, 1),
    }


def compared() -> dict[str, Callable[[], dict]]:
    """Each way at its best rate, which three draws of other seeds have chosen."""

    def row(way: str) -> dict:
        tried = {
            rate: statistics.median(
                learned(way, rate, 100 + s)["accuracy"] for s in range(2)
            )
            for rate in RATES
        }
        best = max(tried, key=lambda rate: tried[rate])
        runs = [learned(way, best, seed) for seed in range(SEEDS)]
        accuracy = [run["accuracy"] for run in runs]
        return {
            "search": tried,
            "rate": best,
            "accuracy": [statistics.median(accuracy), min(accuracy), max(accuracy)],
            "runs": runs,
        }

    return {way: partial(row, way) for way in WAYS}


def plan() -> dict[str, dict[str, Callable[[], dict]]]:
    """All rows, by part."""
    return {
        "cost": {f"{density:.1%}": partial(cost, density) for density in DENSITIES},
        "large": {"ten million": large},
        "noise": compared(),
    }


def main() -> None:
    """Measure what is missing; keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=plan(), default=list(plan()))
    chosen = parser.parse_args().only
    torch.set_num_threads(1)
    path = record.RESULTS / "sparse.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    setting = {"size": SIZE, "batch": BATCH, "pairs": PAIRS, "epochs": EPOCHS}
    setting |= {"seeds": SEEDS, "rates": RATES, "clock": "CPU", "dtype": "float32"}
    for part in chosen:
        for name, measure in plan()[part].items():
            if name in found.get(part, {}):
                continue
            found.setdefault(part, {})[name] = row = measure()
            print(part, name, row, flush=True)
            facts = {"machine": record.machine(("torch", "scikit-learn"))}
            record.write("sparse", facts | {"setting": setting} | rows(found))


def rows(found: dict) -> dict:
    """Only the parts."""
    return {part: found[part] for part in plan() if part in found}


if __name__ == "__main__":
    main()
