"""The Lasso, its duality gap, and the loop that the proximal gradient methods share.

Every solver minimises, for each row ``b`` of a batch,

    F(x) = 1/2 ||b - A x||^2 + lam ||x||_1.

scikit-learn divides the data term by the number of rows m: its ``Lasso(alpha)`` with
``fit_intercept=False`` is this problem with ``lam = m * alpha``.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from unroll._checks import (
    check_batch,
    check_count,
    check_dictionary,
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
    the second being ``lam ||x||_1 - s x^T g``. It is rounded to about ``eps ||b||^2``:
    a ``tol`` below that (1e-7 ``||b||^2`` in float32) may never be reached. With
    ``lam = 0`` the only such point is 0 (unless ``g = 0``) and the gap is
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
        iterations: Iterations done (by the sample that needed most).
        iterates: Every iterate, the start included; None unless asked for. Shape
            ``(iterations + 1, batch, n)``.
    """

    x: Tensor
    objective: Tensor
    gap: Tensor
    lam: Tensor
    converged: Tensor
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
        return cls(A, b, column_of_lam(lam, b))

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
    if iterations is None:
        iterations = 1000 if tol is None else 100_000
    check_count("iterations", iterations, least=0)
    if tol is not None and not tol >= 0:
        raise ValueError(f"tol is {tol}: expected a number >= 0, or None")
    if step_size is None:
        step_size = default_step_size(lasso.A)
    check_positive("step_size", step_size)

    whole, solution = lasso, x
    rows = torch.arange(len(x), device=x.device)  # the samples still at work
    gap, converged = torch.zeros_like(lasso.lam[:, 0]), torch.zeros_like(rows).bool()
    r, g = lasso.residual(x)
    objective, iterates = [lasso.objective(x, r)], [x]
    for k in range(iterations + 1):
        if tol is not None:
            gap[rows] = lasso.gap(x, r, g)
            done = gap[rows] <= tol
            if done.any():
                converged[rows] = done
                solution = solution.index_put((rows,), x)
                rows, x, g, r, lasso = (part[~done] for part in (rows, x, g, r, lasso))
                step.keep(~done)
        if k == iterations or len(rows) == 0:
            break
        x = step(x, torch.add(x, g, alpha=step_size), step_size * lasso.lam)
        r, g = lasso.residual(x)
        objective.append(objective[-1].index_put((rows,), lasso.objective(x, r)))
        if keep_iterates:
            iterates.append(iterates[-1].index_put((rows,), x))
    gap[rows] = lasso.gap(x, r, g)
    return LassoResult(
        x=solution.index_put((rows,), x),
        objective=torch.stack(objective),
        gap=gap,
        lam=whole.lam[:, 0],
        converged=converged,
        iterations=k,
        iterates=torch.stack(iterates) if keep_iterates else None,
    )
