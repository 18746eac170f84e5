"""Run by torchrun: WASAP on as many processes as there are; rank 0 writes the end."""

import itertools
import sys
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from modular.sparse import SET, SparseLinear, sparse_layers
from modular.sparse.wasap import Phases, wasap

STEPS, ALONE, EVERY = 12, 4, 5


def parts() -> tuple[nn.Module, torch.optim.Optimizer, SET]:
    """A model, its optimiser and its topology, the same wherever they are made."""
    g = torch.Generator().manual_seed(0)
    layers = [SparseLinear(12, 9, 1.5, g), SparseLinear(9, 4, 1.5, g)]
    model = nn.Sequential(layers[0], nn.Tanh(), layers[1]).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, optimizer, SET(layers[:1], 0.3, optimizer, g)


def batches(seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    g = torch.Generator().manual_seed(seed)
    for _ in itertools.count():
        x = torch.randn(20, 12, generator=g, dtype=torch.float64)
        yield x, x[:, :4].sin()


def main(path: str, alone: int) -> None:
    dist.init_process_group("gloo")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)  # in which the tests draw, too
    rank = dist.get_rank()
    model, optimizer, topology = parts()
    if rank:  # the server's weights are taken, not these
        nn.init.ones_(model[0].values)
    wasap(
        model, optimizer, topology, mse_loss, batches(rank), Phases(STEPS, alone, EVERY)
    )
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    places = torch.cat([layer.places for layer in sparse_layers(model)]).double()
    mine = torch.cat([flat, places])
    every = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(every, mine)
    if rank == 0:
        torch.save((model.state_dict(), every), path)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
