"""A network's values and derivatives at points, and the divergence of a flux from them.

A jet holds ``u``, ``grad u`` and the second derivatives. With it, the divergence of any
flux ``F(x, u, grad u)`` needs no automatic differentiation through the network: it is a
forward-mode product through the few lines of the flux only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Jet", "Wanted", "divergence", "jet_of"]

Flux = Callable[[Tensor, Tensor, Tensor], "Tensor"]
Source = Callable[[Tensor, Tensor], "Tensor"]
Function = Callable[[Tensor], "Tensor"]


@dataclass(frozen=True)
class Wanted:
    """Which derivatives a computation reads; the others need not be propagated.

    Griewank and Walther 2008, Evaluating Derivatives, chapter 13.

    Args:
        first: Axes ``i`` of the first derivatives.
        second: Pairs ``(i, j)``, ``i <= j``, of the second derivatives.

    Example:
        >>> Wanted.all(2).second
        ((0, 0), (0, 1), (1, 1))
    """

    first: tuple[int, ...] = ()
    second: tuple[tuple[int, int], ...] = ()

    @classmethod
    def all(cls, dim: int, order: int = 2) -> "Wanted":
        """Want every derivative up to ``order`` in ``dim`` coordinates.

        Args:
            dim: Coordinates.
            order: 0, 1 or 2.

        Returns:
            What is wanted.
        """
        axes = tuple(range(dim))
        pairs = tuple((i, j) for i in axes for j in axes[i:])
        return cls(axes if order > 0 else (), pairs if order > 1 else ())


@dataclass(frozen=True, eq=False)
class Jet:
    """Values and derivatives at points; a derivative not asked for is NaN.

    Griewank and Walther 2008, Evaluating Derivatives, chapter 13.

    Args:
        u: Values. Shape ``(batch, components)``.
        p: Gradients. Shape ``(batch, components, dim)``.
        H: Second derivatives. Shape ``(batch, components, dim, dim)``.

    Example:
        >>> u = torch.zeros(5, 1)
        >>> Jet(u, u[..., None], u[..., None, None])[:2].H.shape
        torch.Size([2, 1, 1, 1])
    """

    u: Tensor
    p: Tensor
    H: Tensor

    def __getitem__(self, rows: slice | Tensor) -> "Jet":
        """Return the jet at some of the points."""
        return Jet(self.u[rows], self.p[rows], self.H[rows])

    @classmethod
    def assemble(
        cls,
        u: Tensor,
        first: Mapping[int, "Tensor"],
        second: Mapping[tuple[int, int], "Tensor"],
        dim: int,
    ) -> "Jet":
        """Put separate derivatives together; what is missing becomes NaN.

        Args:
            u: Values. Shape ``(batch, components)``.
            first: Per axis ``(batch, components)``.
            second: Per pair ``(i, j)``, ``i <= j``, as ``first``.
            dim: Coordinates.

        Returns:
            The jet.
        """
        missing = torch.full_like(u, torch.nan)
        p = torch.stack([first.get(i, missing) for i in range(dim)], dim=-1)
        entries = [
            second.get((min(i, j), max(i, j)), missing)
            for i in range(dim)
            for j in range(dim)
        ]
        return cls(u, p, torch.stack(entries, dim=-1).unflatten(-1, (dim, dim)))


def jet_of(net: Function, x: Tensor, wanted: Wanted) -> Jet:
    """Evaluate a network's jet: by its own ``jet`` if it has one, else by autograd.

    Griewank and Walther 2008, Evaluating Derivatives, chapter 13.

    Args:
        net: Any function of points, for instance a ``deepxde.nn.NN``; rows must not
            mix.
        x: Points. Shape ``(batch, dim)``.
        wanted: Derivatives to compute.

    Returns:
        The jet, differentiable in the network's parameters.

    Example:
        >>> x = torch.tensor([[3.0]])
        >>> jet = jet_of(lambda x: x**2, x, Wanted.all(1))
        >>> jet.u.item(), jet.p.item(), jet.H.item()
        (9.0, 6.0, 2.0)
    """
    if hasattr(net, "jet"):
        return net.jet(x, wanted)
    return autograd_jet(net, x, wanted)


def autograd_jet(net: Callable[[Tensor], Tensor], x: Tensor, wanted: Wanted) -> Jet:
    """Evaluate a jet by nested reverse-mode differentiation."""
    dim = x.shape[1]
    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        u = net(x)
        if not (wanted.first or wanted.second):
            return Jet.assemble(u, {}, {}, dim)
        if not u.requires_grad:
            _check_constant(net, x, u)
        p = torch.stack([_slope(u[:, c], x) for c in range(u.shape[1])], dim=1)
        first = {i: p[..., i] for i in wanted.first}
        second: dict[tuple[int, int], Tensor] = {}
        for i in {i for i, _ in wanted.second}:
            rows = torch.stack([_slope(c, x) for c in p[..., i].unbind(1)], dim=1)
            second |= {(i, j): rows[..., j] for k, j in wanted.second if k == i}
    return Jet.assemble(u, first, second, dim)


def _check_constant(net: Callable[[Tensor], Tensor], x: Tensor, u: Tensor) -> None:
    """Refuse a function that varies but has lost its derivatives."""
    with torch.no_grad():
        moved = net(x.detach() * (1 + 1e-4) + 1e-4)
    if (moved != u).double().mean() > 0.5:  # a few steps are no slope
        raise ValueError(
            "net(x) varies but does not carry its derivatives by x (it is detached, or "
            "computed outside torch): expected a function that torch can differentiate"
        )


def _slope(y: Tensor, x: Tensor) -> Tensor:
    """Gradient of each entry of ``y (batch,)`` by its own row of ``x``."""
    if not y.requires_grad:
        return torch.zeros_like(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if slope is None else slope


def divergence(flux: Flux, x: Tensor, jet: Jet, wanted: Wanted | None = None) -> Tensor:
    r"""Differentiate a flux along the points, through the flux only.

    .. math:: \operatorname{div} F = \sum_i \partial_{x_i} F_i
              + \partial_u F_i \, \partial_i u + \partial_p F_i \, \partial_i p

    Forward mode, as in Griewank and Walther 2008, Evaluating Derivatives, chapter 3.

    Args:
        flux: ``flux(x, u, p)`` returns ``(batch, equations, dim)``.
        x: Points. Shape ``(batch, dim)``.
        jet: Values and derivatives there.
        wanted: What the flux is known to read; other second derivatives count as zero,
            so that none that is missing spoils the gradient of a number in the flux.
            None takes all from the jet.

    Returns:
        The divergence. Shape ``(batch, equations)``.

    Example:
        >>> x = torch.tensor([[3.0]])
        >>> jet = jet_of(lambda x: x**3, x, Wanted.all(1))
        >>> divergence(lambda x, u, p: u[..., None] * p, x, jet).item()  # (3 x^5)'
        1215.0
    """
    batch, dim = x.shape
    # One product for all axes: copy i of the points moves along axis i.
    copies = [t.repeat(dim, *[1] * (t.ndim - 1)) for t in (x, jet.u, jet.p)]
    steps = torch.eye(dim, dtype=x.dtype, device=x.device)
    moves = (
        steps.repeat_interleave(batch, dim=0),
        torch.cat(jet.p.unbind(-1)),
        torch.cat(_read(jet.H, wanted).unbind(-1)),
    )
    slopes = torch.func.jvp(flux, tuple(copies), moves)[1]
    along = slopes.unflatten(0, (dim, batch))  # (axis, batch, equations, dim)
    return sum(along[i, ..., i] for i in range(dim))


def _read(H: Tensor, wanted: Wanted | None) -> Tensor:
    """Put zero where a second derivative is not read: it may be missing, NaN."""
    dim = H.shape[-1]
    pairs = {*wanted.second} if wanted else set()
    if not wanted or len(pairs) == dim * (dim + 1) // 2:
        return H
    rows = [[(min(i, j), max(i, j)) in pairs for j in range(dim)] for i in range(dim)]
    return torch.where(torch.tensor(rows, device=H.device), H, 0.0)
