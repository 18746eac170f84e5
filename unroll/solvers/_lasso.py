"""The Lasso, its duality gap, and the loop that the proximal gradient methods share.

Every solver minimises, for each row ``b`` of a batch,

    F(x) = 1/2 ||b - A x||^2 + lam ||x||_1.

scikit-learn divides the data term by the number of rows m: its ``Lasso(alpha)`` with
``fit_intercept=False`` is this problem with ``lam = m * alpha``.
"""

import warnings
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unroll._checks import (
    check_batch,
    check_count,
    check_dictionary,
    check_number,
    check_positive,
    column_of_lam,
)


@dataclass(frozen=True)
class LassoResult:
    r"""What a solver returns: the solution, its history and its certificate.

    The duality gap bounds how far the objective is above its minimum,
    ``objective[-1] - min F <= gap``, whatever the solver did. With the residual
    ``r = b - A x``, ``g = A^T r`` and ``s = min(1, lam / ||g||_inf)``, the point
    ``s r`` satisfies the constraint ``||A^T (s r)||_inf <= lam`` of the dual, and

    .. math:: \mathrm{gap} = \tfrac12 (1 - s)^2 \|r\|^2 + \lambda \|x\|_1 - s \, x^T g.

    Kim, Koh, Lustig, Boyd and Gorinevsky 2007, IEEE J. Sel. Top. Signal Process. 1(4);
    Massias, Gramfort and Salmon 2018, ICML (celer). They write it as the difference of
    two objectives; this is the same number as a sum of two terms that are not negative,
    the second being ``lam ||x||_1 - s x^T g``. Rounding leaves about ``eps ||b||
    (||b|| + ||x||_1)`` of it, 1e-5 for a code of ten entries in float32: a sample whose
    gap is as small as that and has not fallen in 100 iterations rests as ``stalled``,
    one that is ``c > 1`` times larger after ``100 c^2``.
    With ``lam = 0`` the only such point is 0 (unless ``g = 0``) and the gap is
    ``1/2 ||r||^2``: it certifies a solution of ``A x = b`` and nothing weaker.

    Args:
        x: Solution. Shape ``(batch, n)``.
        objective: ``F`` of every iterate, the start included. A sample that reached
            ``tol`` rests: its value is repeated. Shape ``(iterations + 1, batch)``.
        gap: Duality gap at ``x``. Shape ``(batch,)``.
        lam: Weight of the Lasso that ``objective`` and ``gap`` speak of.
            Shape ``(batch,)``.
        converged: Whether the gap reached ``tol``; all False if no ``tol`` was given.
            Shape ``(batch,)``.
        stalled: Whether rounding ended a sample before its gap reached ``tol``: no
            iteration helps, a wider dtype does. Shape ``(batch,)``.
        iterations: Iterations done (by the sample that needed most).
        iterates: Every iterate, the start included; None unless asked for. Shape
            ``(iterations + 1, batch, n)``.
    """

    x: Tensor
    objective: Tensor
    gap: Tensor
    lam: Tensor
    converged: Tensor
    stalled: Tensor
    iterations: int
    iterates: Tensor | None = None


class Step(Protocol):
    """One iteration of a method, with whatever the method remembers per sample."""

    def __call__(self, x: Tensor, w: Tensor, theta: Tensor) -> Tensor:
        """Return the next iterate from ``x`` and its gradient step ``w``."""

    def keep(self, rows: Tensor) -> None:
        """Forget the samples that are finished."""


@dataclass(frozen=True)
class Lasso:
    """A checked batch of Lasso problems that share ``A``."""

    A: Tensor  # (m, n)
    b: Tensor  # (batch, m)
    lam: Tensor  # (batch, 1)

    @classmethod
    def checked(cls, A: Tensor, b: Tensor, lam: float | Tensor) -> "Lasso":
        """Build it from what a user passed, or refuse."""
        check_dictionary(A)
        check_batch("b", b, A, dim=0)
        return cls(A, b, column_of_lam(lam, b, A.shape[1]))

    def start(self, x0: Tensor | None) -> Tensor:
        """Return the first iterate: a checked copy of ``x0``, or zeros."""
        if x0 is None:
            return self.b.new_zeros(self.b.shape[0], self.A.shape[1])
        check_batch("x0", x0, self.A, dim=1)
        if x0.shape[0] != self.b.shape[0]:
            raise ValueError(
                f"x0 has {x0.shape[0]} rows but b has {self.b.shape[0]}: "
                "expected one start per sample"
            )
        return x0.clone()

    def residual(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``r = b - A x``, ``(batch, m)``, and ``g = A^T r``, ``(batch, n)``."""
        r = torch.addmm(self.b, x, self.A.T, alpha=-1)
        return r, r @ self.A

    def objective(self, x: Tensor, r: Tensor) -> Tensor:
        """Return ``F(x)`` as ``(batch,)`` from the residual."""
        l1 = x.abs().sum(dim=1)
        return 0.5 * torch.linalg.vecdot(r, r) + self.lam[:, 0] * l1

    def gap(self, x: Tensor, r: Tensor, g: Tensor) -> Tensor:
        """Return the duality gap as ``(batch,)``; formula in :class:`LassoResult`."""
        lam, largest = self.lam[:, 0], g.abs().amax(dim=1)
        s = torch.where(largest > lam, lam / largest, 1.0)
        quadratic = 0.5 * (1 - s) ** 2 * torch.linalg.vecdot(r, r)
        l1 = x.abs().sum(dim=1)
        linear = lam * l1 - s * torch.linalg.vecdot(x, g)
        return quadratic + linear.clamp(min=0)  # negative only by rounding

    def __getitem__(self, rows: Tensor) -> "Lasso":
        """Return the problems of the given rows."""
        return Lasso(self.A, self.b[rows], self.lam[rows])


def default_step_size(A: Tensor) -> float:
    """Return ``1 / ||A||_2^2``, from the eigenvalues of the smaller Gram matrix."""
    m, n = A.shape
    gram = A @ A.T if m <= n else A.T @ A
    return 1 / torch.linalg.eigvalsh(gram)[-1].item()


class _Rest:
    """Who is still at work, and who is finished: gap at most ``tol``, or rounding."""

    PATIENCE = 100  # iterations without a new smallest gap, where rounding reigns

    def __init__(self, lasso: Lasso, tol: float | None) -> None:
        self.tol, batch = tol, len(lasso.b)
        self.rows = torch.arange(batch, device=lasso.b.device)  # still at work
        self.gap = torch.zeros_like(lasso.lam[:, 0])
        self.converged = torch.zeros_like(self.rows, dtype=torch.bool)
        self.stalled = self.converged.clone()
        self.smallest = torch.full_like(self.gap, float("inf"))
        self.since = torch.zeros_like(self.gap)

    def measure(self, lasso: Lasso, x: Tensor, r: Tensor, g: Tensor) -> Tensor:
        """Return which of the rows stay at work; note gap and end of the others."""
        if self.tol is None:
            return torch.ones_like(self.rows, dtype=torch.bool)
        gap = lasso.gap(x, r, g)
        done = gap <= self.tol
        lower = gap < 0.999 * self.smallest
        self.smallest = torch.where(lower, gap, self.smallest)
        self.since = torch.where(lower, 0, self.since + 1)
        stuck = (self.since > self.PATIENCE) & ~done
        if stuck.any():
            size = torch.linalg.vector_norm(lasso.b, dim=1)
            rounding = torch.finfo(x.dtype).eps * size * (size + x.abs().sum(dim=1))
            stuck &= self.since > self.PATIENCE * (gap / rounding) ** 2
        self.gap[self.rows] = gap
        self.converged[self.rows], self.stalled[self.rows] = done, stuck
        return ~(done | stuck)

    def keep(self, at_work: Tensor) -> None:
        """Forget the samples that are finished."""
        self.rows = self.rows[at_work]
        self.smallest, self.since = self.smallest[at_work], self.since[at_work]


def _checked_options(
    lasso: Lasso, step_size: float | None, iterations: int | None, tol: float | None
) -> tuple[float, int]:
    """Return step and iterations, or refuse one of the options."""
    if iterations is None:
        iterations = 1000 if tol is None else 100_000
    check_count("iterations", iterations, least=0)
    if tol is not None:
        check_number("tol", tol)
        if not tol >= 0:
            raise ValueError(f"tol is {tol}: expected a number >= 0, or None")
    if step_size is None:
        step_size = default_step_size(lasso.A)
    check_positive("step_size", step_size)
    return step_size, iterations


@torch.no_grad()
def proximal_gradient(
    lasso: Lasso,
    x: Tensor,
    step: Step,
    *,
    step_size: float | None,
    iterations: int | None,
    tol: float | None,
    keep_iterates: bool,
) -> LassoResult:
    """Repeat ``step``; let each sample rest once its gap is at most ``tol``."""
    step_size, iterations = _checked_options(lasso, step_size, iterations, tol)
    whole, solution, rest = lasso, x, _Rest(lasso, tol)
    r, g = lasso.residual(x)
    objective, iterates = [lasso.objective(x, r)], [x]
    for k in range(iterations + 1):
        at_work = rest.measure(lasso, x, r, g)
        if not at_work.all():
            solution = solution.index_put((rest.rows,), x)
            lasso, x, r, g = lasso[at_work], x[at_work], r[at_work], g[at_work]
            step.keep(at_work)
            rest.keep(at_work)
        if k == iterations or len(rest.rows) == 0:
            break
        x = step(x, torch.add(x, g, alpha=step_size), step_size * lasso.lam)
        r, g = lasso.residual(x)
        objective.append(objective[-1].index_put((rest.rows,), lasso.objective(x, r)))
        if keep_iterates:
            iterates.append(iterates[-1].index_put((rest.rows,), x))
    rest.gap[rest.rows] = lasso.gap(x, r, g)
    _refuse_overflow(whole, x, step_size)
    _say_stalled(rest, x.dtype)
    return LassoResult(
        x=solution.index_put((rest.rows,), x),
        objective=torch.stack(objective),
        gap=rest.gap,
        lam=whole.lam[:, 0],
        converged=rest.converged,
        stalled=rest.stalled,
        iterations=k,
        iterates=torch.stack(iterates) if keep_iterates else None,
    )


def _say_stalled(rest: _Rest, dtype: torch.dtype) -> None:
    """Warn that a tolerance is out of reach of the dtype."""
    if rest.stalled.any():
        warnings.warn(
            f"rounding ends {int(rest.stalled.sum())} of {len(rest.gap)} samples at a "
            f"gap of up to {rest.gap[rest.stalled].max().item():.2g}: tol = {rest.tol} "
            f"is more than {dtype} can certify here; expected a larger tol, or float64",
            stacklevel=5,
        )


def _refuse_overflow(lasso: Lasso, x: Tensor, step_size: float) -> None:
    """Refuse to return codes that a step beyond ``2 / ||A||_2^2`` made infinite."""
    if not x.isfinite().all():
        most = 2 * default_step_size(lasso.A)
        raise FloatingPointError(
            f"the code overflows with step_size {step_size:.4g}: expected less than "
            f"2 / ||A||_2^2 = {most:.4g}"
        )
