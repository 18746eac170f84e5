"""What torchrun starts for test_composed.py: three ways to divide a model, together.

    torchrun --standalone --nproc-per-node 4 tests/modular/pipeline/composed.py
    torchrun --standalone --nproc-per-node 8 tests/modular/pipeline/composed.py

Every process has a place in a grid: which stage of the pipeline, which share of the
rows, which slice of every matrix. All three are torch's own: its pipelines, FSDP2 and
DTensor. Four processes have room for two axes of two, so every pair is tried; eight
have room for all three at once. Printed is how far the gradient is from that of the
whole model in one process.
"""

import json
import logging
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.pipelining import PipelineStage, Schedule1F1B
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)

from modular.pipeline import Ranks, cut

Axes = tuple[int, int, int]
AXES = ("pipe", "data", "tensor")
GRIDS: dict[int, list[Axes]] = {
    4: [(2, 1, 2), (2, 2, 1), (1, 2, 2)],
    8: [(2, 2, 2)],
}
WIDTH, BLOCKS, MICROS, ROWS = 8, 4, 4, 16


class Block(nn.Module):
    """Two dense layers after a norm, beside a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.down(nn.functional.gelu(self.up(self.norm(h))))


def blocks() -> list[Block]:
    """Return the layers of the model, the same in every process."""
    torch.manual_seed(0)
    return [Block() for _ in range(BLOCKS)]


def divided(mesh: DeviceMesh) -> nn.Sequential:
    """Return what is this process's own: a stage, its matrices sliced, then sharded."""
    stages = mesh["pipe"].size()
    cuts = range(BLOCKS // stages, BLOCKS, BLOCKS // stages)
    mine = cut(blocks(), cuts)[mesh.get_local_rank("pipe")]
    slices = {"up": ColwiseParallel(), "down": RowwiseParallel()}
    for block in mine if mesh["tensor"].size() > 1 else []:
        parallelize_module(block, mesh["tensor"], slices)
    if mesh["data"].size() > 1:
        for block in mine:
            fully_shard(block, mesh=mesh["data"])
        fully_shard(mine, mesh=mesh["data"])
    return mine


def backward(mine: nn.Sequential, mesh: DeviceMesh, x: Tensor, y: Tensor) -> None:
    """Compute the gradient of the mean loss over all rows, of what is here."""
    share, here = mesh["data"].size(), mesh.get_local_rank("data")
    x, y = x.chunk(share)[here], y.chunk(share)[here]
    stages, stage = mesh["pipe"].size(), mesh.get_local_rank("pipe")
    if stages == 1:
        nn.functional.mse_loss(mine(x), y).backward()
        return
    place = torch.device("cpu")
    group = mesh.get_group("pipe")
    part = PipelineStage(mine, stage, stages, place, group=group)
    schedule = Schedule1F1B(part, MICROS, nn.functional.mse_loss)
    last = {"target": y} if stage == stages - 1 else {}
    schedule.step(*[x] * (stage == 0), **last)


def compare(axes: Axes) -> dict[str, float]:
    """Return the distance from the whole model, and the share of it that is here."""
    mesh = init_device_mesh("cpu", axes, mesh_dim_names=AXES)
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(ROWS, WIDTH, generator=generator) for _ in range(2))
    whole = nn.Sequential(*blocks())
    nn.functional.mse_loss(whole(x), y).backward()
    mine = divided(mesh)
    backward(mine, mesh, x, y)
    first = BLOCKS // axes[0] * mesh.get_local_rank("pipe")
    worst, numbers = 0.0, 0
    for block, expected in zip(mine, whole[first : first + len(mine)], strict=True):
        for p, q in zip(block.parameters(), expected.parameters(), strict=True):
            sharded = isinstance(p.grad, DTensor)
            full = p.grad.full_tensor() if sharded else p.grad
            worst = max(worst, (full - q.grad).abs().max().item())
            numbers += (p.to_local() if sharded else p).numel()
    total = sum(q.numel() for q in whole.parameters())
    return {"worst": worst, "share": numbers / total}


def main() -> None:
    """Try every grid of so many processes; print, and write down what was found."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    told = logging.getLogger("torch.distributed.tensor._redistribute")
    told.setLevel(logging.ERROR)  # two all-gathers for one: only to compare
    Ranks.join(60)
    found = {}
    for axes in GRIDS[dist.get_world_size()]:
        everyone: list = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, compare(axes))
        found[" x ".join(map(str, axes))] = everyone
        if dist.get_rank() == 0:
            worst = max(row["worst"] for row in everyone)
            names = ", ".join(f"{n} {a}" for a, n in zip(axes, AXES, strict=True))
            print(f"{names}: gradient off by {worst:.0e}", flush=True)
    if dist.get_rank() == 0 and sys.argv[1:]:
        Path(sys.argv[1]).write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
