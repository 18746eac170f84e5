"""DeepNMF: multiplicative updates whose matrices are learned."""

from typing import ClassVar

from torch import Tensor, nn

from unroll._checks import check_dictionary, check_number
from unroll.networks.base import Unrolled
from unroll.parts.nmf import check_not_negative, ratio

__all__ = ["DeepNMF"]


class _Layer(nn.Module):
    """One layer: ``pull`` of shape ``(m, n)``, ``gram`` of shape ``(n, n)``."""

    def __init__(self, A: Tensor) -> None:
        super().__init__()
        self.pull = nn.Parameter(A.detach().clone())
        self.gram = nn.Parameter((A.T @ A).detach())

    def forward(self, x: Tensor, b: Tensor, l1: float, l2: float) -> Tensor:
        """Return the next code."""
        pull, gram = self.pull.clamp(min=0), self.gram.clamp(min=0)
        return x * ratio(b @ pull, x @ gram + l2 * x + l1)


class DeepNMF(Unrolled):
    r"""Deep unfolded non-negative factorisation: two matrices a layer.

    .. math:: x_{k+1} = x_k \odot \frac{P_k^T b}
              {G_k x_k + \lambda_2 x_k + \lambda_1}, \qquad
              P_k, G_k \ge 0, \quad x_0 = 1

    Nasser, Eldar and Sharan 2022, J. Comput. Biol. 29(1). Parent:
    :func:`~unroll.parts.multiplicative_updates`, which it equals at every depth before
    training, ``P = A`` and ``G = A^T A``; with ``l1`` and ``l2`` that of the penalised
    problem (Hoyer 2002). Codes are not negative whatever was learned: negative entries
    of the matrices count as 0. :func:`~unroll.train` trains it as the networks for
    sparse codes.

    Args:
        A: Parts, not negative, one a column. Shape ``(m, n)``.
        depth: Layers.
        l1: Weight of the sum of a code, at least 0; not learned.
        l2: Weight of half its squared length, at least 0; not learned.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix or has a negative entry,
            ``depth`` is not positive, or ``l1`` or ``l2`` is negative.

    Example:
        >>> import torch
        >>> net = DeepNMF(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), depth=2)
        >>> net(torch.tensor([[1.0, 3.0]]))
        tensor([[1.2800, 1.5882]], grad_fn=<MulBackward0>)
    """

    settings: ClassVar[tuple[str, ...]] = ("l1", "l2")

    def __init__(
        self, A: Tensor, depth: int = 8, *, l1: float = 0.0, l2: float = 0.0
    ) -> None:
        check_dictionary(A)
        check_not_negative("A", A)
        for name, value in (("l1", l1), ("l2", l2)):
            check_number(name, value)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}: expected a finite number >= 0")
        super().__init__(A, depth, lambda: _Layer(A))
        self.l1, self.l2 = float(l1), float(l2)

    def start(self, b: Tensor) -> Tensor:
        """Return the code 1 everywhere; refuse samples with negative entries."""
        check_not_negative("b", b)
        return self._zero(b) + 1

    def given(self, b: Tensor, k: int) -> tuple:
        """Return the samples and the weights of the penalties."""
        return b, self.l1, self.l2
