"""What decides the order of the data: torch's global generator and the loader's own."""

from collections.abc import Iterable

import torch


def _generators(loader: Iterable) -> list[torch.Generator]:
    """Return the generators that decide the order of the data."""
    owners = [loader, getattr(loader, "sampler", None)]
    found = [getattr(owner, "generator", None) for owner in owners]
    return [g for g in found if isinstance(g, torch.Generator)]


def loader_chance(loader: Iterable) -> list[torch.Tensor]:
    """Return the states of torch's global generator and of the loader's own."""
    states = [generator.get_state() for generator in _generators(loader)]
    return [torch.get_rng_state(), *states]


def set_loader_chance(loader: Iterable, states: list[torch.Tensor]) -> None:
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
