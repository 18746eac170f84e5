"""RigL: connections grow where the gradient of the missing ones is largest."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim import Optimizer

from modular.sparse.linear import SparseLinear
from modular.sparse.watching import Watching

__all__ = ["RigL"]


class RigL(Watching):
    r"""Drop the smallest values, grow where a new one would fall fastest.

    .. math:: \text{grow: the largest } \Bigl|\sum_n
              \frac{\partial L}{\partial y_{ni}} x_{nj}\Bigr|
              \text{ of the free places } (i, j)

    Evci, Gale, Menick, Castro and Elsen 2020 (ICML), section 3. The gradient is that of
    the last batch that went backward; of the dense matrix, a block of rows is held at a
    time. A connection that goes may not come back in the same step.

    Args:
        layers: Which layers move.
        share: Of its connections that each layer gives up, in [0, 1).
        optimizer: Whose state follows.

    Raises:
        TypeError: If one of ``layers`` is no SparseLinear.
        ValueError: If ``share`` is outside [0, 1), there is no layer, or
            ``optimizer`` does not hold all values.
        RuntimeError: From :meth:`step`, if no batch went backward since the last.

    Example:
        >>> import torch
        >>> layer = SparseLinear(30, 20, epsilon=2)
        >>> topology = RigL([layer], share=0.3)
        >>> layer(torch.randn(8, 30)).square().sum().backward()
        >>> topology.step(), layer.connections
        (30, 100)
    """

    ROWS = 256  # of a block

    def __init__(
        self,
        layers: Iterable[SparseLinear],
        share: float,
        optimizer: Optimizer | None = None,
    ) -> None:
        super().__init__(layers, share, optimizer)
        self._last: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def _seen(self, layer: nn.Module, x: Tensor, dy: Tensor) -> None:
        self._last[layer] = (x, dy.detach())

    def _grow(self, layer: SparseLinear, count: int) -> Tensor:
        if layer not in self._last:
            raise RuntimeError(
                "no batch went backward through a layer since the last step: expected "
                "loss.backward() before RigL.step()"
            )
        x, dy = self._last.pop(layer)
        blocks = (rows.t() @ x for rows in dy.split(self.ROWS, dim=1))
        return self._largest(layer, blocks, count)
