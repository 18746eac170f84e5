"""Small networks in the making: the sides that compact.py compares."""

from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import prune

from modular.compact import (
    LSQ,
    STE,
    BinaryLinear,
    Movement,
    distill,
    quantize_weights,
    shrink,
    size_report,
)
from modular.tasks import Task, digits
from tests.benchmarks.modular.workers import both, sums

MOMENTUM, KEPT, TEMPERATURE = 0.9, 0.1, 4.0
BATCH = {"digits": 64, "pair_sum": 128}
SIZES = {"digits": (64, 64, 64, 10), "pair_sum": (128, 64, 64, 10)}
EPOCHS = {"digits": 20, "pair_sum": 10}
Tasks = tuple[Task, Task]
Make = Callable[[nn.Sequential], nn.Module]
Run = Callable[[int, float], tuple[nn.Module, Tasks]]


def data(problem: str, seed: int) -> Tasks:
    """Return a task whose test data are for validation, and the task."""
    if problem == "pair_sum":
        return sums(seed, train=6000)
    found = digits(torch.Generator().manual_seed(seed))
    few = len(found.x) // 4
    task = Task(found.x[few:], found.y[few:], found.x_test, found.y_test)
    return both(task, found.x[:few], found.y[:few])


def perceptron(sizes: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def width(problem: str, bits: int) -> int:
    """Return the width at which floats take the bytes of the network with few bits."""
    n, full, _, classes = SIZES[problem]
    weights = n * full + full * full + full * classes
    most = weights * bits / 8 + 4 * (2 * full + classes)
    return next(
        w
        for w in range(full, 0, -1)
        if 4 * (n * w + w * w + w * classes + 2 * w + classes) <= most
    )


def binary(model: nn.Sequential) -> nn.Sequential:
    """The same network with binary weights."""
    layers = []
    for layer in model:
        if isinstance(layer, nn.Linear):
            new = BinaryLinear(layer.in_features, layer.out_features)
            new.load_state_dict(layer.state_dict())
            layers.append(new)
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def lsq(bits: int, model: nn.Sequential, same: bool = False) -> nn.Module:
    """The same network with learned steps, which begin now.

    The same levels on both sides of zero are one less, as with the plain rule.
    """
    rule = LSQ(bits)
    rule.least = -rule.most if same else rule.least
    quantize_weights(model, rule)
    model(torch.zeros(1, model[0].in_features))
    return model


def by_size(model: nn.Sequential) -> nn.Module:
    """Hold all but the largest weights at zero."""
    layers = [(layer, "weight") for layer in model if isinstance(layer, nn.Linear)]
    prune.global_unstructured(layers, prune.L1Unstructured, amount=1 - KEPT)
    return model


def accuracy(model: nn.Module, task: Task) -> float:
    """Return the share of right answers on a task's test data, in percent."""
    with torch.no_grad():
        right = (model(task.x_test).argmax(1) == task.y_test).double().mean().item()
    return round(100 * right, 3)


def train(
    model: nn.Module,
    task: Task,
    rate: float,
    seed: int,
    span: tuple[int, int, int, int],
    watch: Movement | None = None,
    teacher: nn.Module | None = None,
) -> None:
    """Train from one pass to another of all, with a rate that falls to zero."""
    first, last, passes, batch = span
    per_pass = len(task.x) // batch
    generator = torch.Generator().manual_seed(1000 * seed + first)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=MOMENTUM)
    for step in range(first * per_pass, last * per_pass):
        if step % per_pass == 0:
            order = torch.randperm(len(task.x), generator=generator).split(batch)
        index = order[step % per_pass]
        optimizer.param_groups[0]["lr"] = rate * (1 - step / (passes * per_pass))
        optimizer.zero_grad()
        out = model(task.x[index])
        loss = cross_entropy(out, task.y[index])
        if teacher:
            with torch.no_grad():
                said = teacher(task.x[index])
            loss = (loss + distill(out, said, TEMPERATURE)) / 2
        loss.backward()
        if watch:
            watch.see()
        optimizer.step()


def halves(
    problem: str, make: Make | None, seed: int, rate: float, moving: bool = False
) -> tuple[nn.Module, Tasks]:
    """Train floats, change the network after half of the passes, and go on."""
    tasks, passes, batch = data(problem, seed), EPOCHS[problem], BATCH[problem]
    torch.manual_seed(seed)
    model: nn.Module = perceptron(SIZES[problem])
    watch = Movement([m for m in model if isinstance(m, nn.Linear)]) if moving else None
    train(model, tasks[1], rate, seed, (0, passes // 2, passes, batch), watch)
    if watch:
        watch.prune(1 - KEPT)
    elif make:
        model = make(model)
    train(model, tasks[1], rate, seed, (passes // 2, passes, passes, batch))
    return model, tasks


@cache
def floats(problem: str, seed: int, rate: float) -> nn.Module:
    """The network of floats of one seed."""
    return halves(problem, None, seed, rate)[0]


def small(
    problem: str, wide: int, taught: float | None, seed: int, rate: float
) -> tuple[nn.Module, Tasks]:
    """Train a network of few floats, perhaps with a large one, of that rate, beside."""
    teacher = floats(problem, seed, taught) if taught else None
    tasks, passes, batch = data(problem, seed), EPOCHS[problem], BATCH[problem]
    torch.manual_seed(seed)
    n, _, _, classes = SIZES[problem]
    model = perceptron((n, wide, wide, classes))
    for first, last in ((0, passes // 2), (passes // 2, passes)):
        span = (first, last, passes, batch)
        train(model, tasks[1], rate, seed, span, teacher=teacher)
    return model, tasks


def stored_bytes(model: nn.Module) -> float:
    """Bytes of a network; of one with a mask, a bit for each place and its floats."""
    size = size_report(model)
    places = sum(m.weight.numel() for m in model.modules() if hasattr(m, "weight_mask"))
    return size.bytes - 4 * (size.parameters - size.nonzero) * bool(places) + places / 8


def sides(problem: str, float_rate: float) -> dict[str, Run]:
    """Every way to a small network."""
    half = partial(partial, halves, problem)
    thin, thinner = width(problem, 4), width(problem, 2)
    full = SIZES[problem][1]
    found: dict[str, Run] = {"float": half(None)}
    found |= {f"{bits} bits": half(partial(lsq, bits)) for bits in (8, 4, 3, 2)}
    found |= {"1 bit": half(binary), "2 bits, STE": half(rounding(2))}
    found["2 bits, three levels"] = half(partial(lsq, 2, same=True))
    found |= {"pruned by size": half(by_size)}
    found |= {"pruned by movement": partial(halves, problem, None, moving=True)}
    for wide in (thin, thinner):
        found[f"neurons out, {wide}"] = half(
            partial(shrink, share=(full - wide + 0.5) / full)
        )
        found[f"taught, {wide}"] = partial(small, problem, wide, float_rate)
    for bits in (8, 4, 2, 1):
        wide = width(problem, bits)
        found[f"small, {wide}"] = partial(small, problem, wide, None)
    return found


def rounding(bits: int) -> Make:
    """Round with the plain rule."""
    return partial(quantize_weights, quantizer=STE(bits))
