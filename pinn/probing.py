"""Try a flux and a source at points of the domain, and see what they read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pinn._checks import check_shape
from pinn.derivatives.jets import Flux, Jet, Source, Wanted, divergence
from pinn.domains.mesh import box_of, inside_of

__all__ = ["Facts", "find_jump", "learn", "probe"]

_TRIED, _FEWEST, _LINES = 6400, 32, 8
Probes = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Facts:
    """What a problem's flux and source were found to read and to return."""

    wanted: Wanted
    flux_wanted: Wanted = Wanted()
    equations: int = 0
    source_uses_u: bool = False


def probe(geometry: Any, components: int, count: int = 32) -> Probes:
    """Draw points of a domain, values and gradients; the same at every call."""
    generator = torch.Generator("cpu").manual_seed(0)
    lower, upper = (torch.as_tensor(c, device="cpu") for c in box_of(geometry))
    dim = len(lower)

    def draw(*shape: int) -> Tensor:
        return torch.randn(
            *shape, generator=generator, dtype=torch.float64, device="cpu"
        )

    x = lower + (upper - lower) * torch.special.ndtr(draw(_TRIED, dim))
    x = x[torch.as_tensor(inside_of(geometry, x.numpy()))]
    if len(x) < _FEWEST:
        raise ValueError(
            f"geometry has {len(x)} of {_TRIED} points of its bounding box "
            "inside: expected a domain that is not empty"
        )
    x = x[:count]
    return x, draw(len(x), components), draw(len(x), components, dim)


def learn(flux: Flux, source: Source | None, probes: Probes) -> Facts:
    """Try the flux and the source, and see what they read and return.

    Args:
        flux: As of :class:`pinn.Problem`.
        source: As of :class:`pinn.Problem`.
        probes: As :func:`probe` draws them; many, or a small part of the domain with
            a coefficient of its own is missed.

    Returns:
        What was found.
    """
    x, u, p = probes
    few = slice(_FEWEST)
    F = flux(x[few], u[few], p[few])
    check_shape("flux(x, u, p)", F, (_FEWEST, "equations", x.shape[1]))
    if (
        F.shape[1] == _FEWEST
    ):  # as many equations as points: one was taken for the other
        raise ValueError(
            f"flux(x, u, p) has shape {tuple(F.shape)} at {_FEWEST} points: expected "
            "(batch, equations, dim); a coefficient of shape (batch, 1) times p needs "
            "one axis more, c[..., None] * p"
        )
    uses_u = False
    if source is not None:
        s = source(x[few], u[few])
        if not isinstance(s, Tensor):
            raise TypeError(
                f"source(x, u) is {s!r}: expected a torch.Tensor of shape (batch, "
                f"{F.shape[1]}), for a constant c as c + 0 * u"
            )
        check_shape("source(x, u)", s, (_FEWEST, F.shape[1]))
        uses_u = _reads_u(source, x, u)
    try:
        second = _second_wanted(flux, probes)
    except RuntimeError as error:
        raise TypeError(
            f"flux(x, u, p) cannot be differentiated ({error}): expected functions of "
            "torch only, not of numpy"
        ) from error
    return Facts(second, _first_wanted(flux, probes), F.shape[1], uses_u)


def _reads_u(source: Source, x: Tensor, u: Tensor) -> bool:
    """Tell whether a source reads ``u``: by NaN, and by values for comparisons."""
    if source(x, torch.full_like(u, torch.nan)).isnan().any():
        return True
    still = source(x, torch.zeros_like(u))
    moved = (source(x, scale * u) for scale in (-1e3, -1.0, 1e-3, 1.0, 1e3))
    return any(not torch.equal(s, still) for s in moved)


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


def find_jump(
    flux: Flux, probes: Probes, edges: Sequence[Sequence[float]] = ()
) -> tuple[int, float] | None:
    """Find a place where a flux jumps, ``u`` and its gradient held fixed.

    Along every axis through some of the probes, the largest steps are halved until they
    are too short for a smooth flux to change.

    Args:
        flux: As of :class:`pinn.Problem`.
        probes: As :func:`probe` draws them.
        edges: Per axis, places where it may jump.

    Returns:
        The axis and the coordinate, or None.
    """
    size = flux(*probes).abs().max().clamp_min(1e-300)
    lower, upper = probes[0].amin(0), probes[0].amax(0)
    for axis in range(probes[0].shape[1]):
        line = _Line(flux, probes, axis)
        free = torch.as_tensor([*edges[axis]] if edges else [], dtype=lower.dtype)
        count = max(258, 16 * len(free))  # most steps hold no edge
        s = torch.linspace(0, 1, count, dtype=lower.dtype)[1:-1].expand(_LINES, -1)
        s = lower[axis] + (upper[axis] - lower[axis]) * s
        steps = line.steps(s)
        free, places = free.sort().values, s[0].contiguous()  # those of every line
        before = torch.searchsorted(free, places[:-1])
        steps[:, torch.searchsorted(free, places[1:], right=True) > before] = 0
        worst = steps.argmax(1, keepdim=True)
        low, high = s.gather(1, worst), s.gather(1, worst + 1)
        for _ in range(30):
            middle = (low + high) / 2
            first, second = line.steps(torch.cat([low, middle, high], 1)).unbind(1)
            left = (first >= second)[:, None]
            low, high = torch.where(left, low, middle), torch.where(left, middle, high)
        step = line.steps(torch.cat([low, high], 1))[:, 0]
        if step.max() > 1e-6 * size:
            return axis, low[step.argmax()].item()
    return None


@dataclass
class _Line:
    """A flux along one axis, through the first probes."""

    flux: Flux
    probes: Probes
    axis: int

    def steps(self, s: Tensor) -> Tensor:
        """Evaluate how much the flux changes from place to place.

        Args:
            s: Coordinates along the axis. Shape ``(lines, places)``.

        Returns:
            Largest changes. Shape ``(lines, places - 1)``.
        """
        x, u, p = (t[:_LINES].repeat_interleave(s.shape[1], 0) for t in self.probes)
        x[:, self.axis] = s.flatten()
        F = self.flux(x, u, p).detach().reshape(*s.shape, -1)
        return F.diff(dim=1).abs().amax(-1)
