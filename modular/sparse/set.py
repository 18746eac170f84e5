"""SET: the weakest of either sign go, others come by chance."""

import torch
from torch import Tensor

from modular.sparse.linear import SparseLinear
from modular.sparse.pattern import draw
from modular.sparse.topology import Topology, smallest

__all__ = ["SET"]


class SET(Topology):
    """Sparse evolutionary training: replace the weakest connections by chance.

    Of the positive values the share ``share`` that is closest to zero goes, and of the
    negative ones; as many come at free places, all alike, with values drawn as at the
    start. Mocanu et al. 2018 (Nature Communications 9, 2383), algorithm 1; Curci,
    Mocanu and Pechenizkiy 2021 (arXiv 2102.01732) take 0.3 for the share. A connection
    that has just gone may not come back in the same step.

    Args:
        layers: Which layers move.
        share: Of its connections that each layer gives up, in [0, 1).
        optimizer: Whose state follows.
        generator: Draws where connections grow, and their values; on the CPU.

    Raises:
        TypeError: If one of ``layers`` is no SparseLinear.
        ValueError: If ``share`` is outside [0, 1), there is no layer, or
            ``optimizer`` does not hold all values.

    Example:
        >>> import torch
        >>> layer = SparseLinear(30, 20, epsilon=2)
        >>> SET([layer], share=0.3).step() in (28, 29, 30), layer.connections
        (True, 100)
    """

    def _drop(self, layer: SparseLinear) -> Tensor:
        dropped = torch.zeros_like(layer.values, dtype=torch.bool)
        for sign in (layer.values > 0, layer.values < 0):
            size = layer.values.abs().masked_fill(~sign, float("inf"))
            dropped |= smallest(size, int(self.share * int(sign.sum())))
        return dropped

    def _grow(self, layer: SparseLinear, count: int) -> Tensor:
        size = layer.in_features * layer.out_features
        return draw(count, size, self.generator, taken=layer.places)

    def _start(self, layer: SparseLinear, count: int) -> Tensor:
        return layer.drawn(count, self.generator)
