"""HyperLISTA: three numbers in all, found by trying."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor, nn

from unroll._checks import check_batch
from unroll.metrics import nmse_db
from unroll.networks._state import State
from unroll.networks.base import Unrolled
from unroll.prox import support_select
from unroll.weights import analytic_weight, generalized_coherence

__all__ = ["HyperLISTA", "HyperSearch"]


class _Layer(nn.Module):
    """The layer of all depths: ``c1``, ``c2``, ``c3``."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = (nn.Parameter(c.clone()) for c in numbers)

    def forward(
        self, state: State, b: Tensor, A: Tensor, W: Tensor, own: Tensor, mu: Tensor
    ) -> State:
        """Return the next code and this one."""
        x, x_last = state
        tiny = torch.finfo(b.dtype).tiny
        move = torch.addmm(b, x, A.T, alpha=-1) @ W  # (batch, n)
        # A^+ r = own * W^T r: the estimate of the error costs nothing more
        error = (own * move).abs().sum(dim=1, keepdim=True) + tiny
        whole = (own * (b @ W)).abs().sum(dim=1, keepdim=True) + tiny
        theta = self.c1.clamp(min=0) * mu * error
        theta = theta.nan_to_num(nan=float("inf"), posinf=float("inf"))
        beta = self.c2 * torch.count_nonzero(x, dim=1)[:, None]
        keep = (self.c3 * (whole / error).log()).detach()
        keep = keep.nan_to_num(nan=0.0).clamp(0, A.shape[1])  # NaN: has diverged
        v = x + move + beta * (x - x_last)
        return support_select(v, theta, keep.long()), x


@dataclass(frozen=True)
class HyperSearch:
    """What a search over a grid found.

    Args:
        c1: Best first number: threshold.
        c2: Best second number: momentum.
        c3: Best third number: support selection.
        table: Error of every triple, "ratio" NMSE in dB; NaN where the network
            diverged. Shape ``(c1s, c2s, c3s)``.
        on_edge: Names of the numbers whose best value is an end of its list: extend it.
    """

    c1: float
    c2: float
    c3: float
    table: Tensor
    on_edge: tuple[str, ...]


class HyperLISTA(Unrolled):
    r"""ALISTA whose step, threshold, momentum and selection follow from three numbers.

    .. math:: \theta_k &= c_1 \tilde\mu \|A^+ (A x_k - b)\|_1, \qquad
              \beta_k = c_2 \|x_k\|_0, \\
              \mathrm{keep}_k &= c_3 \min\left( \log
              \frac{\|A^+ b\|_1}{\|A^+ (A x_k - b)\|_1}, n \right), \\
              x_{k+1} &= \eta^{\mathrm{keep}_k}_{\theta_k}
              \left( x_k + W^T (b - A x_k) + \beta_k (x_k - x_{k-1}) \right)

    Chen, Liu, Wang and Yin 2021, NeurIPS ("Hyperparameter tuning is all you need for
    LISTA"); ``mu`` is the generalised coherence of ``W``. All three follow the sample
    through ``A^+ (A x_k - b)``, which estimates its error without the true code.
    Differs: the step is 1, the natural one for ``w_i^T a_i = 1``; ``W`` is the analytic
    weight, not the symmetric one, and then ``A^+ r`` is ``W^T r`` scaled by entry,
    free; keep is rounded down. Parent: for ``c2 = c3 = 0``, ISTA whose threshold
    follows its residual. No number needs a gradient: :meth:`search` tries a grid.
    (Thresholds and momentum do have one, the selection has none.)

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers; may be changed after the search, the numbers serve any depth.
        c1: Threshold in units of the estimated error times the coherence.
        c2: Momentum per non-zero entry.
        c3: Entries that pass, per factor e of error that is gone.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
        ValueError: If ``A`` is not a finite matrix with non-zero columns, ``depth`` is
            not positive, or one of the numbers is negative or not finite.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> from unroll.problems import SparseCoding
        >>> problem = SparseCoding.gaussian(50, 100, generator, density=0.05)
        >>> b, x = problem.sample(64, generator)
        >>> net = HyperLISTA(problem.A)
        >>> bool(nmse_db(net(b), x) < -20)
        True
    """

    must_agree: ClassVar[tuple[str, ...]] = (
        "network",
    )  # three numbers serve any depth
    W: Tensor
    own: Tensor
    mu: Tensor

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        c1: float = 0.1,
        c2: float = 0.01,
        c3: float = 5.0,
    ) -> None:
        for name, value in (("c1", c1), ("c2", c2), ("c3", c3)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}: expected a finite number >= 0")
        W = analytic_weight(A)
        numbers = A.new_tensor([c1, c2, c3])
        super().__init__(A, depth, lambda: _Layer(numbers), tied=True)
        self.register_buffer("W", W.detach())
        self.register_buffer("own", (torch.linalg.pinv(A).T * A).sum(dim=0).detach())
        self.register_buffer("mu", generalized_coherence(W, A).detach())

    def start(self, b: Tensor) -> State:
        """Return the code 0, twice: there is no momentum yet."""
        x = self._zero(b)
        return x, x

    def given(self, b: Tensor, k: int) -> tuple:
        """Return measurements, matrices, the scale of ``A^+`` in ``W^T``, coherence."""
        return b, self.A, self.W, self.own, self.mu

    @torch.no_grad()
    def search(
        self,
        b: Tensor,
        x: Tensor,
        *,
        c1: Sequence[float],
        c2: Sequence[float],
        c3: Sequence[float],
    ) -> HyperSearch:
        """Try every triple of a grid, keep the best.

        Args:
            b: Measurements. Shape ``(batch, m)``.
            x: True codes. Shape ``(batch, n)``.
            c1: Values to try.
            c2: Values to try.
            c3: Values to try.

        Returns:
            The best triple, now in the network, and all errors, as
            :class:`HyperSearch`.

        Raises:
            TypeError: If dtypes differ from that of ``A``.
            ValueError: If shapes do not fit, a list is empty, or every triple diverges.
        """
        check_batch("x", x, self.A, dim=1)
        lists = {"c1": list(c1), "c2": list(c2), "c3": list(c3)}
        for name, values in lists.items():
            if not values:
                raise ValueError(f"{name} has no values to try: expected at least one")
        errors = []
        for triple in product(*lists.values()):
            self._set(triple)
            errors.append(nmse_db(self(b), x))
        table = torch.stack(errors).reshape([len(values) for values in lists.values()])
        if not table.isfinite().any():
            raise ValueError(
                f"all {table.numel()} triples diverge: expected smaller c2"
            )
        best = int(table.nan_to_num(nan=float("inf")).argmin())
        index = torch.unravel_index(torch.tensor(best), table.shape)
        found = [values[i] for values, i in zip(lists.values(), index, strict=True)]
        self._set(found)
        edges = tuple(
            name
            for (name, values), i in zip(lists.items(), index, strict=True)
            if len(values) > 1 and int(i) in (0, len(values) - 1)
        )
        return HyperSearch(found[0], found[1], found[2], table, edges)

    def _set(self, triple: Sequence[float]) -> None:
        """Put three numbers into the layer."""
        layer = self.layers[0]
        for name, value in zip(("c1", "c2", "c3"), triple, strict=True):
            getattr(layer, name).fill_(value)
