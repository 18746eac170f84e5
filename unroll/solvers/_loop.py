"""The one loop of the solvers: who rests, what is noted, and when it ends."""

import warnings
from typing import Protocol

import torch
from torch import Tensor

from unroll._checks import check_count, check_number, check_positive
from unroll.penalties.base import Penalty
from unroll.solvers._lasso import Lasso, LassoResult, largest_eigenvalue


class Step(Protocol):
    """One iteration of a method, with whatever the method remembers per sample."""

    def __call__(self, lasso: Lasso, x: Tensor, r: Tensor, g: Tensor) -> Tensor:
        """Return the next iterate from ``x``, ``r = b - A x`` and ``g = A^* r``."""

    def keep(self, rows: Tensor) -> None:
        """Forget the samples that are finished."""

    def reason(self, lasso: Lasso) -> str:
        """Return why iterates may overflow, and what is expected."""


class GradientStep:
    """What ISTA and FISTA share: a gradient step, then the proximal map."""

    def __init__(self, lasso: Lasso, step_size: float | None) -> None:
        if step_size is None:
            step_size = 1 / largest_eigenvalue(lasso.A)
        check_positive("step_size", step_size)
        self.step_size = step_size

    def descend(self, x: Tensor, g: Tensor) -> Tensor:
        """Return ``w = x + t A^* (b - A x)``."""
        return torch.add(x, g, alpha=self.step_size)

    def shrink(self, lasso: Lasso, w: Tensor) -> Tensor:
        """Return the proximal point of ``t lam R`` at ``w``."""
        return lasso.penalty.prox(w, self.step_size * lasso.lam)

    def reason(self, lasso: Lasso) -> str:
        """Blame the step."""
        return (
            f"with step_size {self.step_size:.4g}: expected less than "
            f"2 / ||A||_2^2 = {2 / largest_eigenvalue(lasso.A):.4g}"
        )


class _Rest:
    """Who is still at work, and who is finished: gap at most ``tol``, or rounding."""

    PATIENCE = 100  # iterations without a new smallest gap, where rounding reigns

    def __init__(self, lasso: Lasso, tol: float | None) -> None:
        self.tol, batch = tol, len(lasso.b)
        self.rows = torch.arange(batch, device=lasso.b.device)  # still at work
        self.gap = torch.zeros_like(lasso.lam.flatten())
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
            size = torch.linalg.vector_norm(lasso.b.flatten(1), dim=1)
            l1 = x.abs().flatten(1).sum(dim=1)
            rounding = torch.finfo(x.dtype).eps * size * (size + l1)
            stuck &= self.since > self.PATIENCE * (gap / rounding) ** 2
        self.gap[self.rows] = gap
        self.converged[self.rows], self.stalled[self.rows] = done, stuck
        return ~(done | stuck)

    def keep(self, at_work: Tensor) -> None:
        """Forget the samples that are finished."""
        self.rows = self.rows[at_work]
        self.smallest, self.since = self.smallest[at_work], self.since[at_work]


def _checked_options(
    penalty: Penalty, iterations: int | None, tol: float | None
) -> int:
    """Return how many iterations to do at most, or refuse one of the options."""
    if iterations is None:
        iterations = 1000 if tol is None else 100_000
    check_count("iterations", iterations, least=0)
    if tol is not None:
        check_number("tol", tol)
        if not tol >= 0:
            raise ValueError(f"tol is {tol}: expected a number >= 0, or None")
        if not penalty.has_polar:
            kind = type(penalty).__name__
            raise ValueError(
                f"tol is {tol} but there is no duality gap with penalty {kind}: "
                "expected tol=None, and a number of iterations"
            )
    return iterations


@torch.no_grad()
def iterate(
    lasso: Lasso,
    x: Tensor,
    step: Step,
    *,
    iterations: int | None,
    tol: float | None,
    keep_iterates: bool,
) -> LassoResult:
    """Repeat ``step``; let each sample rest once its gap is at most ``tol``."""
    iterations = _checked_options(lasso.penalty, iterations, tol)
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
        x = step(lasso, x, r, g)
        r, g = lasso.residual(x)
        objective.append(objective[-1].index_put((rest.rows,), lasso.objective(x, r)))
        if keep_iterates:
            iterates.append(iterates[-1].index_put((rest.rows,), x))
    rest.gap[rest.rows] = lasso.gap(x, r, g)
    if not x.isfinite().all():
        raise FloatingPointError(f"the code overflows {step.reason(whole)}")
    _say_stalled(rest, x.dtype)
    return LassoResult(
        x=solution.index_put((rest.rows,), x),
        objective=torch.stack(objective),
        gap=rest.gap,
        lam=whole.lam.flatten(),
        converged=rest.converged,
        stalled=rest.stalled,
        iterations=k,
        iterates=torch.stack(iterates) if keep_iterates else None,
    )


def _say_stalled(rest: _Rest, dtype: torch.dtype) -> None:
    """Warn that a tolerance is out of reach of the dtype."""
    if rest.stalled.any():
        wider = "" if dtype == torch.float64 else ", or float64"
        warnings.warn(
            f"rounding ends {int(rest.stalled.sum())} of {len(rest.gap)} samples at a "
            f"gap of up to {rest.gap[rest.stalled].max().item():.2g}: tol = {rest.tol} "
            f"is more than {dtype} can certify here; expected a larger tol{wider}",
            stacklevel=5,
        )
