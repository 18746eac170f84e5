"""What the networks around the analytic weight share: one matrix, made once."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import Tensor, nn

from unroll._checks import check_constant
from unroll.networks.base import Unrolled
from unroll.networks.initial import gradient_step, start_lam, support_counts
from unroll.weights import analytic_weight, check_weight

__all__ = ["Analytic"]


class Analytic(Unrolled):
    """An unrolled algorithm whose layers are given ``b, A, W, keep_k``.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        layer: Called with ``gamma = 1 / rho(W^T A)`` and ``theta = gamma lam``, both
            tensors of shape ``()``: where the numbers of a layer start.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1 times the
            mean of ``w_i^T a_i``.
        keep: How many entries may pass: an int, or one per layer; None is 1.2 %
            of ``2 m`` (of n, if less) more per layer, at most 13 %, and 12 % in the
            last of less than ten layers; of more than ``4 m`` atoms more slowly, by
            ``sqrt(4 m / n)``.
        weight: The matrix ``W``; None is the analytic one. Shape ``(m, n)``.
        tied: Whether one layer is repeated.
    """

    settings: ClassVar[tuple[str, ...]] = ("lam", "keep")
    W: Tensor

    def __init__(
        self,
        A: Tensor,
        depth: int,
        layer: Callable[[Tensor, Tensor], nn.Module],
        *,
        lam: float | None,
        keep: int | Sequence[int] | None,
        weight: Tensor | None = None,
        tied: bool = False,
    ) -> None:
        W = analytic_weight(A) if weight is None else check_weight("weight", weight, A)
        check_constant("weight", W)
        lam = start_lam(lam, A, W)
        gamma = A.new_tensor(gradient_step(A, W))
        super().__init__(A, depth, lambda: layer(gamma, gamma * lam), tied=tied)
        self.register_buffer("W", W.detach().clone())
        self.lam, self.keep = lam, support_counts(A, depth, keep)

    def given(self, b: Tensor, k: int) -> tuple:
        """Return measurements, dictionary, weight and the count of layer ``k``."""
        return b, self.A, self.W, self.keep[k]
