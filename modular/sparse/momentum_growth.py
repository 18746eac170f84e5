"""Connections grow where the gradient has been large for a while."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from modular.sparse.linear import SparseLinear
from modular.sparse.watching import Watching

__all__ = ["MomentumGrowth"]


class MomentumGrowth(Watching):
    r"""Drop the smallest values, grow where the running mean gradient is largest.

    .. math:: M \leftarrow \beta M + (1 - \beta) \frac{\partial L}{\partial W}

    Dettmers and Zettlemoyer 2019 (arXiv 1907.04840), without their moving of
    connections from layer to layer. ``M`` is dense: one full matrix a layer, and its
    product in every step, which is what truly sparse training saves. Use it where
    layers are small, to compare.

    Args:
        layers: Which layers move.
        share: Of its connections that each layer gives up, in [0, 1).
        optimizer: Whose state follows.
        beta: ``beta`` in [0, 1).

    Raises:
        TypeError: If one of ``layers`` is no SparseLinear.
        ValueError: If ``share`` or ``beta`` is outside [0, 1), there is no layer, or
            ``optimizer`` does not hold all values.
        RuntimeError: From :meth:`step`, if no batch went backward yet.

    Example:
        >>> import torch
        >>> layer = SparseLinear(30, 20, epsilon=2)
        >>> topology = MomentumGrowth([layer], share=0.3)
        >>> layer(torch.randn(8, 30)).square().sum().backward()
        >>> topology.step()
        30
    """

    def __init__(
        self,
        layers: Iterable[SparseLinear],
        share: float,
        optimizer: Optimizer | None = None,
        beta: float = 0.9,
    ) -> None:
        super().__init__(layers, share, optimizer)
        if not 0 <= beta < 1:
            raise ValueError(f"beta is {beta}: expected a number in [0, 1)")
        self.beta = beta
        self._mean: dict[nn.Module, Tensor] = {}

    def _seen(self, layer: nn.Module, x: Tensor, dy: Tensor) -> None:
        gradient = dy.detach().t() @ x
        mean = self._mean.setdefault(layer, torch.zeros_like(gradient))
        mean.lerp_(gradient, 1 - self.beta)

    def _grow(self, layer: SparseLinear, count: int) -> Tensor:
        if layer not in self._mean:
            raise RuntimeError(
                "no batch went backward through a layer yet: expected loss.backward() "
                "before MomentumGrowth.step()"
            )
        return self._largest(layer, [self._mean[layer].clone()], count)
