"""Anderson acceleration: the combination of the last iterates that moves least."""

from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unroll._checks import check_number
from unroll.equilibrium.fixed_point import Solver, check_options

__all__ = ["Anderson"]


class _Window:
    """The last changes of one run, and the step that follows from them."""

    def __init__(self, memory: int, ridge: float | None, mixing: float) -> None:
        self.ridge, self.mixing = ridge, mixing
        self.dg: deque[Tensor] = deque(maxlen=memory)  # each (batch, n)
        self.dh: deque[Tensor] = deque(maxlen=memory)
        self.last: tuple[Tensor, Tensor] | None = None  # g, and h = z + beta g
        self.forgot: Tensor | None = None  # whose last g and h say nothing

    def __call__(self, z: Tensor, f: Tensor, g: Tensor) -> Tensor:
        """Return the next iterate; eq. (2.2) of Walker and Ni 2011."""
        h = f if self.mixing == 1 else z + self.mixing * g
        if self.last is not None:
            dg, dh = g - self.last[0], h - self.last[1]
            if self.forgot is not None:
                dg, dh = dg.masked_fill(self.forgot, 0), dh.masked_fill(self.forgot, 0)
            self.dg.append(dg)
            self.dh.append(dh)
        self.last, self.forgot = (g, h), None
        if not self.dg:
            return h
        gamma = self._weights(torch.stack(tuple(self.dg), dim=1), g)
        return h - (gamma.mT @ torch.stack(tuple(self.dh), dim=1))[:, 0]

    def _weights(self, dg: Tensor, g: Tensor) -> Tensor:
        """Return ``argmin |g - dg^T gamma|``, ``(batch, m, 1)``, for rows of norm 1."""
        ridge = 100 * torch.finfo(g.dtype).eps if self.ridge is None else self.ridge
        gram = dg @ dg.mT
        squares = gram.diagonal(dim1=1, dim2=2)  # (batch, m)
        unknown = squares == 0
        scale = squares.masked_fill(unknown, 1).sqrt()[..., None]
        added = ridge + unknown.to(g.dtype)  # relative to the trace, which is m
        gram = gram / scale / scale.mT + torch.diag_embed(added)
        gamma, _ = torch.linalg.solve_ex(gram, dg @ g[..., None] / scale)
        return gamma / scale

    def forget(self, rows: Tensor) -> None:
        """Empty the memory of some samples: a change of 0 says nothing."""
        self.forgot = rows[:, None]
        for window in (self.dg, self.dh):
            for i, change in enumerate(window):
                window[i] = change.masked_fill(self.forgot, 0)


@dataclass(frozen=True)
class Anderson(Solver):
    r"""Look for a fixed point with the memory of the last iterates.

    .. math:: \gamma = \arg\min_\gamma \|g_k - \Delta G_k \gamma\|, \qquad
              z_{k+1} = z_k - \Delta Z_k \gamma + \beta (g_k - \Delta G_k \gamma)

    with ``g = f(z) - z`` and the differences of the last ``memory`` iterates as
    columns. Anderson 1965, J. ACM 12(4); the form is eq. (2.2) of Walker and Ni 2011,
    SIAM J. Numer. Anal. 49(4), whose theorem 2.2 says what it is on a linear map: GMRES
    (a test). Each sample has its own weights. Where a step makes ``|g|`` more than
    twice its least, the sample goes back there with an empty memory: for maps that
    stretch take :class:`~unroll.equilibrium.broyden.Broyden`.

    Args:
        memory: Differences kept.
        ridge: Added to the diagonal of the normal equations, whose columns have norm 1;
            None is 100 times the rounding of the dtype.
        mixing: Part ``beta`` of the residual that is added, positive.
        tol: Residual at which a sample rests, positive.
        iterations: At most.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If an option is not positive, ``ridge`` is negative.

    Example:
        >>> import torch
        >>> def slow(z):
        ...     return 0.99 * z + 0.01
        >>> found = Anderson(tol=1e-4)(slow, torch.zeros(1, 1))
        >>> found.z, int(found.iterations)
        (tensor([[1.0000]]), 3)
    """

    lost: ClassVar[float] = 2.0

    memory: int = 5
    ridge: float | None = None
    mixing: float = 1.0
    tol: float = 1e-5
    iterations: int = 1000

    def __post_init__(self) -> None:
        check_options(self.tol, self.iterations, self.memory)
        check_number("mixing", self.mixing)
        if self.mixing <= 0:
            raise ValueError(f"mixing is {self.mixing}: expected a positive number")
        if self.ridge is not None and self.ridge < 0:
            raise ValueError(f"ridge is {self.ridge}: expected at least 0, or None")

    def _proposal(self) -> _Window:
        return _Window(self.memory, self.ridge, self.mixing)
