"""Run by torchrun: what FSDP2 and ZeroRedundancyOptimizer really hold on each rank."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.optim import ZeroRedundancyOptimizer


def network() -> nn.Sequential:
    """Rows that do not divide by the ranks are among them."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3)).float()


def local(t: Tensor) -> int:
    t = t.to_local() if hasattr(t, "to_local") else t
    return t.numel() * t.element_size()


def states(optimizer: torch.optim.Optimizer) -> int:
    return sum(
        local(value)
        for state in optimizer.state.values()
        for name, value in state.items()
        if name != "step"
    )


def main(path: str) -> None:
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    x = torch.ones(4, 6)
    model = network()
    fully_shard(model)
    adam = torch.optim.Adam(model.parameters())
    model(x).square().mean().backward()
    adam.step()
    parameters = list(model.parameters())
    row = [
        sum(local(p) for p in parameters),
        sum(local(p.grad) for p in parameters if p.grad is not None),
        states(adam),
    ]
    whole = network()
    shared = ZeroRedundancyOptimizer(whole.parameters(), torch.optim.Adam)
    whole(x).square().mean().backward()
    shared.step()
    everyone: list = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, (row, states(shared.optim)))
    if dist.get_rank() == 0:
        found = {
            "sharded": [r for r, _ in everyone],
            "redundancy": [s for _, s in everyone],
        }
        Path(path).write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
