"""Active sets: solve for the atoms that are in use, and for nothing else.

At the solution most atoms are idle. On those in use, with known signs, the Lasso is a
linear system of their Gram block; which they are follows from the last guess. A path of
falling weights keeps every guess near the truth. The whole batch goes along together,
its blocks padded to one size.
"""

import math
from functools import cached_property

import torch
from torch import Tensor

from unroll._checks import check_positive
from unroll.solvers._lasso import Lasso, LassoResult
from unroll.solvers.fista import fista

__all__ = ["active_set"]

_RATIO = 0.6  # of a weight on the path to the one before
_SLOWER = 0.775  # the same, where samples that cycle go again
_FINE = 1e-8  # a gap below it asks for systems solved in the dtype of the data
_MORE = 6  # guesses at the last weight
_WORK = 2**17  # entries of the Gram blocks that are factorised together


class _Gram:
    """The Gram matrix, with idle rows of the identity to pad blocks with."""

    def __init__(self, G: Tensor, most: int) -> None:
        self.n, self.most, self.G = len(G), min(most, len(G)), G
        self.size = self.n + self.most
        padded = torch.eye(self.size, dtype=G.dtype, device=G.device)
        padded[: self.n, : self.n] = G
        self.entries = padded.flatten()
        index = torch.int32 if self.size**2 < 2**31 else torch.int64  # half to read
        self.idle = torch.arange(self.n, self.size, dtype=index, device=G.device)
        self.room = self.idle[:0], self.entries[:0]

    def solve(self, rhs: Tensor, active: Tensor) -> Tensor:
        """Return ``z``, 0 off the active set, with ``G z = rhs`` on it; NaN if none."""
        counts, order = active.sum(dim=1).sort(descending=True)
        ends = counts.cumsum(dim=0)
        row, atom = active[order].nonzero(as_tuple=True)
        place = torch.arange(len(row), device=row.device) - (ends - counts)[row]
        where = (order[row], atom)
        known = rhs[where].to(self.G.dtype)
        found, sizes = torch.empty_like(known), counts.tolist()
        start, first = 0, 0
        while start < len(sizes) and sizes[start]:
            stop = min(len(sizes), start + max(8, _WORK // sizes[start] ** 2))
            last = first + sum(sizes[start:stop])
            part, at = slice(first, last), (row[first:last] - start, place[first:last])
            index = self.idle[: sizes[start]].repeat(stop - start, 1)
            index[at] = atom[part].to(index.dtype)
            b = known.new_zeros(index.shape)
            b[at] = known[part]
            found[part] = self._block(index, b)[at]
            start, first = stop, last
        return torch.zeros_like(rhs).index_put_(where, found.to(rhs.dtype))

    def _block(self, index: Tensor, b: Tensor) -> Tensor:
        """Solve one system a row, all in the same memory: new pages are dear."""
        shape = (*index.shape, index.shape[1])
        if len(self.room[0]) < math.prod(shape):
            flat, block = (part.new_empty(math.prod(shape)) for part in self.room)
            self.room = flat, block
        flat, block = (part[: math.prod(shape)] for part in self.room)
        row = index[:, :, None] * self.size
        torch.add(row, index[:, None, :], out=flat.view(shape))
        torch.index_select(self.entries, 0, flat, out=block)
        G, failed = block.view(shape).mT, self.idle.new_empty(len(b)).int()
        torch.linalg.cholesky_ex(G, out=(G, failed))  # its factor in its place
        z = torch.cholesky_solve(b[:, :, None], G)[:, :, 0]
        return z.masked_fill_((failed > 0)[:, None], float("nan"))


@torch.no_grad()
def active_set(
    A: Tensor,
    b: Tensor,
    lam: float | Tensor,
    *,
    tol: float = 1e-6,
    keep_iterates: bool = False,
) -> LassoResult:
    r"""Minimise the Lasso by guessing the active set along a path of weights.

    .. math:: F(x) &= \tfrac12 \|b - A x\|^2 + \lambda \|x\|_1, \qquad
              S_k = \{ i : |d_i x_{k,i} + a_i^T (b - A x_k)| > \lambda_k \}, \\
              x_{k+1} &= (A_S^T A_S)^{-1} (A_S^T b - \lambda_{k+1} s) \text{ on } S_k,
              \; 0 \text{ elsewhere}

    with ``d_i = ||a_i||^2`` and ``s`` the signs of what is compared: an atom leaves the
    set when its entry changes sign, and enters when its correlation passes the weight.
    The primal-dual active set method with continuation of Fan, Jiao and Lu 2014, SIAM
    J. Matrix Anal. Appl. 35(3): a semismooth Newton method, so few guesses suffice
    when the path ends, at ``lambda_k = lam``. On the way there all is computed in
    float32, the objective too, which is enough to guess by. At ``lam`` only the change
    of ``x`` is solved for in float32, and what it is compared with is not, so that the
    next guess mends the rounding of the last. The guesses may cycle, where the active
    set is nearly as large as m or atoms are equal: such samples go again, slower and in
    the dtype of the data, and what cycles then is finished by :func:`fista`, so that
    the duality gap is a certificate as always. For small active sets it is faster than
    FISTA, see the benchmark of classical solvers; where the guesses end, the last one
    solves its equations. With ``tol`` below 1e-8 nothing is done in float32.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        b: Measurements, one sample per row. Shape ``(batch, m)``.
        lam: Weight of the l1 norm, positive; a number, or one per sample. Shape ``()``
            or ``(batch,)``.
        tol: Duality gap to reach, for every sample, positive.
        keep_iterates: Whether to keep every guess.

    Returns:
        Solution, objective after every guess and duality gap, as :class:`LassoResult`.

    Raises:
        TypeError: If a tensor is not floating-point, or dtypes differ.
        ValueError: If shapes do not fit, the batch is empty, an entry is NaN or
            infinite, devices differ, or ``lam`` or ``tol`` is not positive.

    Example:
        >>> import torch
        >>> A = torch.tensor([[1.0, 1.0], [0.0, 1.0]])
        >>> result = active_set(A, torch.tensor([[2.0, 1.0]]), lam=0.1)
        >>> result.x, bool(result.converged)
        (tensor([[0.9000, 1.0000]]), True)
    """
    check_positive("tol", tol)
    lasso = Lasso.checked(A, b, lam)
    if not (lasso.lam > 0).all():
        raise ValueError("lam is 0: expected a positive weight, or fista")
    return _follow(A, lasso, tol, keep_iterates, again=False)


def _follow(
    A: Tensor, lasso: Lasso, tol: float, keep: bool, *, again: bool
) -> LassoResult:
    """Go down the path of weights, a guess at each; ``again`` is slower and exact."""
    run = _Path(A, lasso, tol, keep, again=again)
    while run.guesses < run.most and len(run.rows):
        run.guess()
    return run.finish()


class _Path:
    """The samples on their way, and what is known of those that have arrived."""

    def __init__(
        self, A: Tensor, lasso: Lasso, tol: float, keep: bool, *, again: bool
    ) -> None:
        self.whole, self.tol, self.again, self.guesses = lasso, tol, again, 0
        self.whole_A, self.ratio = A, _SLOWER if again else _RATIO
        self.solution, g = lasso.start(None), lasso.adjoint(lasso.b)
        self.gap = lasso.gap(self.solution, lasso.b, g)
        self.objective = [lasso.objective(self.solution, lasso.b)]
        self.iterates: list[Tensor] | None = [self.solution] if keep else None
        busy = self.gap > tol
        self.rows, self.exact, self.most = busy.nonzero()[:, 0], lasso[busy], 0
        self.x, self.b, self.G = self.solution[busy], g[busy], A.T @ A
        self.g, self.rough = self.b, True
        narrow = g.dtype if again or tol < _FINE else _narrow(self.G, g)
        self.gram = _Gram(self.G.to(narrow), max(1, len(A) - len(A) // 40))
        if len(self.rows):
            largest = self.b.abs().amax(dim=1, keepdim=True)
            steps = (self.exact.lam / largest).log().min().item() / math.log(self.ratio)
            self.most = _MORE + max(0, math.ceil(steps))
            self.weight = self.ratio * largest
            self._turn(narrow)

    def _turn(self, kind: torch.dtype) -> None:
        """Compute in ``kind`` from here on."""
        b, lam, self.A = self.exact.b, self.exact.lam, self.whole_A.to(kind)
        self.lasso = Lasso(self.A, b.to(kind), lam.to(kind))
        self.weight = torch.maximum(self.weight.to(kind), self.lasso.lam)
        self.b, self.x = self.b.to(kind), self.x.to(kind)
        self.r, self.u = torch.empty_like(self.lasso.b), torch.empty_like(self.x)
        self.g = self.g.to(kind, copy=True)
        self.squares = self.G.diagonal().to(kind)

    def guess(self) -> None:
        """Go one weight further with the set that the last one suggests."""
        first = self.rough
        if self.rough and not (self.weight > self.lasso.lam).all():
            self.rough = False
            self._turn(self.gap.dtype)
        u = torch.addcmul(self.g, self.squares, self.x, out=self.u)
        active = (u > self.weight).logical_or_(u < -self.weight)
        if (active.sum(dim=1) > self.gram.most).any():
            size = u.abs()
            active &= size >= size.topk(self.gram.most, dim=1).values[:, -1:]
        self.weight = torch.maximum(self.ratio * self.weight, self.lasso.lam)
        if first:
            rhs = torch.addcmul(self.b, self.weight, u.sign_(), value=-1, out=u)
            self.x = self._solve(rhs, active)
        else:  # the change alone: the next guess mends what float32 does to it
            rhs = torch.addcmul(self.g, self.weight, u.sign_(), value=-1, out=u)
            rhs += self.x.masked_fill(active, 0).to(self.gram.G.dtype) @ self.gram.G
            self.x = self.x.masked_fill_(~active, 0).add_(self._solve(rhs, active))
        A, wide = self.A, self.gap.dtype
        torch.addmm(self.lasso.b, self.x, A.T, alpha=-1, out=self.r)
        torch.mm(self.r, A, out=self.g)
        norm, l1 = (
            torch.linalg.vector_norm(part, order, dim=1, dtype=wide)
            for part, order in ((self.r, 2), (self.x, 1))
        )
        F = 0.5 * norm**2 + self.exact.lam[:, 0] * l1
        self.objective.append(self.objective[-1].index_put((self.rows,), F))
        if self.iterates is not None:
            x = self.x.to(wide)
            self.iterates.append(self.solution.index_put((self.rows,), x))
        self.guesses += 1
        if not self.rough:
            self._arrive()

    @cached_property
    def exact_gram(self) -> _Gram:
        """The blocks in the dtype of the data."""
        return _Gram(self.G, self.gram.most)

    def _solve(self, rhs: Tensor, active: Tensor) -> Tensor:
        """Solve in float32, in float64 what that cannot; 0 where nothing solves."""
        z = self.gram.solve(rhs, active)
        failed = ~z.sum(dim=1).isfinite()
        if failed.any():
            some = rhs[failed].to(self.G.dtype), active[failed]
            z[failed] = self.exact_gram.solve(*some).to(z.dtype)
            z.masked_fill_(~z.isfinite().all(dim=1, keepdim=True), 0)
        return z

    def _arrive(self) -> None:
        """Let samples whose gap is small enough rest."""
        self.gap[self.rows] = self.lasso.gap(self.x, self.r, self.g)
        done = self.gap[self.rows] <= self.tol
        if done.any():
            self.solution = self.solution.index_put((self.rows[done],), self.x[done])
            left = ~done
            self.rows, self.lasso = self.rows[left], self.lasso[left]
            self.exact = self.lasso
            self.x, self.g, self.weight = self.x[left], self.g[left], self.weight[left]
            self.r, self.u = self.r[: len(self.rows)], self.u[: len(self.rows)]

    def finish(self) -> LassoResult:
        """Return the solutions; who cycles goes again and slower, or by FISTA."""
        converged = torch.ones_like(self.gap, dtype=torch.bool)
        stalled, rows = ~converged, self.rows
        if len(rows):
            rest = self._rest()
            if self.iterates is not None and rest.iterates is not None:
                at = (rows,)
                self.iterates += [
                    self.solution.index_put(at, x) for x in rest.iterates[1:]
                ]
            self.solution = self.solution.index_put((rows,), rest.x)
            self.gap[rows] = rest.gap
            converged[rows], stalled[rows] = rest.converged, rest.stalled
            last = self.objective[-1]
            self.objective += [last.index_put((rows,), F) for F in rest.objective[1:]]
        return LassoResult(
            x=self.solution,
            objective=torch.stack(self.objective),
            gap=self.gap,
            lam=self.whole.lam[:, 0],
            converged=converged,
            stalled=stalled,
            iterations=len(self.objective) - 1,
            iterates=None if self.iterates is None else torch.stack(self.iterates),
        )

    def _rest(self) -> LassoResult:
        """Solve for the samples whose guesses have not ended."""
        keep = self.iterates is not None
        if not self.again:
            return _follow(self.A, self.lasso, self.tol, keep, again=True)
        good = self.objective[-1][self.rows] < self.objective[0][self.rows]
        return fista(
            self.lasso.A,
            self.lasso.b,
            self.lasso.lam,
            tol=self.tol,
            x0=torch.where(good[:, None], self.x, 0.0),
            keep_iterates=keep,
            restart=True,
        )


def _narrow(G: Tensor, g: Tensor) -> torch.dtype:
    """Return float32, or the dtype that is there where float32 has not the range."""
    largest = torch.stack([G.abs().max(), g.abs().max()])
    fits = ((largest > 1e-12) & (largest < 1e12)).all()
    return torch.float32 if fits else G.dtype
