"""WASAP-SGD: a server and its workers, then every worker alone, then their mean."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer

from modular._checks import check_count, check_kind
from modular.sparse.average import sparse_average
from modular.sparse.set import SET
from modular.sparse.topology import sparse_layers

__all__ = ["Phases", "retained", "wasap"]

Batches = Iterator[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Phases:
    """How long each phase of :func:`wasap` is.

    Args:
        together: Gradients that the server takes in the first, from all workers.
        alone: Steps of every worker in the second.
        every: Steps from one move of the connections to the next, in both.

    Raises:
        TypeError: If one is not an int.
        ValueError: If ``every`` is below 1, or another below 0.

    Example:
        >>> Phases(together=700, alone=300, every=100).alone
        300
    """

    together: int
    alone: int
    every: int

    def __post_init__(self) -> None:
        """Refuse what is no number of steps."""
        check_count("together", self.together, least=0)
        check_count("alone", self.alone, least=0)
        check_count("every", self.every, least=1)


def retained(gradient: Tensor, then: Tensor, now: Tensor) -> Tensor:
    """Return a gradient for today's connections from one for yesterday's.

    What a connection has that is gone is dropped; one that is new gets 0. The paper
    calls it RetainValidUpdates.

    Args:
        gradient: For the connections of then. Shape ``(connections,)``.
        then: Their places, increasing. Shape ``(connections,)``.
        now: Places of today, increasing. Shape ``(today,)``.

    Returns:
        For the connections of today. Shape ``(today,)``.

    Example:
        >>> import torch
        >>> g = torch.tensor([1.0, 2.0, 3.0])
        >>> retained(g, then=torch.tensor([0, 4, 7]), now=torch.tensor([4, 5, 7]))
        tensor([2., 0., 3.])
    """
    index = torch.searchsorted(then, now).clamp(max=len(then) - 1)
    return torch.where(then[index] == now, gradient[index], 0.0)


def wasap(
    model: nn.Module,
    optimizer: Optimizer,
    topology: SET,
    loss: Callable[[Tensor, Tensor], Tensor],
    batches: Batches,
    phases: Phases,
) -> None:
    """Train a sparse model on all processes of ``torch.distributed``, two at least.

    Process 0 is the server; it trains on nothing. **Together:** a worker computes a
    gradient for the weights it was last sent, the server steps with whatever comes
    first, late as it may be (:func:`retained`), moves the connections, and sends that
    worker what there is now. **Alone:** each worker goes on by itself, with a topology
    of its own. In the end all processes hold the mean of the workers
    (:func:`~modular.sparse.sparse_average`). Curci, Mocanu and Pechenizkiy 2021
    (arXiv 2102.01732), algorithm 2; which worker comes first is not reproducible, so
    that with two workers and more the result is not either.

    Args:
        model: The same kind of model on every process; the server's weights are taken.
        optimizer: Of this process's model.
        topology: Of this process's model.
        loss: Of outputs and targets.
        batches: What this process learns from: ``(x, target)``, endless.
        phases: How long.

    Raises:
        RuntimeError: If there is no process group, or it has one process only.
        TypeError: If ``topology`` is no SET: others need gradients where the server
            has none.
        ValueError: If the model has no sparse layer, or buffers that are no counts
            (as BatchNorm's): they are not exchanged.
    """
    check_kind("topology", topology, SET)
    if not dist.is_initialized() or dist.get_world_size() < 2:
        raise RuntimeError(
            "wasap needs a server and at least one worker: expected "
            "torch.distributed.init_process_group with two processes or more"
        )
    sparse_layers(model)
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point():
            raise ValueError(
                f"{name} is a buffer of dtype {buffer.dtype}, which workers do not "
                "exchange: expected a model without running statistics"
            )
    if dist.get_rank() == 0:
        _serve(model, optimizer, topology, phases)
    else:
        _work(model, loss, batches, phases)
        for step in range(1, phases.alone + 1):
            _gradient(model, loss, batches)
            optimizer.step()
            if step % phases.every == 0:
                topology.step()
    if phases.alone:
        _merge(model)


def _serve(
    model: nn.Module, optimizer: Optimizer, topology: SET, phases: Phases
) -> None:
    workers = range(1, dist.get_world_size())
    known = {
        worker: _send(model, worker, more=phases.together > 0) for worker in workers
    }
    left = len(workers) if phases.together else 0
    taken = 0
    while left:
        message = torch.empty_like(_flat(model))
        worker = dist.recv(message)
        if taken < phases.together:
            _put(model, message, known[worker])
            optimizer.step()
            taken += 1
            if taken % phases.every == 0:
                topology.step()
        more = taken < phases.together
        known[worker] = _send(model, worker, more)
        left -= not more


def _work(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    batches: Batches,
    phases: Phases,
) -> None:
    while _receive(model):
        _gradient(model, loss, batches)
        gradients = [
            torch.zeros_like(p) if p.grad is None else p.grad
            for p in model.parameters()
        ]
        dist.send(torch.cat([g.flatten() for g in gradients]), dst=0)


def _gradient(
    model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], batches: Batches
) -> None:
    x, target = next(batches)
    model.zero_grad()
    loss(model(x), target).backward()


def _send(model: nn.Module, worker: int, more: bool) -> list[Tensor]:
    """Send weights and places; return the places."""
    places = [layer.places for layer in sparse_layers(model)]
    dist.send(torch.cat([_flat(model), _flat(model).new_full((1,), more)]), dst=worker)
    dist.send(torch.cat(places), dst=worker)
    return places


def _receive(model: nn.Module) -> bool:
    """Take weights and places; tell whether the server wants a gradient."""
    flat = _flat(model)
    message = torch.empty(len(flat) + 1, dtype=flat.dtype, device=flat.device)
    places = torch.cat([layer.places for layer in sparse_layers(model)])
    dist.recv(message, src=0)
    dist.recv(places, src=0)
    _load(model, message[:-1], places)
    return bool(message[-1])


def _flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@torch.no_grad()
def _load(model: nn.Module, flat: Tensor, places: Tensor) -> None:
    parameters, layers = list(model.parameters()), sparse_layers(model)
    for p, part in zip(
        parameters, flat.split([p.numel() for p in parameters]), strict=True
    ):
        p.copy_(part.view_as(p))
    counts = [layer.connections for layer in layers]
    for layer, part in zip(layers, places.split(counts), strict=True):
        layer.places = part.clone()


def _put(model: nn.Module, flat: Tensor, then: list[Tensor]) -> None:
    """Make a worker's gradient the model's, where connections still exist."""
    parameters = list(model.parameters())
    parts = flat.split([p.numel() for p in parameters])
    for p, part in zip(parameters, parts, strict=True):
        p.grad = part.view_as(p).clone() if p.requires_grad else None
    for layer, places in zip(sparse_layers(model), then, strict=True):
        if layer.values.grad is not None:
            layer.values.grad = retained(layer.values.grad, places, layer.places)


@torch.no_grad()
def _merge(model: nn.Module) -> None:
    """Take the mean of the workers' models."""
    world, flat = dist.get_world_size(), _flat(model)
    places = torch.cat([layer.places for layer in sparse_layers(model)])
    every = [torch.empty_like(flat) for _ in range(world)]
    where = [torch.empty_like(places) for _ in range(world)]
    dist.all_gather(every, flat)
    dist.all_gather(where, places)
    models = [copy.deepcopy(model) for _ in range(1, world)]
    for one, weights, connections in zip(models, every[1:], where[1:], strict=True):
        _load(one, weights, connections)
    _load(model, torch.stack(every[1:]).mean(0), places)
    for number, layer in enumerate(sparse_layers(model)):
        mean = sparse_average([sparse_layers(one)[number] for one in models])
        layer.load_state_dict(mean.state_dict())
