"""Try a flux and a source at points of the domain, and see what they read."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinn._checks import check_shape
from pinn.derivatives.jets import Flux, Jet, Source, Wanted, divergence
from pinn.domains.mesh import box_of, inside_of

__all__ = ["Facts", "learn", "probe"]

_PROBES = 32
Probes = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Facts:
    """What a problem's flux and source were found to read and to return."""

    wanted: Wanted
    flux_wanted: Wanted = Wanted()
    equations: int = 0
    source_uses_u: bool = False


def probe(geometry: Any, components: int) -> Probes:
    """Draw points of a domain, values and gradients; the same at every call."""
    generator = torch.Generator("cpu").manual_seed(0)
    lower, upper = (torch.as_tensor(c, device="cpu") for c in box_of(geometry))
    dim = len(lower)

    def draw(*shape: int) -> Tensor:
        return torch.randn(
            *shape, generator=generator, dtype=torch.float64, device="cpu"
        )

    x = lower + (upper - lower) * torch.special.ndtr(draw(200 * _PROBES, dim))
    x = x[torch.as_tensor(inside_of(geometry, x.numpy()))]
    if len(x) < _PROBES:
        raise ValueError(
            f"geometry has {len(x)} of {200 * _PROBES} points of its bounding box "
            "inside: expected a domain that is not empty"
        )
    return x[:_PROBES], draw(_PROBES, components), draw(_PROBES, components, dim)


def learn(flux: Flux, source: Source | None, probes: Probes) -> Facts:
    """Try the flux and the source, and see what they read and return."""
    x, u, p = probes
    F = flux(x, u, p)
    check_shape("flux(x, u, p)", F, (len(x), "equations", x.shape[1]))
    uses_u = False
    if source is not None:
        s = source(x, u)
        check_shape("source(x, u)", s, (len(x), F.shape[1]))
        blind = source(x, torch.full_like(u, torch.nan))
        uses_u = bool(blind.isnan().any())
    second, first = _second_wanted(flux, probes), _first_wanted(flux, probes)
    return Facts(second, first, F.shape[1], uses_u)


def _first_wanted(flux: Flux, probes: Probes) -> Wanted:
    """Find which first derivatives the flux reads: those whose NaN shows."""
    x, u, p = probes
    read = []
    for i in range(x.shape[1]):
        hidden = p.clone()
        hidden[..., i] = torch.nan
        if flux(x, u, hidden).isnan().any():
            read.append(i)
    return Wanted(tuple(read))


def _second_wanted(flux: Flux, probes: Probes) -> Wanted:
    """Find which second derivatives ``div F`` reads: those whose NaN shows."""
    x, u, p = probes
    everything = Wanted.all(x.shape[1])
    read = []
    for i, j in everything.second:
        H = torch.ones(*p.shape, x.shape[1], dtype=p.dtype, device="cpu")
        H[..., i, j] = H[..., j, i] = torch.nan
        if divergence(flux, x, Jet(u, p, H)).isnan().any():
            read.append((i, j))
    return Wanted(everything.first, tuple(read))
