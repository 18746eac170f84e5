"""Chance: what decides the order of the data, and what the layers of a module draw."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def _generators(loader: Iterable) -> list[torch.Generator]:
    """Return the generators that decide the order of the data."""
    owners = [loader, getattr(loader, "sampler", None)]
    found = [getattr(owner, "generator", None) for owner in owners]
    return [g for g in found if isinstance(g, torch.Generator)]


def loader_chance(loader: Iterable) -> list[Tensor]:
    """Return the states of torch's global generator and of the loader's own."""
    states = [generator.get_state() for generator in _generators(loader)]
    return [torch.get_rng_state(), *states]


def set_loader_chance(loader: Iterable, states: list[Tensor]) -> None:
    """Put them back."""
    generators = _generators(loader)
    if len(generators) != len(states) - 1:
        raise ValueError(
            f"the loader has {len(generators)} generators but the checkpoint has "
            f"{len(states) - 1}: expected the same kind of loader"
        )
    torch.set_rng_state(states[0])
    for generator, state in zip(generators, states[1:], strict=True):
        generator.set_state(state)


def seeded_chance(seed: int, device: torch.device) -> list[Tensor]:
    """Return states of the global generators, of the CPU and of a GPU, from a seed."""
    gpu = [device] if device.type == "cuda" else []
    places = [torch.device("cpu"), *gpu]
    return [torch.Generator(p).manual_seed(seed).get_state() for p in places]


def global_chance(device: torch.device) -> list[Tensor]:
    """Return the states of the global generators, of the CPU and of a GPU."""
    gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *gpu]


def set_global_chance(states: list[Tensor], device: torch.device) -> None:
    """Put them back."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


@contextmanager
def drawing_from(states: list[Tensor], device: torch.device) -> Iterator[None]:
    """Let layers draw from states of their own, which move on; the global ones rest.

    Dropout asks torch's global generators, so that what a module draws would depend on
    who else lives in its process.
    """
    before = global_chance(device)
    set_global_chance(states, device)
    try:
        yield
    finally:
        states[:] = global_chance(device)
        set_global_chance(before, device)
