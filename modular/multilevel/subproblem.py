"""The trust-region sub-problem with an L-SR1 matrix, solved exactly."""

from dataclasses import dataclass

import torch
from torch import Tensor

from modular._checks import check_positive
from modular.multilevel.lsr1 import LSR1

__all__ = ["Solution", "solve"]

_TINY = 1e-12


@dataclass(frozen=True)
class Solution:
    """The best step within the radius.

    Args:
        p: The step. Shape ``(n,)``.
        sigma: Multiplier of the radius: 0 inside.
        predicted: Decrease of the model, ``-g^T p - 1/2 p^T B p``.
        hard: Whether it was the hard case.
    """

    p: Tensor
    sigma: float
    predicted: float
    hard: bool


def solve(B: LSR1, g: Tensor, radius: float) -> Solution:
    r"""Minimise ``g^T p + 1/2 p^T B p`` over ``||p|| <= radius``, to rounding.

    ``p`` is the minimiser if and only if

    .. math:: (B + \sigma I) p = -g, \quad \sigma \ge 0, \quad
              \sigma (\|p\| - \delta) = 0, \quad B + \sigma I \succeq 0

    (More and Sorensen 1983). In the eigenbasis of ``B`` (few directions, and one for
    all the rest, where ``B`` is ``gamma``) the norm of ``p`` is a formula of sigma, and
    Newton's method on ``1 / ||p|| - 1 / delta`` comes to its root from below. Hard
    case: ``g`` has no part along the lowest eigenvector, and a piece of that, of either
    sign, completes the step. The orthonormal-basis method of Brust, Erway and Marcia
    2017.

    Args:
        B: The matrix.
        g: Gradient. Shape ``(n,)``.
        radius: delta.

    Returns:
        The step, as :class:`Solution`.

    Raises:
        ValueError: If the radius is not positive.

    Example:
        >>> g = torch.tensor([3.0, 4.0])
        >>> solve(LSR1(memory=1), g, radius=1.0).p  # B is the identity
        tensor([-0.6000, -0.8000])
    """
    check_positive("radius", radius)
    found = B.spectrum()
    basis = g[:, None][:, :0] if found is None else found[1]
    along = basis.T @ g
    rest = g - basis @ along
    if float(rest.norm()) <= _TINY * float(g.norm()):
        rest = torch.zeros_like(g)
    lams = g.new_tensor([B.gamma])
    if found is not None:
        lams = torch.cat([found[0], lams])
    parts = torch.cat([along, rest.norm()[None]])
    lowest = float(lams.min()) if len(basis.T) < len(g) else float(lams[:-1].min())
    parts = torch.where(parts.abs() <= _TINY * g.norm(), torch.zeros_like(parts), parts)
    tau, hard = _shift(lams - lowest, parts, lowest, radius)
    scaled = _scaled(parts, lams - lowest + tau)
    p = -(basis @ scaled[:-1])
    p = p - rest * (scaled[-1] / parts[-1] if parts[-1] > 0 else 0.0)
    if hard:
        missing = max(radius**2 - float(p @ p), 0.0) ** 0.5
        p = p + missing * basis[:, int(lams[:-1].argmin())]
    predicted = -float(g @ p + p @ B.multiply(p) / 2)
    return Solution(p, max(tau - lowest, 0.0), predicted, hard)


def _scaled(parts: Tensor, lams: Tensor) -> Tensor:
    """Return parts over eigenvalues, 0 where there is no part."""
    safe = torch.where(parts == 0, torch.ones_like(lams), lams)
    return parts / safe


def _shift(
    gaps: Tensor, parts: Tensor, lowest: float, radius: float
) -> tuple[float, bool]:
    """Return sigma plus the lowest eigenvalue, and whether it is the hard case.

    Counted from there no digit is lost where the two nearly cancel.
    """
    if lowest > 0 and float(_scaled(parts, gaps + lowest).norm()) <= radius:
        return lowest, False
    if lowest <= 0 and not parts[gaps <= _TINY * max(1.0, -lowest)].any():
        if float(_scaled(parts, gaps).norm()) <= radius:
            return 0.0, True
    there = parts != 0
    return _newton(gaps[there], parts[there], radius, max(0.0, lowest)), False


def _newton(gaps: Tensor, parts: Tensor, radius: float, least: float) -> float:
    """Return the root of ``1 / ||p(tau)|| - 1 / radius``, from below."""
    tau = max(least, float((parts.abs() / radius - gaps).max()))
    for _ in range(100):
        shifted = gaps + tau
        size = float((parts / shifted).norm())
        slope = float((parts.square() / shifted**3).sum()) / size**3
        change = (1 / radius - 1 / size) / slope
        if change <= 1e-15 * tau:
            break
        tau += change
    return tau
