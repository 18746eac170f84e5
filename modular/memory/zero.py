"""ZeRO by arithmetic: what each of several workers holds."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from modular._checks import check_count

__all__ = ["Shares", "zero"]


@dataclass(frozen=True)
class Shares:
    """Bytes of each worker between two steps, a number for each.

    Args:
        parameters: Of the parameters.
        gradients: Of their gradients.
        states: Of what the optimiser keeps for them.
    """

    parameters: tuple[int, ...]
    gradients: tuple[int, ...]
    states: tuple[int, ...]

    @property
    def total(self) -> tuple[int, ...]:
        """All three together, for each worker."""
        rows = zip(self.parameters, self.gradients, self.states, strict=True)
        return tuple(map(sum, rows))


def zero(
    parameters: Iterable[Tensor], ranks: int, stage: int, states: int = 2
) -> Shares:
    r"""Count what each worker holds if states, gradients, parameters are shared out.

    .. math:: 1 + 1 + K \;\to\; 1 + 1 + \tfrac{K}{P} \;\to\; 1 + \tfrac{1 + K}{P}
              \;\to\; \tfrac{2 + K}{P}

    numbers for each parameter on ``P`` workers in stages 0 to 3, if rows could be cut
    anywhere. They cannot: as ``fully_shard`` of PyTorch does it, every tensor is cut
    along its first axis into ``ceil(rows / P)`` rows each, and the last workers may get
    fewer or none. Rajbhandari, Rasley, Ruwase and He 2020 (SC), section 5; on one
    scale with other ways to save memory: Liu and Jiang 2022 (arXiv 2207.11912).

    Args:
        parameters: Of the model. Shape ``(...)`` each.
        ranks: ``P``, workers.
        stage: What is shared out: 0 nothing, 1 states, 2 gradients too, 3 all.
        states: ``K``, numbers that the optimiser keeps for each parameter, of its
            dtype: 2 for Adam, 1 for momentum, 0 for SGD. Its counters do not count.

    Returns:
        Bytes of each worker.

    Raises:
        TypeError: If ``ranks``, ``stage`` or ``states`` is not an int.
        ValueError: If ``ranks`` is below 1, ``stage`` not from 0 to 3, or ``states``
            negative.

    Example:
        >>> import torch
        >>> zero([torch.ones(3, 10)], ranks=2, stage=3).total
        (320, 160)
        >>> zero([torch.ones(3, 10)], ranks=2, stage=0).total
        (480, 480)
    """
    check_count("ranks", ranks, least=1)
    check_count("stage", stage, least=0)
    check_count("states", states, least=0)
    if stage > 3:
        raise ValueError(f"stage is {stage}: expected 0, 1, 2 or 3")
    tensors = list(parameters)
    whole = (sum(t.numel() * t.element_size() for t in tensors),) * ranks
    cut = tuple(sum(_rows(t, ranks, rank) for t in tensors) for rank in range(ranks))
    shared = cut if stage >= 1 else whole
    return Shares(
        parameters=cut if stage >= 3 else whole,
        gradients=cut if stage >= 2 else whole,
        states=tuple(states * count for count in shared),
    )


def _rows(tensor: Tensor, ranks: int, rank: int) -> int:
    """Bytes of one worker's rows of a tensor; a number without axes is one row."""
    rows = tensor.shape[0] if tensor.ndim else 1
    each = -(-rows // ranks)
    mine = max(0, min(each, rows - rank * each))
    row = tensor.numel() // rows if rows else 0
    return mine * row * tensor.element_size()
