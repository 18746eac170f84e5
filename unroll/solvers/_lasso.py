"""The Lasso, its relatives with other penalties, and their duality gap.

Every solver minimises, for each row ``b`` of a batch,

    F(x) = 1/2 ||b - A x||^2 + lam ||x||_1,

or, with a penalty ``R`` that is not the l1 norm, the same with ``lam R(x)``.

scikit-learn divides the data term by the number of rows m: its ``Lasso(alpha)`` with
``fit_intercept=False`` is this problem with ``lam = m * alpha``.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from unroll._checks import (
    check_batch,
    check_dictionary,
    check_finite,
    column_of_lam,
)
from unroll.operators.base import Operator
from unroll.penalties.base import Penalty
from unroll.penalties.l1 import L1


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
    With another penalty ``R`` its value takes the place of the l1 norm, and its polar
    that of the maximum norm; where a penalty has no polar, as ``TV``, the gap is NaN.
    With ``lam = 0`` the only such point is 0 (unless ``g = 0``) and the gap is
    ``1/2 ||r||^2``: it certifies a solution of ``A x = b`` and nothing weaker.

    Args:
        x: Solution, in the domain of the operator if ``A`` is one. Shape
            ``(batch, n)``.
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


@dataclass(frozen=True)
class Lasso:
    """A checked batch of Lasso problems that share ``A``."""

    A: Tensor | Operator  # (m, n), where it is a matrix
    b: Tensor  # (batch, m)
    lam: Tensor  # (batch, 1), as many axes as x has
    penalty: Penalty = field(default_factory=L1)

    @classmethod
    def checked(cls, A: Tensor, b: Tensor, lam: float | Tensor) -> "Lasso":
        """Build it from what a user passed, or refuse; ``A`` is a matrix."""
        check_dictionary(A)
        check_batch("b", b, A, dim=0)
        _refuse_large(b)
        return cls(A, b, column_of_lam(lam, b, A.shape[1]))

    @classmethod
    def of(
        cls,
        A: Tensor | Operator,
        b: Tensor,
        lam: float | Tensor,
        penalty: Penalty | None,
    ) -> "Lasso":
        """Build it with a matrix or an operator, and any penalty, or refuse."""
        penalty = L1() if penalty is None else penalty
        if not isinstance(penalty, Penalty):
            kind = type(penalty).__name__
            raise TypeError(f"penalty is of type {kind}: expected a Penalty, as L1()")
        if not isinstance(A, Operator):
            return replace(cls.checked(A, b, lam), penalty=penalty)
        _check_measurements(b)
        x = A.adjoint(b)
        column = column_of_lam(lam, b.flatten(1).real, x[0].numel())
        return cls(A, b, column.reshape(-1, *[1] * (x.ndim - 1)), penalty)

    def start(self, x0: Tensor | None) -> Tensor:
        """Return the first iterate: a checked copy of ``x0``, or zeros."""
        if isinstance(self.A, Operator):
            zero = torch.zeros_like(self.A.adjoint(self.b))
            return zero if x0 is None else _checked_start(x0, zero)
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
        """Return ``r = b - A x``, like ``b``, and ``g = A^* r``, like ``x``."""
        if isinstance(self.A, Operator):
            r = self.b - self.A(x)
            return r, self.A.adjoint(r)
        r = torch.addmm(self.b, x, self.A.T, alpha=-1)
        return r, r @ self.A

    def gram(self, x: Tensor) -> Tensor:
        """Return ``A^* A x``."""
        if isinstance(self.A, Operator):
            return self.A.adjoint(self.A(x))
        return (x @ self.A.T) @ self.A

    def adjoint(self, b: Tensor) -> Tensor:
        """Return ``A^* b``."""
        return self.A.adjoint(b) if isinstance(self.A, Operator) else b @ self.A

    def objective(self, x: Tensor, r: Tensor) -> Tensor:
        """Return ``F(x)`` as ``(batch,)`` from the residual."""
        return 0.5 * dot(r, r) + self.lam.flatten() * self.penalty.value(x)

    def gap(self, x: Tensor, r: Tensor, g: Tensor) -> Tensor:
        """Return the duality gap as ``(batch,)``; formula in :class:`LassoResult`."""
        lam, largest = self.lam.flatten(), self.penalty.polar(g)
        s = torch.where(largest > lam, lam / largest, 1.0)
        quadratic = 0.5 * (1 - s) ** 2 * dot(r, r)
        linear = lam * self.penalty.value(x) - s * dot(x, g)
        gap = quadratic + linear.clamp(min=0)  # negative only by rounding
        return gap if self.penalty.has_polar else torch.full_like(gap, float("nan"))

    def __getitem__(self, rows: Tensor) -> "Lasso":
        """Return the problems of the given rows."""
        return Lasso(self.A, self.b[rows], self.lam[rows], self.penalty)


def dot(x: Tensor, y: Tensor) -> Tensor:
    """Return the real inner product of every sample, as ``(batch,)``."""
    return torch.linalg.vecdot(x.flatten(1), y.flatten(1)).real


def largest_eigenvalue(A: Tensor | Operator) -> float:
    """Return ``||A||_2^2``; of a matrix from the smaller Gram matrix."""
    if isinstance(A, Operator):
        norm = A.norm()
        if not norm > 0:
            raise ValueError("A has norm 0: expected an operator that is not zero")
        return norm**2
    m, n = A.shape
    gram = A @ A.T if m <= n else A.T @ A
    return torch.linalg.eigvalsh(gram)[-1].item()


def _check_measurements(b: Tensor) -> None:
    """Refuse what no operator measures; its adjoint refuses what it does not."""
    if not isinstance(b, Tensor):
        raise TypeError(f"b is of type {type(b).__name__}: expected a torch.Tensor")
    if b.ndim < 2 or b.shape[0] == 0:
        raise ValueError(
            f"b has shape {tuple(b.shape)}: expected a batch of at least one"
        )
    check_finite("b", b)
    _refuse_large(b)


def _refuse_large(b: Tensor) -> None:
    """Refuse measurements that no objective can be computed of."""
    if not dot(b, b).isfinite().all():
        raise ValueError(
            f"b is as large as {b.abs().max().item():.3g}, and its square overflows "
            f"{b.dtype}: expected smaller units, or float64"
        )


def _checked_start(x0: Tensor, zero: Tensor) -> Tensor:
    """Return a copy of a start in the domain of an operator, or refuse it."""
    if x0.shape != zero.shape or x0.dtype != zero.dtype or x0.device != zero.device:
        raise ValueError(
            f"x0 has shape {tuple(x0.shape)}, {x0.dtype} on {x0.device}: expected "
            f"{tuple(zero.shape)}, {zero.dtype} on {zero.device}, as A.adjoint(b)"
        )
    check_finite("x0", x0)
    return x0.clone()
