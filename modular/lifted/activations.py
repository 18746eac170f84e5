"""Activations that are proximal maps, each with its potential and the conjugate."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from modular._checks import check_not_negative
from modular.lifted.prox import Prox

__all__ = ["HardTanh", "Identity", "ReLU", "SoftThreshold", "Softmax", "Tanh"]


@dataclass(frozen=True)
class Identity(Prox):
    """No activation: ``Psi = 0``, the distance is half the squared error.

    Wang and Benning 2023.

    Example:
        >>> y, z = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
        >>> Identity().distance(y, z)
        tensor(2.5000)
    """

    def __call__(self, z: Tensor) -> Tensor:
        """Return ``z``. Shapes as in :class:`Prox`."""
        return z

    def potential(self, y: Tensor) -> Tensor:
        """Return 0."""
        return torch.zeros_like(y).sum(dim=-1)

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``1/2 ||z||^2``."""
        return z.square().sum(dim=-1) / 2

    def step(self, v: Tensor, mu: float) -> Tensor:
        """Return ``v / (1 + mu)``."""
        return v / (1 + mu)


@dataclass(frozen=True)
class ReLU(Prox):
    """``max(z, 0)``: ``Psi`` is 0 where ``y >= 0``, infinite elsewhere.

    Wang and Benning 2023.

    Example:
        >>> ReLU().distance(torch.tensor([0.0]), torch.tensor([-3.0]))
        tensor(0.)
    """

    def __call__(self, z: Tensor) -> Tensor:
        """Return ``max(z, 0)``. Shapes as in :class:`Prox`."""
        return z.clamp(min=0)

    def potential(self, y: Tensor) -> Tensor:
        """Return 0, or infinity if an entry is negative."""
        return _inside(y, y >= 0)

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``1/2 ||max(z, 0)||^2``."""
        return z.clamp(min=0).square().sum(dim=-1) / 2

    def step(self, v: Tensor, mu: float) -> Tensor:
        """Return ``max(v, 0) / (1 + mu)``."""
        return v.clamp(min=0) / (1 + mu)


@dataclass(frozen=True)
class HardTanh(Prox):
    """``z`` cut off at -1 and 1: ``Psi`` is 0 in between, infinite elsewhere.

    Wang and Benning 2023 name projections among their activations.

    Example:
        >>> HardTanh()(torch.tensor([-3.0, 0.5]))
        tensor([-1.0000,  0.5000])
    """

    def __call__(self, z: Tensor) -> Tensor:
        """Return ``z`` between -1 and 1. Shapes as in :class:`Prox`."""
        return z.clamp(-1, 1)

    def potential(self, y: Tensor) -> Tensor:
        """Return 0, or infinity if an entry is outside."""
        return _inside(y, y.abs() <= 1)

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``<s, z> - 1/2 ||s||^2``, with ``s = s(z)``."""
        s = self(z)
        return (s * z - s.square() / 2).sum(dim=-1)

    def step(self, v: Tensor, mu: float) -> Tensor:
        """Return ``v / (1 + mu)`` between -1 and 1."""
        return (v / (1 + mu)).clamp(-1, 1)


@dataclass(frozen=True)
class SoftThreshold(Prox):
    """``sign(z) max(|z| - theta, 0)``: ``Psi`` is theta times the l1 norm.

    The activation of a sparse code. Wang and Benning 2023.

    Args:
        theta: The threshold.

    Raises:
        ValueError: If it is negative.

    Example:
        >>> SoftThreshold(1.0)(torch.tensor([-3.0, 0.5]))
        tensor([-2.,  0.])
    """

    theta: float

    def __post_init__(self) -> None:
        check_not_negative("theta", self.theta)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the soft-thresholded ``z``. Shapes as in :class:`Prox`."""
        return z - z.clamp(-self.theta, self.theta)

    def potential(self, y: Tensor) -> Tensor:
        """Return ``theta ||y||_1``."""
        return self.theta * y.abs().sum(dim=-1)

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``1/2 ||s(z)||^2``."""
        return self(z).square().sum(dim=-1) / 2

    def step(self, v: Tensor, mu: float) -> Tensor:
        """Return ``v`` soft-thresholded by ``mu theta``, over ``1 + mu``."""
        return (v - v.clamp(-mu * self.theta, mu * self.theta)) / (1 + mu)


@dataclass(frozen=True)
class Tanh(Prox):
    r"""``tanh(z)``, whose potential is smooth inside and vertical at -1 and 1.

    .. math:: \Psi(u) = \sum u \, \mathrm{artanh}\, u
              + \tfrac12 (\log(1 - u^2) - u^2)

    and the conjugate part is ``log cosh``. Wang and Benning 2023. Its proximal step has
    no formula: Newton's method solves it.

    Example:
        >>> z = torch.tensor([0.3, -2.0])
        >>> bool(Tanh().distance(z.tanh(), z) < 1e-6)
        True
    """

    def __call__(self, z: Tensor) -> Tensor:
        """Return ``tanh(z)``. Shapes as in :class:`Prox`."""
        return z.tanh()

    def potential(self, y: Tensor) -> Tensor:
        """Return the potential, infinite outside of [-1, 1]."""
        plus, minus = (torch.special.xlogy(1 + s * y, 1 + s * y) for s in (1, -1))
        smooth = ((plus + minus) - y.square()).sum(dim=-1) / 2
        return smooth + _inside(y, y.abs() <= 1)

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``log cosh z``, without overflow."""
        a = z.abs()
        return (a + torch.log1p(torch.exp(-2 * a)) - torch.log(z.new_tensor(2.0))).sum(
            dim=-1
        )

    def step(self, v: Tensor, mu: float) -> Tensor:
        """Return ``tanh(t)`` where ``tanh t + mu t = v``, by Newton's method.

        The left side rises, and flattens away from 0, so that from ``v / (1 + mu)``,
        nearer to 0 than the root, Newton's steps come to it from one side.
        """
        t = v / (1 + mu)
        for _ in range(100):
            s = t.tanh()
            change = (s + mu * t - v) / (1 - s * s + mu)
            t = t - change
            if change.abs().max() < 1e-14 * (1 + t.abs().max()):
                break
        return t.tanh()


@dataclass(frozen=True)
class Softmax(Prox):
    r"""Class probabilities: their distance to a label is cross-entropy.

    ``Psi(u) = sum u log u - 1/2 ||u||^2`` on the simplex, so that ``1/2 ||.||^2 + Psi``
    is the negative entropy and its conjugate ``log sum exp``. Wang and Benning 2023.
    It ends a network, whose last state is the label: there is no proximal step.

    Example:
        >>> y, z = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 2.0])
        >>> Softmax().distance(y, z)  # log 2
        tensor(0.6931)
    """

    def __call__(self, z: Tensor) -> Tensor:
        """Return probabilities. Shapes as in :class:`Prox`."""
        return functional.softmax(z, dim=-1)

    def potential(self, y: Tensor) -> Tensor:
        """Return it, infinite outside of the simplex."""
        inner = torch.special.xlogy(y, y) - y.square() / 2
        off = (y.sum(dim=-1) - 1).abs() > 1e-6
        outside = torch.where(off, float("inf"), 0.0)
        return inner.sum(dim=-1) + _inside(y, y >= 0) + outside

    def conjugate(self, z: Tensor) -> Tensor:
        """Return ``log sum exp z``."""
        return torch.logsumexp(z, dim=-1)

    def step(self, v: Tensor, mu: float) -> Tensor:
        """Refuse."""
        raise NotImplementedError(
            "Softmax has no proximal step: expected it in the last layer, whose state "
            "is the label"
        )


def _inside(y: Tensor, fits: Tensor) -> Tensor:
    """Return 0 where all entries fit, else infinity."""
    outside = torch.zeros_like(y).masked_fill(~fits, float("inf"))
    return outside.sum(dim=-1)
