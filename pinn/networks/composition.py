"""Jets through the functions before and after a network, by the chain rule."""

import weakref
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from pinn.derivatives.jets import Jet, Wanted
from pinn.networks.transforms import HardConstraint

__all__ = ["Memo", "transform_jet"]

_KEPT = 16
T = TypeVar("T")


class Memo:
    """Remember what depends on the points only, as long as the points live.

    Training asks for the same points again and again. Entries are keyed by the tensor
    itself and its version, so points changed in place are computed anew.
    """

    def __init__(self) -> None:
        self._entries: dict = {}

    def __call__(self, x: Tensor, key: object, make: Callable[[], T]) -> T:
        """Return the value made for ``x`` and ``key``, making it if need be."""
        place = (id(x), key)
        found = self._entries.get(place)
        if found is not None and found[0]() is x and found[1] == x._version:
            return found[2]
        value = make()
        alive = {k: e for k, e in self._entries.items() if e[0]() is not None}
        if len(alive) >= _KEPT:
            alive.pop(next(iter(alive)))
        self._entries = alive
        self._entries[place] = (weakref.ref(x), x._version, value)
        return value

    def __deepcopy__(self, memo: dict) -> "Memo":
        return Memo()

    def __getstate__(self) -> dict:
        return {"_entries": {}}


def _differentiate(
    function: Callable[..., Tensor], x: Tensor, inner: Jet | None, wanted: Wanted
) -> Jet:
    """Push a jet through ``function(x)`` or ``function(x, y)`` by forward mode."""
    jvp, dim = torch.func.jvp, x.shape[1]
    units = torch.eye(dim, dtype=x.dtype, device=x.device)[:, None]
    steps = units.repeat(1, len(x), 1)  # jvp refuses expanded tensors
    still = torch.zeros_like(x)
    place = (x,) if inner is None else (x, inner.u)

    def move(i: int) -> tuple[Tensor, ...]:
        return (steps[i],) if inner is None else (steps[i], inner.p[..., i])

    u = function(*place)
    first, second = {}, {}
    for i in wanted.first:
        first[i] = jvp(function, place, move(i))[1]
    for i, j in wanted.second:
        bend = (still,) if inner is None else (still, inner.H[..., i, j])

        def along_i(*at: Tensor) -> Tensor:
            half = len(at) // 2
            return jvp(function, at[:half], at[half:])[1]

        second[i, j] = jvp(along_i, (*place, *move(i)), (*move(j), *bend))[1]
    return Jet.assemble(u, first, second, dim)


def transform_jet(
    transform: Callable[..., Tensor],
    x: Tensor,
    inner: Jet | None,
    wanted: Wanted,
    memo: Memo,
) -> Jet:
    """Compute the jet of a feature transform, or of an output transform of a jet.

    Args:
        transform: ``transform(x)``, or ``transform(x, y)`` if there is an inner jet.
        x: Points. Shape ``(batch, dim)``.
        inner: Jet of ``y``, or None.
        wanted: Derivatives to compute.
        memo: Where to keep what depends on the points only.

    Returns:
        The jet.
    """
    if isinstance(transform, HardConstraint) and inner is not None:
        return _constrain(transform, x, inner, wanted, memo)
    if inner is not None:
        return _differentiate(transform, x, inner, wanted)
    if any(True for _ in getattr(transform, "parameters", tuple)()):
        return _differentiate(transform, x, None, wanted)  # learned features
    return _fixed(transform, x, wanted, memo)


def _fixed(
    function: Callable[[Tensor], Tensor], x: Tensor, wanted: Wanted, memo: Memo
) -> Jet:
    """Compute the jet of a function of the points, once if it does not learn."""
    if x.requires_grad:
        return _differentiate(function, x, None, wanted)
    kept = memo(x, (function, wanted), lambda: _detached(function, x, wanted))
    return _differentiate(function, x, None, wanted) if kept is None else kept


def _detached(
    function: Callable[[Tensor], Tensor], x: Tensor, wanted: Wanted
) -> Jet | None:
    """Compute a jet that carries no graph; None for a function that learns."""
    with torch.enable_grad():
        jet = _differentiate(function, x, None, wanted)
    if jet.u.requires_grad or jet.p.requires_grad or jet.H.requires_grad:
        return None
    return jet


def _constrain(
    hard: HardConstraint, x: Tensor, inner: Jet, wanted: Wanted, memo: Memo
) -> Jet:
    """Apply the product rule to ``lift + distance * y``; both are remembered."""
    g = _fixed(hard.lift, x, wanted, memo)
    d = _fixed(hard.distance, x, wanted, memo)
    u = g.u + d.u * inner.u
    first = {
        i: g.p[..., i] + d.p[..., i] * inner.u + d.u * inner.p[..., i]
        for i in wanted.first
    }
    second = {
        (i, j): g.H[..., i, j]
        + d.H[..., i, j] * inner.u
        + d.p[..., i] * inner.p[..., j]
        + d.p[..., j] * inner.p[..., i]
        + d.u * inner.H[..., i, j]
        for i, j in wanted.second
    }
    return Jet.assemble(u, first, second, x.shape[1])
