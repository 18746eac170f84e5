"""Train on digits in a pipeline, alone or on as many processes as torchrun starts.

    python -m modular.pipeline.run
    torchrun --standalone --nproc-per-node 4 -m modular.pipeline.run --schedule chimera

prints the same losses: alone, the model is trained whole, in one piece.
"""

import argparse
import os
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from modular.pipeline.chimera import Chimera
from modular.pipeline.gems import GEMS
from modular.pipeline.gpipe import GPipe
from modular.pipeline.interleaved import Interleaved
from modular.pipeline.merak import Merak
from modular.pipeline.one_f_one_b import OneFOneB
from modular.pipeline.ranks import Ranks
from modular.pipeline.scheme import Scheme
from modular.pipeline.zero_bubble import ZeroBubble
from modular.tasks import digits

SCHEMES: dict[str, Scheme] = {
    "gpipe": GPipe(),
    "1f1b": OneFOneB(),
    "interleaved": Interleaved(2),
    "zero-bubble": ZeroBubble(),
    "gems": GEMS(),
    "chimera": Chimera(),
    "merak": Merak(),
}


def network(stages: int, inputs: int, width: int, classes: int) -> list[nn.Module]:
    """Return as many stages of Linear, LayerNorm and ReLU; the last also classifies."""
    sizes = [inputs] + [width] * stages
    made = [
        nn.Sequential(nn.Linear(a, b), nn.LayerNorm(b), nn.ReLU())
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    made[-1].append(nn.Linear(width, classes))
    return list(made)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--schedule", choices=SCHEMES, default="1f1b")
    parser.add_argument("--micros", type=int, default=8, help="micro-batches of a step")
    parser.add_argument("--stages", type=int, help="alone; default: 4")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds")
    return parser.parse_args(arguments)


Learner = tuple[Callable[[Tensor, Tensor], Tensor], list[nn.Parameter]]


def alone(stages: list[nn.Module], loss: nn.Module) -> Learner:
    """Return a step of the whole model in one process, and its parameters."""
    model = nn.Sequential(*stages)

    def step(x: Tensor, y: Tensor) -> Tensor:
        model.zero_grad()
        found = loss(model(x), y)
        found.backward()
        return found.detach()

    return step, list(model.parameters())


def main(arguments: list[str] | None = None) -> None:
    """Train and print the loss of every step."""
    chosen = options(arguments)
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(chosen.seed)
    generator = torch.Generator().manual_seed(chosen.seed)
    task, loss, count = digits(generator), nn.CrossEntropyLoss(), chosen.stages or 4
    together = "RANK" in os.environ
    if together:
        Ranks.join(chosen.timeout)
        scheme = SCHEMES[chosen.schedule]
        schedule = scheme.schedule(dist.get_world_size(), chosen.micros)
        count = int(schedule.stages.max()) + 1
    stages = network(count, task.x.shape[1], chosen.width, task.classes)
    step, parameters = alone(stages, loss)
    if together:
        sample = task.x[:1]
        ranks = Ranks(schedule, stages, loss, sample, timeout=chosen.timeout)
        step, parameters = ranks.step, ranks.parameters()
    adam = torch.optim.Adam(parameters, lr=2e-3)
    loader = iter(task.batches(chosen.batch, generator))
    for index in range(chosen.steps):
        x, y = next(loader)
        found = step(x, y)
        adam.step()
        if not together or dist.get_rank() == 0:
            print(f"step {index}: loss {found:.6f}")
    if together:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
