"""Kernel modules: good features show which pairs belong together.

Duan, Yu and Principe 2021, "Modularizing Deep Learning via Pairwise Learning With
Kernels" (IEEE Trans. Neural Netw. Learn. Syst.), and Duan and Principe 2022, "Training
Deep Architectures Without End-to-End Backpropagation" (IEEE Comput. Intell. Mag.). With
unit-norm features the inner products form a Gram matrix, the best hidden module gives 1
within classes and as little as possible between, and a *proxy* says how near a module
is. It asks for pairs only: same class or not. The module is then frozen and the next is
trained on top.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from modular.objectives.base import Objective
from modular.partition import Head

__all__ = [
    "Kernel",
    "alignment",
    "log_contrastive",
    "negative_contrast",
    "negative_squares",
    "upper_alignment",
]

Proxy = Callable[..., Any]  # (gram, same) -> scalar


def unit_gram(h: Tensor) -> Tensor:
    """Return inner products of unit-norm features, (batch, batch)."""
    z = functional.normalize(h.flatten(1), dim=1, eps=1e-12)
    return z @ z.T


def same_class(target: Tensor) -> Tensor:
    """Return which pairs share their label, (batch, batch)."""
    return target[:, None] == target


def _pairs(gram: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """Return the strict upper triangle of both."""
    rows, columns = gram.shape
    i, j = torch.triu_indices(rows, columns, offset=1, device=gram.device)
    return gram[i, j], same[i, j]


def _between(gram: Tensor, same: Tensor) -> Tensor:
    """Return the entries of pairs of different classes."""
    values, ideal = _pairs(gram, same)
    _need(~ideal, "different classes")
    return values[~ideal]


def _need(pairs: Tensor, what: str) -> None:
    if not pairs.any():
        raise ValueError(
            f"the batch has no two samples of {what}: expected at least one such "
            "pair, use larger batches"
        )


def alignment(gram: Tensor, same: Tensor) -> Tensor:
    r"""Return the alignment with the ideal Gram matrix, the diagonal included.

    .. math:: \frac{\langle G, G^* \rangle}{\|G\| \, \|G^*\|}, \qquad
              G^*_{ij} = 1 \text{ if } y_i = y_j \text{ else } 0

    Cristianini, Shawe-Taylor, Elisseeff and Kandola 2001, "On Kernel-Target Alignment".

    Args:
        gram: Gram matrix of unit-norm features. Shape ``(batch, batch)``.
        same: Which pairs share their label. Shape ``(batch, batch)``.

    Returns:
        The alignment, at most 1. Shape ``()``.

    Example:
        >>> round(alignment(torch.eye(4), torch.eye(4) == 1).item(), 6)
        1.0
    """
    ideal = same.to(gram.dtype)
    return (gram * ideal).sum() / (gram.norm() * ideal.norm()).clamp(min=1e-12)


def upper_alignment(gram: Tensor, same: Tensor) -> Tensor:
    """Return the alignment of the upper triangles, without the diagonal.

    The diagonal is 1 whatever the module does. Duan, Yu and Principe 2021 use this one.

    Args:
        gram: Gram matrix of unit-norm features. Shape ``(batch, batch)``.
        same: Which pairs share their label. Shape ``(batch, batch)``.

    Returns:
        The alignment, at most 1. Shape ``()``.

    Raises:
        ValueError: If no two samples share their label.

    Example:
        >>> y = torch.tensor([0, 0, 1])
        >>> upper_alignment(torch.ones(3, 3), y[:, None] == y)  # 1 / sqrt(3)
        tensor(0.5774)
    """
    values, ideal = _pairs(gram, same)
    _need(ideal, "one class")
    ideal = ideal.to(gram.dtype)
    return (values * ideal).sum() / (values.norm() * ideal.norm()).clamp(min=1e-12)


def log_contrastive(gram: Tensor, same: Tensor) -> Tensor:
    r"""Return the logarithm of the share of pairs of one class.

    .. math:: \log \frac{\sum_{y_i = y_j} e^{k_{ij}}}{\sum_{i \neq j} e^{k_{ij}}}

    One of the proxies of Duan, Yu and Principe 2021.

    Args:
        gram: Gram matrix of unit-norm features. Shape ``(batch, batch)``.
        same: Which pairs share their label. Shape ``(batch, batch)``.

    Returns:
        The proxy, at most 0. Shape ``()``.

    Raises:
        ValueError: If no two samples share their label.

    Example:
        >>> y = torch.tensor([0, 0, 1])
        >>> log_contrastive(torch.ones(3, 3), y[:, None] == y)  # log of 1/3
        tensor(-1.0986)
    """
    values, ideal = _pairs(gram, same)
    _need(ideal, "one class")
    return values[ideal].logsumexp(0) - values.logsumexp(0)


def negative_squares(gram: Tensor, same: Tensor) -> Tensor:
    """Return minus the mean square over pairs of different classes.

    A negative-pairs-only proxy after Duan, Yu and Principe 2021: what belongs together
    is left alone. Differs: theirs are the restrictions of the other proxies; the
    alignment, so restricted, has the ideal 0 and no direction, and this is the distance
    to it.

    Args:
        gram: Gram matrix of unit-norm features. Shape ``(batch, batch)``.
        same: Which pairs share their label. Shape ``(batch, batch)``.

    Returns:
        The proxy, at most 0. Shape ``()``.

    Raises:
        ValueError: If all samples share their label.

    Example:
        >>> y = torch.tensor([0, 0, 1])
        >>> negative_squares(torch.ones(3, 3), y[:, None] == y)
        tensor(-1.)
    """
    return -_between(gram, same).square().mean()


def negative_contrast(gram: Tensor, same: Tensor) -> Tensor:
    """Return ``-log mean exp(k)`` over pairs of different classes.

    The log-contrastive proxy on negative pairs only, after Duan, Yu and Principe 2021.

    Args:
        gram: Gram matrix of unit-norm features. Shape ``(batch, batch)``.
        same: Which pairs share their label. Shape ``(batch, batch)``.

    Returns:
        The proxy, at most 1. Shape ``()``.

    Raises:
        ValueError: If all samples share their label.

    Example:
        >>> y = torch.tensor([0, 0, 1])
        >>> negative_contrast(torch.ones(3, 3), y[:, None] == y)
        tensor(-1.)
    """
    between = _between(gram, same)
    return math.log(len(between)) - between.logsumexp(0)


@dataclass(frozen=True)
class Kernel(Objective):
    """Raise a kernel proxy: the loss is ``-proxy(G, same)``.

    ``G`` is the Gram matrix of unit-norm features. Duan, Yu and Principe 2021. One
    hidden module learns digits by it; six small ones, on sums of two digits, throw away
    what later modules would need (chapter 24).

    Args:
        proxy: Takes a Gram matrix and which pairs share their label.

    Example:
        >>> h, y = torch.eye(2)[[0, 0, 1]], torch.tensor([0, 0, 1])
        >>> Kernel()(h, h, Head(torch.nn.Identity(), 2), y)
        tensor(-1.)
    """

    proxy: Proxy = field(default_factory=lambda: upper_alignment)
    needs_labels = True
    compares = True

    def __repr__(self) -> str:
        return f"Kernel({getattr(self.proxy, '__name__', '...')})"

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the loss. Shapes as in :class:`Objective`."""
        return -self.proxy(unit_gram(h_out), same_class(target))
