"""The HSIC bottleneck: depend on the labels, and as little as possible on the input."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from modular._checks import check_not_negative, check_positive
from modular.objectives.base import Objective
from modular.partition import Head

__all__ = ["HSIC", "gaussian_gram", "hsic"]


def gaussian_gram(h: Tensor, width: float) -> Tensor:
    r"""Return the Gram matrix of a Gaussian kernel.

    .. math:: k(h, h') = \exp\bigl( -\|h - h'\|^2 / (2 \sigma^2 d) \bigr)

    Divided by the dimension d, because squared distances grow with it.

    Args:
        h: Features. Shape ``(batch, ...)``.
        width: The width sigma, per dimension.

    Returns:
        Gram matrix. Shape ``(batch, batch)``.
    """
    h = h.flatten(1)
    norms = (h * h).sum(dim=1)
    squares = (norms[:, None] + norms - 2 * h @ h.T).clamp(min=0)
    return torch.exp(-squares / (2 * width**2 * h.shape[1]))


def hsic(a: Tensor, b: Tensor) -> Tensor:
    r"""Return the Hilbert-Schmidt independence criterion of two Gram matrices.

    .. math:: \mathrm{HSIC} = \frac{\mathrm{tr}(A H B H)}{(m - 1)^2},
              \qquad H = I - \tfrac1m \mathbf{1} \mathbf{1}^T

    Gretton, Bousquet, Smola and Schoelkopf 2005, eq. (9): the biased estimate.

    Args:
        a: Gram matrix. Shape ``(batch, batch)``.
        b: Another, of the same samples. Shape ``(batch, batch)``.

    Returns:
        The criterion; 0 for independent samples, in expectation up to 1/m. Shape
        ``()``.

    Example:
        >>> hsic(torch.eye(3), torch.eye(3))  # tr(H) / 4
        tensor(0.5000)
    """
    return (_centred(a) * b).sum() / (len(a) - 1) ** 2


def _centred(gram: Tensor) -> Tensor:
    """Return ``H G H``."""
    rows = gram - gram.mean(dim=0, keepdim=True)
    return rows - rows.mean(dim=1, keepdim=True)


def _whitened(gram: Tensor, ridge: float) -> Tensor:
    """Return ``G H (G H + ridge m I)^{-1}`` with the centred ``G``."""
    gram, m = _centred(gram), len(gram)
    shift = ridge * m * torch.eye(m, dtype=gram.dtype, device=gram.device)
    return torch.linalg.solve(gram + shift, gram)  # both commute: left or right is one


@dataclass(frozen=True)
class HSIC(Objective):
    r"""The HSIC bottleneck, with normalised criteria.

    .. math:: \ell_k = \mathrm{nHSIC}(h_k, h_{k-1}) - \beta\, \mathrm{nHSIC}(h_k, y),
              \qquad \mathrm{nHSIC}(a, b) = \mathrm{tr}(\tilde A \tilde B), \quad
              \tilde A = A_c (A_c + \epsilon m I)^{-1}

    with centred Gaussian Gram matrices. Ma, Lewis and Kleijn 2020, AAAI, eq. (5) and
    (6). Differs: (1) the paper's first term holds every layer against the network's
    input x; a module that sees only its own input holds itself against that, the same
    in module 0; (2) the kernel of the labels is Gaussian on one-hot vectors, like the
    others.

    Args:
        beta: Weight of the labels; the paper's experiments use hundreds.
        width: Width of the Gaussian kernels, per dimension; the paper's is 5.
        ridge: The epsilon of the normalisation.

    Raises:
        ValueError: If ``beta`` is negative, or ``width`` or ``ridge`` not positive.

    Example:
        >>> y = torch.tensor([0, 0, 1, 1])
        >>> x, head = torch.eye(4), Head(torch.nn.Identity(), 2)
        >>> good, bad = torch.eye(2)[y], torch.eye(2)[y.roll(1)]
        >>> HSIC()(x, good, head, y) < HSIC()(x, bad, head, y)
        tensor(True)
    """

    beta: float = 100.0
    width: float = 5.0
    ridge: float = 1e-5
    needs_labels = True
    compares = True

    def __post_init__(self) -> None:
        check_not_negative("beta", self.beta)
        check_positive("width", self.width)
        check_positive("ridge", self.ridge)

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the loss. Shapes as in :class:`Objective`."""
        exact = torch.promote_types(h_out.dtype, torch.float32)  # the solver wants it
        labels = functional.one_hot(target, head.classes)
        grams = [gaussian_gram(h.to(exact), self.width) for h in (h_out, h_in, labels)]
        out, before, y = (_whitened(gram, self.ridge) for gram in grams)
        return (out * before.T).sum() - self.beta * (out * y.T).sum()
