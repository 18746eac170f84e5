"""Data-parallel training in one process, with the bits of several.

Workers take equal shares of every batch, one after the other; each compresses every
tensor of its gradient by itself, and what they send is averaged in the order of ranks,
as ``modular.communication.Exchange`` does it. A test holds both together, bit for bit.
Shared by the scripts of this folder.
"""

import copy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook
from torch.multiprocessing.spawn import start_processes
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from modular.communication import ErrorFeedback, Exchange, TopK
from modular.communication.base import Compressor
from modular.tasks import Task, digits

WORKERS, BATCH, START, SHARE = 4, 128, 2, 0.009
MEAN, SPREAD = 0.305, 0.376  # of the pixels


@dataclass(frozen=True)
class Problem:
    """Data with a network for them, and how long it trains."""

    data: Callable[[int], tuple[Task, Task]]
    net: Callable[[], nn.Module]
    epochs: int


@dataclass(frozen=True)
class Way:
    """How workers exchange: one of three, and whether all gather all messages.

    Who averages once in a period may do so at every step ``before`` a share of them.
    """

    compressor: Compressor | None = None
    period: int = 0
    rank: int = 0
    before: float = 0.0

    @property
    def gathers(self) -> bool:
        """Messages that cannot be added on the way travel to every worker."""
        return self.compressor is not None


def both(task: Task, x: Tensor, y: Tensor) -> tuple[Task, Task]:
    """Return the task with data to validate on, and with its test data; centred."""

    def centred(x: Tensor) -> Tensor:
        return (x - MEAN) / SPREAD

    inputs, tests = centred(task.x), centred(task.x_test)
    known = Task(inputs, task.y, centred(x), y)
    return known, Task(inputs, task.y, tests, task.y_test)


def sums(seed: int, train: int = 12_000, test: int = 3_000) -> tuple[Task, Task]:
    """Return sums of two digits; no digit is in two of training, validation, test."""
    generator = torch.Generator().manual_seed(seed)
    single = digits(generator)
    few = len(single.x) // 4

    def pairs(x: Tensor, y: Tensor, count: int) -> tuple[Tensor, Tensor]:
        left, right = torch.randint(len(x), (2, count), generator=generator)
        return torch.cat([x[left], x[right]], dim=1), (y[left] + y[right]) % 10

    x, y = pairs(single.x[few:], single.y[few:], train)
    known = pairs(single.x[:few], single.y[:few], test)
    held = pairs(single.x_test, single.y_test, test)
    return both(Task(x, y, *held), *known)


def images(seed: int) -> tuple[Task, Task]:
    """Return digits as images, half of them to test on."""
    found = digits(torch.Generator().manual_seed(seed), test_share=0.5)
    x, x_test = (part.view(-1, 1, 8, 8) for part in (found.x, found.x_test))
    few = len(x) // 4
    task = Task(x[few:], found.y[few:], x_test, found.y_test)
    return both(task, x[:few], found.y[:few])


def perceptron() -> nn.Module:
    """Return three layers for sums of two digits."""
    first = nn.Linear(128, 128, bias=False), nn.ReLU()
    second = nn.Linear(128, 64, bias=False), nn.ReLU()
    return drawn(nn.Sequential(*first, *second, nn.Linear(64, 10, bias=False)))


def convolutions() -> nn.Module:
    """Return a small convolutional network for digits."""
    first = nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2)
    second = nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.ReLU(), nn.MaxPool2d(2)
    third = nn.Flatten(), nn.Linear(128, 64, bias=False), nn.ReLU()
    last = nn.Linear(64, 10, bias=False)
    return drawn(nn.Sequential(*first, *second, *third, last))


def drawn(net: nn.Module) -> nn.Module:
    """Draw weights so that signals keep their size through ReLUs (He et al. 2015)."""
    for p in net.parameters():
        nn.init.kaiming_normal_(p, nonlinearity="relu")
    return net


PROBLEMS = {
    "pair_sum": Problem(sums, perceptron, 5),
    "digits, convolutions": Problem(images, convolutions, 25),
}


def seeded(problem: Problem, seed: int, state: dict | None = None) -> nn.Module:
    """Return the network as this seed draws it, or with the weights of a state."""
    torch.manual_seed(seed)
    net = problem.net()
    if state is not None:
        net.load_state_dict(state)
    return net


def batches(task: Task, size: int, seed: int, epochs: int) -> Iterator[tuple]:
    """Yield shuffled whole batches of some epochs."""
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(task.x), generator=order).split(size):
            if len(rows) == size:
                yield task.x[rows], task.y[rows]


def gradients(net: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return the gradient of the mean cross-entropy, tensor by tensor."""
    loss = functional.cross_entropy(net(x), y)
    return list(torch.autograd.grad(loss, list(net.parameters())))


def falling(optimizer: torch.optim.Optimizer, steps: int):
    """Let the rate fall to zero along a line."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 1 - t / steps)


def sgd(net: nn.Module, rate: float) -> torch.optim.SGD:
    """Return plain SGD: no momentum repeats what a message has said once."""
    return torch.optim.SGD(net.parameters(), rate)


def sent(way: Way, net: nn.Module) -> float:
    """Return the bytes of one worker's messages of a step, by the mean."""
    parameters = [p.detach() for p in net.parameters()]
    numbers = sum(p.numel() for p in parameters)
    if way.compressor is not None:
        return sum(way.compressor.count(p) for p in parameters)
    if way.rank:  # two factors where they are half as large, as torch decides
        flat = [(p.numel(), p.flatten(1).shape) for p in parameters if p.ndim > 1]
        factors = [(size, way.rank * sum(shape)) for size, shape in flat]
        saved = sum(size - low for size, low in factors if 2 * low < size)
        return 4 * (numbers - saved)
    if way.period < 2:
        return 4 * numbers
    return 4 * numbers * (way.before + (1 - way.before) * 2 / way.period)


def wire(way: Way, message: float, workers: int = WORKERS) -> float:
    """Return what one worker sends in a step: gathered in a ring, or added in one."""
    return (workers - 1) * message * (1 if way.gathers else 2 / workers)


def gathered(
    net: nn.Module, rows: list, rate: float, way: Way, steps: int | None = None
) -> nn.Module:
    """Train with messages that all workers gather; None is the plain average."""
    optimizer, parameters = sgd(net, rate), list(net.parameters())
    schedule = falling(optimizer, len(rows))
    senders = [[copy.copy(way.compressor) for _ in parameters] for _ in range(WORKERS)]
    for x, y in rows[:steps]:
        mean = [torch.zeros_like(p) for p in parameters]
        shares = zip(x.chunk(WORKERS), y.chunk(WORKERS), senders, strict=True)
        for some, labels, mine in shares:
            own = gradients(net, some, labels)
            if not all(g.isfinite().all() for g in own):
                return ruined(net)
            for total, g, compress in zip(mean, own, mine, strict=True):
                total += (g if compress is None else compress(g)) / WORKERS
        for p, g in zip(parameters, mean, strict=True):
            p.grad = g
        optimizer.step()
        schedule.step()
    return net


def ruined(net: nn.Module) -> nn.Module:
    """Return the network without an answer: training has diverged."""
    for p in net.parameters():
        p.data.fill_(torch.nan)
    return net


def local(net: nn.Module, rows: list, rate: float, way: Way) -> nn.Module:
    """Train alone, and average weights and gradients once in a period."""
    nets = [copy.deepcopy(net) for _ in range(WORKERS)]
    optimizers = [sgd(one, rate) for one in nets]
    schedules = [falling(one, len(rows)) for one in optimizers]
    for t, (x, y) in enumerate(rows):
        shares = zip(nets, x.chunk(WORKERS), y.chunk(WORKERS), strict=True)
        for one, some, labels in shares:
            own = gradients(one, some, labels)
            for p, g in zip(one.parameters(), own, strict=True):
                p.grad = g
        early = t < way.before * len(rows)  # the weights have not parted yet
        if early or (t + 1) % way.period == 0 or t + 1 == len(rows):
            for copies in zip(*(one.parameters() for one in nets), strict=True):
                weight = torch.stack([p.data for p in copies]).mean(dim=0)
                slope = torch.stack([p.grad for p in copies]).mean(dim=0)
                for p in copies:
                    p.data, p.grad = weight.clone(), slope.clone()
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()
    return nets[0]


def power(net: nn.Module, rows: list, rate: float, way: Way) -> nn.Module:
    """Train with torch's PowerSGD on whole batches, as one worker.

    Its factors are linear in the gradient, and workers add them: several workers take
    the step of one that has the mean of their gradients.
    """
    store = dist.HashStore()
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        model = DistributedDataParallel(net)
        state = powerSGD_hook.PowerSGDState(
            None, matrix_approximation_rank=way.rank, start_powerSGD_iter=START
        )
        model.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
        optimizer = sgd(net, rate)
        schedule = falling(optimizer, len(rows))
        for x, y in rows:
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
    finally:
        dist.destroy_process_group()
    return net


def real(rank: int, folder: str, name: str, rate: float, steps: int | None) -> None:
    """Train as one of several processes, by the hook; leave weights and bytes there."""
    rendezvous = f"file://{folder}/meet"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rendezvous, rank=rank, world_size=WORKERS)
    problem = PROBLEMS[name]
    net, task = seeded(problem, 0), problem.data(0)[1]
    rows = list(batches(task, BATCH, 0, problem.epochs))
    optimizer, exchange = sgd(net, rate), Exchange(ErrorFeedback(TopK(SHARE)))
    schedule, model = falling(optimizer, len(rows)), DistributedDataParallel(net)
    exchange.attach(model)
    for x, y in rows[:steps]:
        optimizer.zero_grad()
        some, labels = x.chunk(WORKERS)[rank], y.chunk(WORKERS)[rank]
        functional.cross_entropy(model(some), labels).backward()
        optimizer.step()
        schedule.step()
    found = {"net": net.state_dict(), "sent": exchange.sent, "plain": exchange.plain}
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def on_processes(name: str, rate: float, steps: int | None = None) -> list[dict]:
    """Train on real processes; return what each has left."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = folder, name, rate, steps
        start_processes(real, arguments, nprocs=WORKERS, start_method="spawn")
        return [torch.load(f"{folder}/{rank}.pt") for rank in range(WORKERS)]


def trained(problem: Problem, way: Way, rate: float, seed: int, task: Task):
    """Return the network after training it this way."""
    net = seeded(problem, seed)
    rows = list(batches(task, BATCH, seed, problem.epochs))
    train = power if way.rank else local if way.period else gathered
    return train(net, rows, rate, way)


@torch.no_grad()
def accuracy(net: nn.Module, task: Task) -> float:
    """Return the share of right answers on test data, in percent; 0 if it diverged."""
    found = net(task.x_test)
    right = (found.argmax(dim=1) == task.y_test) & found.isfinite().all(dim=1)
    return 100 * right.double().mean().item()
