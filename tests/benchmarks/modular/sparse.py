"""What truly sparse layers cost, how large they can be, and whether SET learns better.

* **cost**: forward and backward of one square layer, sparse, dense and dense behind a
  mask, in turns, at some densities; CPU time, the median of pairs.
* **large**: steps of a network of ten million neurons, one move of its connections, and
  the bytes that it holds.
* **paper**: those bytes by formula, and of the fifty million neurons of Curci, Mocanu
  and Pechenizkiy 2021, in as many layers, five times as wide.
* **noise**: features of which few tell something (Guyon's generator of Madelon, as
  scikit-learn has it), learned dense, with connections that stay, that move by SET and
  by RigL; each at its best rate of one search on validation data of other draws.
"""

import resource
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from sklearn.datasets import make_classification
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from modular.sparse import SET, AllReLU, RigL, SparseLinear, sparse_layers
from tests.benchmarks import record

SIZE, BATCH = 4000, 128
DENSITIES = (0.005, 0.01, 0.02, 0.05)
PAIRS = 21
HIDDEN, WIDTH, OUTPUTS, INPUTS, FEW = 10, 1_000_000, 10, 1000, 8
PAPER = 50_000_000
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0)
BEST = 3  # rates that are tried again
SEEDS = 5
EPOCHS = 60
WAYS = ("dense", "static", "SET", "RigL")


class Masked(nn.Linear):
    """A dense layer whose weights are multiplied by zeros and ones."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply with what the mask leaves."""
        return linear(x, self.weight * self.mask, self.bias)


def seconds(layer: nn.Module, x: Tensor) -> tuple[float, float]:
    """Return CPU seconds of a forward and of a backward pass."""
    start = time.process_time()
    y = layer(x)
    middle = time.process_time()
    y.backward(torch.ones_like(y))
    return middle - start, time.process_time() - middle


def cost(density: float) -> dict:
    """Race a sparse layer with the dense ones of its size, in turns."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, SIZE, generator=g).requires_grad_()
    sparse = SparseLinear(SIZE, SIZE, density * SIZE / 2, g)
    mask = (sparse.dense().detach() != 0).float()
    layers = {"sparse": sparse, "dense": nn.Linear(SIZE, SIZE), "masked": Masked(mask)}
    for layer in layers.values():
        seconds(layer, x)  # warm
    turns = [
        {k: seconds(layer, x) for k, layer in layers.items()} for _ in range(PAIRS)
    ]
    forward = [turn["dense"][0] / turn["sparse"][0] for turn in turns]
    both = [sum(turn["dense"]) / sum(turn["sparse"]) for turn in turns]
    masked = [sum(turn["dense"]) / sum(turn["masked"]) for turn in turns]
    return {
        "connections": sparse.connections,
        **{
            f"{k}_ms": [1e3 * statistics.median(t[k][i] for t in turns) for i in (0, 1)]
            for k in layers
        },
        "forward_ratio": statistics.median(forward),
        "masked_ratio": statistics.median(masked),
        "ratio": statistics.median(both),
        "ratios": [min(both), max(both)],
    }


def wide(width: int) -> list[int]:
    """Sizes of all layers, inputs and outputs among them."""
    return [INPUTS, *[width] * HIDDEN, OUTPUTS]


def held(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, int]:
    """Count the bytes of values, of what training adds to them, and of indices."""
    trained = list(model.parameters())
    states = [optimizer.state[p]["momentum_buffer"] for p in trained]
    indices = []
    for layer in sparse_layers(model):
        known = layer.pattern
        indices += [known.places, known.row, known.column, known.starts]
        indices += [*known.transposed]
    return {
        "values": sum(p.nbytes for p in trained),
        "gradients": sum(p.grad.nbytes for p in trained if p.grad is not None),
        "momentum": sum(state.nbytes for state in states),
        "indices": sum(index.nbytes for index in indices),
    }


def paper(width: int) -> dict:
    """Say the same by formula: a connection has an index of 8 bytes and four of 4."""
    pairs = list(zip(wide(width), wide(width)[1:], strict=False))
    connections = sum(min(a + b, a * b) for a, b in pairs)
    numbers = connections + sum(b for _, b in pairs)
    starts = sum(a + b + 2 for a, b in pairs)
    kept = INPUTS + 2 * HIDDEN * width  # what goes into a layer, and into its All-ReLU
    training = dict.fromkeys(("values", "gradients", "momentum"), 4 * numbers)
    training["indices"] = 24 * connections + 4 * starts
    return {
        "neurons": HIDDEN * width,
        "connections": connections,
        **training,
        "gib": sum(training.values()) / 2**30,
        "activations_of_a_sample": 4 * kept,
        "dense_values": 4 * sum(a * b + b for a, b in pairs),
    }


def large() -> dict:
    """Train ten million hidden neurons for some steps, and move their connections."""
    g = torch.Generator().manual_seed(0)
    sizes = wide(WIDTH)
    start = time.process_time()
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
        layers += [SparseLinear(a, b, 1.0, g), AllReLU(0.6, i)]
    model = nn.Sequential(*layers[:-1])
    made = time.process_time() - start
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-5, momentum=0.9)
    x = torch.randn(FEW, INPUTS, generator=g)
    target = torch.randint(OUTPUTS, (FEW,), generator=g)
    losses, steps = [], []
    for _ in range(6):
        start = time.process_time()
        optimizer.zero_grad()
        loss = cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        steps.append(time.process_time() - start)
    bytes_held = held(model, optimizer)
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
        "held": bytes_held,
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


def search(way: str) -> tuple[dict[float, float], dict[float, float]]:
    """Try all rates on two draws of other seeds, and the best ones on five.

    Two alone have chosen a rate at which some networks do not learn.
    """

    def middle(rate: float, draws: int) -> float:
        runs = (learned(way, rate, 100 + draw) for draw in range(draws))
        return statistics.median(run["accuracy"] for run in runs)

    tried = {rate: middle(rate, 2) for rate in RATES}
    best = sorted(RATES, key=lambda rate: tried[rate])[-BEST:]
    return tried, {rate: middle(rate, 5) for rate in best}


def compared() -> dict[str, Callable[[], dict]]:
    """Each way at its best rate."""

    def row(way: str) -> dict:
        tried, again = search(way)
        rate = max(again, key=lambda rate: again[rate])
        runs = [learned(way, rate, seed) for seed in range(SEEDS)]
        accuracy = [run["accuracy"] for run in runs]
        return {
            "search": tried,
            "again": again,
            "rate": rate,
            "accuracy": [statistics.median(accuracy), min(accuracy), max(accuracy)],
            "runs": runs,
        }

    return {way: partial(row, way) for way in WAYS}


def plan() -> dict[str, dict[str, Callable[[], dict]]]:
    """All rows, by part."""
    return {
        "cost": {f"{density:.1%}": partial(cost, density) for density in DENSITIES},
        "large": {"ten million": large},
        "paper": {
            "ten million": partial(paper, WIDTH),
            "fifty million": partial(paper, PAPER // HIDDEN),
        },
        "noise": compared(),
    }


def main() -> None:
    """Measure what is missing; keep each row at once."""
    setting = {"size": SIZE, "batch": BATCH, "pairs": PAIRS, "epochs": EPOCHS}
    setting |= {"seeds": SEEDS, "rates": RATES, "clock": "CPU", "dtype": "float32"}
    for found in record.measured("sparse", plan(), __doc__):
        facts = {"machine": record.machine(("torch", "scikit-learn"))}
        record.write("sparse", facts | {"setting": setting} | rows(found))


def rows(found: dict) -> dict:
    """Only the parts."""
    return {part: found[part] for part in plan() if part in found}


if __name__ == "__main__":
    main()
