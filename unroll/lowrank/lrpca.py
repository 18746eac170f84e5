"""LRPCA: scaled gradient descent whose thresholds and steps are learned."""

from typing import cast

import torch
from torch import Tensor, nn

from unroll._checks import check_count, check_positive
from unroll.lowrank._checks import check_matrices, check_rank
from unroll.lowrank.scaled_gradient import (
    check_decay,
    product,
    scaled_step,
    unit,
)
from unroll.lowrank.singular import balanced_factors
from unroll.networks.positive import Positive
from unroll.prox import soft_threshold

__all__ = ["LRPCA"]


class _Layer(nn.Module):
    """One layer: ``zeta`` and ``step``."""

    def __init__(self, zeta: Tensor, step: Tensor) -> None:
        super().__init__()
        self.zeta, self.step = Positive(zeta), Positive(step)


class LRPCA(nn.Module):
    r"""Learned robust PCA: two numbers a layer.

    .. math:: S_k &= \eta_{\zeta_k}(Y - L_k R_k^T), \qquad E_k = L_k R_k^T + S_k - Y, \\
              L_{k+1} &= L_k - \eta_k E_k R_k (R_k^T R_k)^{-1}, \qquad
              R_{k+1} = R_k - \eta_k E_k^T L_k (L_k^T L_k)^{-1}

    Cai, Liu and Yin 2021, NeurIPS. Parent:
    :func:`~unroll.lowrank.scaled_gradient`, which it equals at every depth before
    training. A layer learns ``zeta`` and ``step``; ``start`` is the threshold of the
    first factors. Deeper than it was trained, it goes on as the paper's recurrent tail
    does: the step ``tail_step``, and every threshold ``tail_decay`` times the last.

    Thresholds are in means of ``|Y|``. The paper's are absolute, and multiplied by
    ``r / n`` for a matrix of another size; in the unit of the data that is done by
    itself, and one network serves matrices of every size and unit. :func:`fit` trains.

    Args:
        rank: Rank of the part that is low in rank.
        depth: Layers with numbers of their own.
        threshold: ``zeta_0`` before training, in means of ``|Y|``, positive.
        decay: Factor from one threshold to the next before training, in (0, 1).
        step: Steps before training, positive.
        dtype: Of the learned numbers; None is torch's default.

    Raises:
        TypeError: If ``rank`` or ``depth`` is not an int.
        ValueError: If one of them, ``threshold`` or ``step`` is not positive, or
            ``decay`` is outside (0, 1).

    Example:
        >>> net = LRPCA(rank=1, depth=10, threshold=2.0, decay=0.5)
        >>> Y = torch.ones(1, 20, 20)
        >>> Y[0, 3, 5] = 9.0
        >>> L, S = net(Y)
        >>> round(L[0, 3, 5].item(), 1), round(S[0, 3, 5].item(), 1)
        (1.0, 8.0)
    """

    def __init__(
        self,
        rank: int,
        depth: int = 12,
        *,
        threshold: float = 1.0,
        decay: float = 0.7,
        step: float = 0.5,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_count("rank", rank, least=1)
        check_count("depth", depth, least=1)
        check_positive("threshold", threshold)
        check_positive("step", step)
        check_decay(decay)
        if decay == 1:
            raise ValueError("decay is 1: expected 0 < decay < 1")
        self.rank, self.depth = rank, depth
        dtype = torch.get_default_dtype() if dtype is None else dtype

        def number(value: float) -> Tensor:
            return torch.tensor(value, dtype=dtype)

        self.start = Positive(number(threshold))
        self.layers = nn.ModuleList(
            _Layer(number(threshold * decay**k), number(step))
            for k in range(1, depth + 1)
        )
        self.tail_step = Positive(number(step))
        self.tail_logit = nn.Parameter(torch.logit(number(decay)))

    def forward(self, Y: Tensor, depth: int | None = None) -> tuple[Tensor, Tensor]:
        """Return both parts.

        Args:
            Y: Matrices. Shape ``(batch, n1, n2)``.
            depth: Layers to run; None is those with numbers of their own, more than
                they are go on with the tail.

        Returns:
            The part of low rank, shape ``(batch, n1, n2)``, and the sparse one of the
            last layer, shape ``(batch, n1, n2)``.

        Raises:
            TypeError: If ``Y`` is not of the network's dtype or ``depth`` not an int.
            ValueError: If ``Y`` is no batch of finite matrices of at least that rank,
                or ``depth`` is negative.
        """
        factors, S = self._started(Y)
        for zeta, step in self._numbers(depth):
            factors, S = scaled_step(Y, factors, zeta * unit(Y), step)
        return product(factors), S

    def iterates(self, Y: Tensor, depth: int | None = None) -> Tensor:
        """Return the part of low rank after every layer, the start included.

        Args:
            Y: Matrices. Shape ``(batch, n1, n2)``.
            depth: As :meth:`forward`.

        Returns:
            Matrices. Shape ``(depth + 1, batch, n1, n2)``.

        Raises:
            TypeError: As :meth:`forward`.
            ValueError: As :meth:`forward`.
        """
        factors, _ = self._started(Y)
        found = [product(factors)]
        for zeta, step in self._numbers(depth):
            factors, _ = scaled_step(Y, factors, zeta * unit(Y), step)
            found.append(product(factors))
        return torch.stack(found)

    @torch.no_grad()
    def constants(self) -> dict:
        """Return the learned numbers of the layers, by name, over depth.

        Returns:
            ``zeta`` and ``step``, one entry for each layer.
        """
        return {
            "zeta": torch.stack([zeta for zeta, _ in self._numbers(None)]),
            "step": torch.stack([step for _, step in self._numbers(None)]),
        }

    def tail_decay(self) -> Tensor:
        """Return the factor from one threshold to the next after the last layer.

        Returns:
            A number in (0, 1). Shape ``()``.
        """
        return torch.sigmoid(self.tail_logit)

    def _started(self, Y: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Return the first factors, and what is left out of them."""
        if not torch.compiler.is_compiling():
            check_matrices("Y", Y)
            if Y.dtype != self.tail_logit.dtype:
                raise TypeError(
                    f"Y has dtype {Y.dtype} but the network {self.tail_logit.dtype}: "
                    "expected the same dtype"
                )
        check_rank(self.rank, Y.shape)
        S = soft_threshold(Y, self.start() * unit(Y))
        return balanced_factors(Y - S, self.rank), S

    def _numbers(self, depth: int | None) -> list[tuple[Tensor, Tensor]]:
        """Return threshold and step of every layer that is to run."""
        if depth is None:
            depth = self.depth
        check_count("depth", depth, least=0)
        own = [cast(_Layer, layer) for layer in self.layers[:depth]]
        found = [(layer.zeta(), layer.step()) for layer in own]
        for _ in range(depth - self.depth):
            found.append((found[-1][0] * self.tail_decay(), self.tail_step()))
        return found
