"""Merak's shifted critical path: 1F1B where recomputing costs less time."""

from dataclasses import dataclass

from modular.pipeline.schedule import Schedule
from modular.pipeline.scheme import Scheme, grid, straight

__all__ = ["Merak"]


@dataclass(frozen=True)
class Merak(Scheme):
    r"""Recompute before the gradient arrives, and not at all on the last rank.

    With B = 2F and R = F a 1F1B that recomputes inside its backwards takes
    :math:`T = 4(N+D-1)`. Recomputing while the gradient is still on its way saves D-1;
    a last stage that keeps its activations (it needs those of one micro-batch) makes
    that D+1; one more forward of the others before their first backward takes the last
    stage off the critical path, which makes it D+2. Lai et al. 2023, "Merak: An
    Efficient Distributed DNN Training Framework with Automated 3D Parallelism"; the
    totals are derived here and not from the paper.

    Args:
        keep_last: Whether the last rank keeps its activations.
        shift: Whether all others do one more forward first; needs ``keep_last``.

    Raises:
        ValueError: If ``shift`` comes without ``keep_last``.

    Example:
        >>> for rank, ops in Merak().schedule(ranks=2, micros=3).items():
        ...     print(rank, [f"{op.kind[0]}{op.micro}" for op in ops])
        0 ['f0', 'f1', 'f2', 'r0', 'b0', 'r1', 'b1', 'r2', 'b2']
        1 ['f0', 'b0', 'f1', 'b1', 'f2', 'b2']
    """

    keep_last: bool = True
    shift: bool = True

    def __post_init__(self) -> None:
        if self.shift and not self.keep_last:
            raise ValueError(
                f"shift is {self.shift} and keep_last is {self.keep_last}: expected "
                "keep_last=True, else the last stage stays on the critical path"
            )

    def schedule(self, ranks: int, micros: int) -> Schedule:
        """Return the lists; see :meth:`Scheme.schedule`."""
        s, m = grid(ranks, micros)
        ahead = ranks - s + (self.shift & (s < ranks - 1))  # forwards before the first
        own = {"stage": s, "micro": m}
        again = own | {"stage": s[: ranks - self.keep_last]}
        turn = 3 * (m + ahead)
        return straight(
            ranks,
            own | {"kind": "forward", "slot": 3 * m + 2},
            again | {"kind": "recompute", "slot": turn[: ranks - self.keep_last]},
            own | {"kind": "backward", "slot": turn + 1},
        )
