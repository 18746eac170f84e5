"""What a network is trained for: the error of its codes, or the cost of the Lasso."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from unroll._checks import check_positive
from unroll.metrics import nmse_db
from unroll.networks.base import Unrolled
from unroll.operators import Operator
from unroll.penalties import L1, Penalty

__all__ = [
    "DeepLogNMSE",
    "LassoCost",
    "LastNMSE",
    "Objective",
    "Stagewise",
    "as_rows",
    "named",
]


class Objective(Protocol):
    """What training minimises, and what decides which weights were the best."""

    @property
    def needs_codes(self) -> bool:
        """Whether samples must come with their true codes."""

    @property
    def staged(self) -> bool:
        """Whether the layers are trained one after the other."""

    def loss(
        self, net: Unrolled, iterates: Tensor, b: Tensor, x: Tensor | None
    ) -> Tensor:
        """Return what to minimise on a batch; ``iterates`` ends at the newest layer."""

    def measure(
        self, net: Unrolled, iterates: Tensor, b: Tensor, x: Tensor | None
    ) -> Tensor:
        """Return one number per iterate, the smaller the better: ``(iterates,)``."""


def _needed(x: Tensor | None) -> Tensor:
    """Return the codes, or refuse to do without."""
    if x is None:
        raise ValueError("x is None: expected true codes, or the objective LassoCost")
    return x


def as_rows(iterates: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return images as rows, complex ones as two real numbers a pixel.

    Shapes ``(iterates, batch, n)`` and ``(batch, n)``; codes are so already.
    """
    if iterates.is_complex() or x.is_complex():
        kind = torch.promote_types(iterates.dtype, x.dtype)
        iterates, x = (torch.view_as_real(t.to(kind)) for t in (iterates, x))
    return iterates.flatten(2), x.flatten(1)


class _CodeError:
    """An objective about the error of the codes, measured in dB."""

    needs_codes: ClassVar[bool] = True
    staged: ClassVar[bool] = False

    def measure(
        self, net: Unrolled, iterates: Tensor, b: Tensor, x: Tensor | None
    ) -> Tensor:
        """Return the "ratio" NMSE of every iterate in dB."""
        return nmse_db(*as_rows(iterates, _needed(x)))


@dataclass(frozen=True)
class DeepLogNMSE(_CodeError):
    r"""The mean over the layers of their "ratio" NMSE in dB.

    .. math:: \frac{1}{K} \sum_{k=1}^{K} 10 \log_{10}
              \frac{\sum_i \|x_k^{(i)} - x^{(i)}\|^2}{\sum_i \|x^{(i)}\|^2}

    A layer that is 40 dB down counts as much as the first. Deep supervision: Lee, Xie,
    Gallagher, Zhang and Tu 2015, AISTATS.

    Example:
        >>> x = torch.ones(1, 4)
        >>> iterates = torch.stack([0 * x, 0.9 * x, 0.99 * x])
        >>> DeepLogNMSE().loss(None, iterates, None, x).round()  # (-20 - 40) / 2
        tensor(-30.)
    """

    def loss(
        self, net: Unrolled, iterates: Tensor, b: Tensor, x: Tensor | None
    ) -> Tensor:
        """Return the mean dB of the layers; an exact code has a finite one."""
        iterates, x = as_rows(iterates, _needed(x))
        tiny = torch.finfo(x.dtype).tiny
        errors = (iterates[1:] - x).square().sum(dim=(1, 2))
        return 10 * torch.log10(errors / x.square().sum() + tiny).mean()


@dataclass(frozen=True)
class LastNMSE(_CodeError):
    """The "ratio" NMSE of the last layer, not in dB, as in most of the literature.

    Example:
        >>> x = torch.ones(1, 4)
        >>> LastNMSE().loss(None, torch.stack([0 * x, 0.9 * x]), None, x)
        tensor(0.0100)
    """

    def loss(
        self, net: Unrolled, iterates: Tensor, b: Tensor, x: Tensor | None
    ) -> Tensor:
        """Return the relative squared error of the last iterate."""
        iterates, x = as_rows(iterates, _needed(x))
        return (iterates[-1] - x).square().sum() / x.square().sum()


@dataclass(frozen=True)
class Stagewise(LastNMSE):
    """The layers one after the other: the error of layer ``k`` in stage ``k``.

    In the first third of a stage the new layer alone learns, in the second all so far
    at 0.2 times the rate, in the last at 0.02 times (Chen, Liu, Wang and Yin 2018).

    Example:
        >>> Stagewise().staged, LastNMSE().staged
        (True, False)
    """

    staged: ClassVar[bool] = True


@dataclass(frozen=True)
class LassoCost:
    r"""The cost that ISTA minimises, the mean over layers and samples: no codes needed.

    .. math:: F(x) = \tfrac12 \|b - A x\|^2 + \lambda \|x\|_1

    Unsupervised training: Ablin, Moreau, Massias and Gramfort 2019, NeurIPS. The
    network learns to solve the Lasso of its dictionary fast, for measurements like
    those it sees. Behind an operator ``x`` is an image, and few of its pixels are 0:
    there total variation says more than the l1 norm.

    Args:
        lam: Weight of the l1 norm; None is ``net.lam``, that of the Lasso whose ISTA
            the network started at.
        penalty: What ``lam`` weighs in place of the l1 norm; None is ``L1()``.

    Raises:
        TypeError: If ``penalty`` is none.
        ValueError: If ``lam`` is not positive.

    Example:
        >>> from unroll import LISTA
        >>> b = torch.tensor([[3.0, 0.5]])
        >>> net = LISTA(torch.eye(2), depth=1, lam=1.0)  # one step solves it: (2, 0)
        >>> LassoCost().measure(net, net.iterates(b), b, None).detach()
        tensor([4.6250, 2.6250])
    """

    lam: float | None = None
    penalty: Penalty | None = None

    needs_codes: ClassVar[bool] = False
    staged: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.lam is not None:
            check_positive("lam", self.lam)
        if self.penalty is not None and not isinstance(self.penalty, Penalty):
            kind = type(self.penalty).__name__
            raise TypeError(f"penalty is of type {kind}: expected a Penalty, as TV()")

    def loss(
        self, net: Unrolled, iterates: Tensor, b: Tensor, x: Tensor | None
    ) -> Tensor:
        """Return the mean cost of the layers.

        Args:
            net: Network, for its dictionary and ``lam``.
            iterates: Codes, the start first. Shape ``(iterates, batch, n)``.
            b: Measurements. Shape ``(batch, m)``.
            x: Not looked at. Shape ``(batch, n)``.

        Returns:
            Cost. Shape ``()``.
        """
        return self.measure(net, iterates[1:], b, x).mean()

    def measure(
        self, net: Unrolled, iterates: Tensor, b: Tensor, x: Tensor | None
    ) -> Tensor:
        """Return the mean cost of every iterate.

        Args:
            net: Network, for its dictionary and ``lam``.
            iterates: Codes. Shape ``(iterates, batch, n)``.
            b: Measurements. Shape ``(batch, m)``.
            x: Not looked at. Shape ``(batch, n)``.

        Returns:
            Cost of each. Shape ``(iterates,)``.

        Raises:
            ValueError: If no weight is given and ``net`` has none.
        """
        lam = getattr(net, "lam", None) if self.lam is None else self.lam
        if lam is None:
            raise ValueError(
                f"net is a {type(net).__name__}, which has no lam: expected an "
                "objective that says it, LassoCost(lam)"
            )
        if not isinstance(net.A, Operator) and self.penalty is None:
            r = b - iterates @ net.A.T
            cost = 0.5 * r.square().sum(dim=-1) + lam * iterates.abs().sum(dim=-1)
            return cost.mean(dim=-1)
        ahead = net.A(iterates) if isinstance(net.A, Operator) else iterates @ net.A.T
        r = (b - ahead).flatten(2)
        value = (self.penalty or L1()).value(iterates.flatten(0, 1))
        cost = 0.5 * (r.conj() * r).real.sum(dim=-1)
        return (cost + lam * value.unflatten(0, iterates.shape[:2])).mean(dim=-1)


_NAMES: dict[str, Objective] = {
    "deep-log-nmse": DeepLogNMSE(),
    "last": LastNMSE(),
    "stagewise": Stagewise(),
    "lasso": LassoCost(),
}


def named(objective: str | Objective) -> Objective:
    """Return the object of a name; an object is itself; refuse what is neither."""
    if isinstance(objective, str):
        if objective not in _NAMES:
            raise ValueError(
                f"objective is {objective!r}: expected one of {tuple(_NAMES)}, or an "
                "object such as LassoCost(lam=0.1)"
            )
        return _NAMES[objective]
    for method in ("loss", "measure"):
        if not callable(getattr(objective, method, None)):
            raise TypeError(
                f"objective is {objective!r}, without {method}(): expected an object "
                "such as LassoCost(lam=0.1)"
            )
    return objective
