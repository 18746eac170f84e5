r"""Train on digits with short messages, alone or on the processes of torchrun.

    python -m modular.communication.run
    torchrun --standalone --nproc-per-node 4 -m modular.communication.run \
        --messages plain top-k powersgd

prints, for one way to exchange after the other, the loss over the whole batch and the
bytes that one worker has sent. The losses of ``plain`` are those of one process. The
last two ways are PyTorch's own.
"""

import argparse
import os
from collections.abc import Callable
from datetime import timedelta
from itertools import chain, islice

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import post_localSGD_hook as post
from torch.distributed.algorithms.ddp_comm_hooks import powerSGD_hook as power
from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
from torch.distributed.optim import PostLocalSGDOptimizer
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR

from modular.communication.base import Compressor
from modular.communication.exchange import Exchange
from modular.communication.feedback import ErrorFeedback
from modular.communication.local_sgd import LocalSGD
from modular.communication.qsgd import QSGD
from modular.communication.random_k import RandomK
from modular.communication.sign import Sign
from modular.communication.terngrad import TernGrad
from modular.communication.top_k import TopK
from modular.tasks import digits

PERIOD, START = 8, 4  # steps between meetings; steps before torch's ways begin
COMPRESSORS: dict[str, Callable[[torch.Generator], Compressor]] = {
    "top-k": lambda generator: ErrorFeedback(TopK(0.01)),
    "random-k": lambda generator: ErrorFeedback(RandomK(0.01, generator)),
    "qsgd": lambda generator: QSGD(7, generator),
    "sign": lambda generator: ErrorFeedback(Sign()),
    "terngrad": lambda generator: TernGrad(generator),
}
WAYS = ("plain", *COMPRESSORS, "local", "powersgd", "post-local")


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", choices=WAYS, nargs="+", default=["plain"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128, help="of all workers")
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--warm-up", type=int, default=5, help="steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds")
    return parser.parse_args(arguments)


class Worker:
    """A model that exchanges one of the ways, and its optimiser."""

    def __init__(self, model: nn.Module, way: str, rate: float, warm_up: int) -> None:
        self.model, self.way = model, way
        self.optimizer: Optimizer = torch.optim.SGD(model.parameters(), rate)
        self.warm_up = LinearLR(self.optimizer, 0.1, total_iters=warm_up)
        self.size = 8 * sum(p.numel() for p in model.parameters())
        self.exchange: Exchange | None = None
        self.local: LocalSGD | None = None
        if self.way == "local":
            self.local = LocalSGD(model.parameters(), PERIOD)
        elif dist.is_initialized():
            self._hook(torch.Generator().manual_seed(dist.get_rank()))

    def _hook(self, generator: torch.Generator) -> None:
        """Wrap the model, and hang the exchange into it."""
        self.model = wrapped = DistributedDataParallel(self.model)
        if self.way in COMPRESSORS:
            self.exchange = Exchange(COMPRESSORS[self.way](generator))
            self.exchange.attach(wrapped)
        elif self.way == "powersgd":
            state = power.PowerSGDState(None, 1, start_powerSGD_iter=START)
            wrapped.register_comm_hook(state, power.powerSGD_hook)
        elif self.way == "post-local":
            world = dist.group.WORLD
            late = post.PostLocalSGDState(
                None, world, START, post_local_gradient_allreduce=False
            )
            wrapped.register_comm_hook(late, post.post_localSGD_hook)
            averager = PeriodicModelAverager(PERIOD, warmup_steps=START)
            self.optimizer = PostLocalSGDOptimizer(self.optimizer, averager)

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Take a step on a share of the batch; return the share's loss."""
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        if self.local is not None and dist.is_initialized():
            self.local.average()
        self.optimizer.step()
        self.warm_up.step()
        return loss.detach()

    def sent(self, steps: int) -> str:
        """Say how many bytes went out, where this package counts them."""
        counter, plain = self.exchange or self.local, steps * self.size
        if counter is not None:
            return f"{counter.sent} bytes in place of {plain}"
        uncounted = "bytes that torch does not count"
        return f"{plain} bytes" if self.way == "plain" else uncounted


def train(way: str, chosen: argparse.Namespace, rank: int, workers: int) -> None:
    """Train one way; rank 0 prints."""
    torch.manual_seed(chosen.seed)
    generator = torch.Generator().manual_seed(chosen.seed)
    task = digits(generator)
    layers = nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    worker = Worker(nn.Sequential(*layers), way, chosen.rate, chosen.warm_up)
    epochs = iter(lambda: task.batches(chosen.batch, generator), None)
    rows = islice(chain.from_iterable(epochs), chosen.steps)
    for index, (x, y) in enumerate(rows):
        loss = worker.step(x.chunk(workers)[rank], y.chunk(workers)[rank])
        if workers > 1:
            dist.all_reduce(loss)
        if rank == 0:
            print(f"{way}, step {index}: loss {loss.item() / workers:.6f}")
    if rank == 0 and workers > 1:
        print(f"{way}: a worker sent {worker.sent(chosen.steps)}")


def main(arguments: list[str] | None = None) -> None:
    """Train every way that was asked for, one after the other."""
    chosen = options(arguments)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    rank, workers = 0, 1
    if "RANK" in os.environ:
        dist.init_process_group("gloo", timeout=timedelta(seconds=chosen.timeout))
        rank, workers = dist.get_rank(), dist.get_world_size()
    if chosen.batch % workers:
        raise ValueError(
            f"batch is {chosen.batch} for {workers} workers: expected equal shares"
        )
    for way in chosen.messages:
        train(way, chosen, rank, workers)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
