r"""Weights that need no training, and the coherences by which they are judged.

One layer of a coupled network is ``x + W^T (b - A x)``. On the true code it leaves the
error ``(I - W^T A)(x - x*)``: columns with ``w_i^T a_i = 1`` do not touch an entry's
own error, and what they pick up from the others should be small. The three weights here
keep the first exactly and differ in what "small" means.
"""

import torch
from torch import Tensor

from unroll._checks import check_count, check_dictionary, check_finite, check_like

__all__ = [
    "analytic_weight",
    "coherence_weight",
    "generalized_coherence",
    "mutual_coherence",
    "symmetric_weight",
]


def analytic_weight(A: Tensor, *, ridge: float = 0.0) -> Tensor:
    r"""Minimise the energy of what atoms pick up from each other, in closed form.

    .. math:: \min_W \|W^T A\|_F^2 \;\text{ s.t. } w_i^T a_i = 1, \qquad
              w_i = \frac{(A A^T)^+ a_i}{a_i^T (A A^T)^+ a_i}

    The problem is that of ALISTA (Liu, Chen, Wang and Yin 2019, section 3), who solve
    it by projected gradient descent (appendix E.1). It separates into columns, each a
    quadratic with one linear constraint, whence the formula: the pseudo-inverse, ``W =
    (A^+)^T D`` with ``D`` diagonal. The closed form is not ours: Hauffen, Jung and
    Muecke 2022, arXiv 2209.14139, announce one for ALISTA and block-sparse codes in
    their abstract, and an earlier one stands in appendix E of the article
    doi:10.1137/21M1407902 (SIAM). A rank below m needs nothing special: every ``a_i``
    lies in the range of ``A A^T``.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        ridge: Weight of ``||W||_F^2``, added to the objective; damps what ``W`` makes
            of noise when ``A`` is ill-conditioned. ``A A^T + ridge I`` replaces ``A
            A^T``.

    Returns:
        Weight. Shape ``(m, n)``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor.
        ValueError: If ``A`` is not a finite matrix with non-zero columns, or ``ridge``
            is negative or not finite.

    Example:
        >>> A = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
        >>> W = analytic_weight(A)
        >>> W.T @ A
        tensor([[ 1.0000, -0.5000,  0.5000],
                [-0.5000,  1.0000,  0.5000],
                [ 0.5000,  0.5000,  1.0000]])
    """
    _check_columns(A)
    if not 0 <= ridge < float("inf"):
        raise ValueError(f"ridge is {ridge}: expected a finite number >= 0")
    square = A @ A.T
    square.diagonal().add_(ridge)
    factor, failed = torch.linalg.cholesky_ex(square)
    pivots = factor.diagonal()
    if not failed and pivots.min() > torch.finfo(A.dtype).eps ** 0.25 * pivots.max():
        W = torch.cholesky_solve(A, factor)
    elif ridge:
        W = torch.linalg.solve(square, A)
    else:  # (A A^T)^+ A, without squaring the condition of A
        W = torch.linalg.pinv(A).T
    return W / (W * A).sum(dim=0)


def coherence_weight(A: Tensor, *, iterations: int = 500) -> Tensor:
    r"""Minimise the largest pick-up instead of the energy, by iterations.

    .. math:: \min_W \max_{i \ne j} |w_i^T a_j| \;\text{ s.t. } w_i^T a_i = 1

    The definition of the generalised mutual coherence: Liu, Chen, Wang and Yin 2019
    (ALISTA), definition 1. There is no closed form: every column is a linear programme.
    All of them are solved together by ADMM on ``C = W^T A`` (Boyd et al. 2011, section
    3), whose steps are a least-squares fit and the proximal map of the maximum norm.
    Starts at :func:`analytic_weight` and returns the best column met, so it is never
    worse.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        iterations: Iterations of ADMM.

    Returns:
        Weight. Shape ``(m, n)``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``iterations`` not an int.
        ValueError: If ``A`` is not a finite matrix with non-zero columns, or
            ``iterations`` is negative.

    Example:
        >>> A = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
        >>> generalized_coherence(coherence_weight(A), A)
        tensor(0.5000)
    """
    check_count("iterations", iterations, least=0)
    best = analytic_weight(A)
    lowest = _pick_up(best, A)
    fit = torch.linalg.pinv(A)  # (n, m): C @ fit is the least-squares fit of W^T
    C = best.T @ A  # (n, n), row i belongs to w_i
    # The penalty 1 / radius: the scale of the answer sets the scale of the steps.
    radius = lowest.mean() * A.shape[1] ** 0.5 / 4
    U = torch.zeros_like(C)
    for _ in range(iterations):
        W = ((C - U) @ fit).T
        reached = W.T @ A
        own = reached.diagonal().clone()
        pick_up = reached.clone().fill_diagonal_(0).abs().amax(dim=1) / own.abs()
        W = W / own
        U += reached
        C = _prox_largest(U, radius).fill_diagonal_(1.0)
        U -= C
        better = pick_up < lowest
        best = torch.where(better, W, best)
        lowest = torch.where(better, pick_up, lowest)
    return best


def symmetric_weight(A: Tensor, *, iterations: int = 1000) -> Tensor:
    r"""Make the weight ``W = G^T G A``, so that ``W^T A`` is symmetric.

    .. math:: \min_G \|(G A)^T (G A)\|_F^2 \;\text{ s.t. } \|G a_i\| = 1

    HyperLISTA's weight (Chen, Liu, Wang and Yin 2021, section 3): ``G`` makes the atoms
    of ``G A`` as orthogonal as it can. With ``A = U S V^T`` and ``N = S U^T G^T G U S``
    this is the projection of 0 on two convex sets, the matrices with ``q_i^T N q_i =
    1`` (``q_i`` the columns of ``V^T``) and the positive semi-definite ones; found by
    Dykstra's algorithm. Its first step solves ``(P * P) d = 1``, ``P = A^+ A``, and is
    the answer in closed form, ``W = (A^+)^T diag(d) A^+ A``, whenever that is positive
    semi-definite: for Gaussian dictionaries it is.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        iterations: Iterations at most, after the closed form.

    Returns:
        Weight. Shape ``(m, n)``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``iterations`` not an int.
        ValueError: If ``A`` is not a finite matrix with non-zero columns, or no such
            weight is found; for atoms of norm 1 there is one, ``G = I`` at worst.

    Example:
        >>> A = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
        >>> C = symmetric_weight(A).T @ A
        >>> torch.allclose(C, C.T, atol=1e-6), torch.allclose(C.diag(), torch.ones(3))
        (True, True)
    """
    _check_columns(A)
    check_count("iterations", iterations, least=0)
    U, S, Q = torch.linalg.svd(A, full_matrices=False)  # Q is (rank, n)
    kept = S > S[0] * max(A.shape) * torch.finfo(A.dtype).eps
    U, S, Q = U[:, kept], S[kept], Q[kept]
    solve = torch.linalg.pinv((Q.T @ Q).square(), hermitian=True)
    tolerance = torch.finfo(A.dtype).eps ** 0.75

    def on_constraints(N: Tensor) -> Tensor:
        return N + (Q * (solve @ (1 - (Q * (N @ Q)).sum(dim=0)))) @ Q.T

    N, correction = on_constraints(torch.zeros_like(Q @ Q.T)), 0.0
    for _ in range(iterations + 1):
        values, vectors = torch.linalg.eigh(N + correction)
        semi_definite = (vectors * values.clamp(min=0)) @ vectors.T
        if (semi_definite - N).abs().max() < tolerance:
            break
        correction = N + correction - semi_definite
        N = on_constraints(semi_definite)
    off = ((Q * (N @ Q)).sum(dim=0) - 1).abs().max()
    if not off < tolerance**0.5 or torch.linalg.eigvalsh(N)[0] < -(tolerance**0.5):
        raise ValueError(
            f"A has {A.shape[1]} atoms in {len(S)} dimensions: no symmetric weight "
            "with unit diagonal was found; expected atoms of norm 1, all different"
        )
    return (U / S) @ N @ Q


def generalized_coherence(W: Tensor, A: Tensor) -> Tensor:
    r"""Measure the largest pick-up of a weight, ``max |w_i^T a_j|`` over ``i != j``.

    Liu, Chen, Wang and Yin 2019, definition 1, is its minimum over all ``W`` with
    ``w_i^T a_i = 1``. The smaller it is, the denser a code may be for the guarantees of
    ALISTA to hold.

    Args:
        W: Weight with ``w_i^T a_i = 1``. Shape ``(m, n)``.
        A: Dictionary. Shape ``(m, n)``.

    Returns:
        Coherence. Shape ``()``.

    Raises:
        TypeError: If a tensor is not floating-point, or dtypes differ.
        ValueError: If shapes or devices differ, or some ``w_i^T a_i`` is not 1.

    Example:
        >>> A = torch.tensor([[1.0, 0.6], [0.0, 0.8]])
        >>> generalized_coherence(A, A)
        tensor(0.6000)
    """
    _check_columns(A)
    check_like("W", W, "A", A)
    if W.shape != A.shape:
        raise ValueError(
            f"W has shape {tuple(W.shape)}: expected {tuple(A.shape)}, as A"
        )
    own = (W * A).sum(dim=0)
    worst = int((own - 1).abs().argmax())
    if not (own[worst] - 1).abs() < torch.finfo(A.dtype).eps ** 0.5:
        raise ValueError(
            f"W has w_i^T a_i = {own[worst].item():.4g} for i = {worst}: expected 1"
        )
    return _pick_up(W, A).max()


def mutual_coherence(A: Tensor) -> Tensor:
    """Measure the largest cosine between two atoms, in absolute value.

    Donoho and Huo 2001, IEEE Trans. Inf. Theory 47(7).

    Args:
        A: Dictionary; its columns need not have unit norm. Shape ``(m, n)``.

    Returns:
        Coherence, between 0 and 1. Shape ``()``.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor.
        ValueError: If ``A`` is not a finite matrix with non-zero columns.

    Example:
        >>> mutual_coherence(torch.tensor([[1.0, 3.0], [0.0, 4.0]]))
        tensor(0.6000)
    """
    _check_columns(A)
    unit = A / torch.linalg.vector_norm(A, dim=0)
    return _pick_up(unit, unit).max()


def _pick_up(W: Tensor, A: Tensor) -> Tensor:
    """Return ``max_{j != i} |w_i^T a_j|`` for every column of W, as ``(n,)``."""
    return (A.T @ W).fill_diagonal_(0).abs().amax(dim=0)


def _prox_largest(V: Tensor, radius: Tensor) -> Tensor:
    """Return the proximal map of ``radius * max_{j != i} |v_ij|`` in every row i.

    By Moreau's identity ``V`` less its projection on the l1 ball: clip at the level at
    which the clipped parts sum to ``radius``.
    """
    size = V.abs().fill_diagonal_(0).sort(dim=1, descending=True).values  # (n, n)
    count = torch.arange(1, len(V) + 1, dtype=V.dtype, device=V.device)
    levels = (size.cumsum(dim=1) - radius) / count
    level = levels.amax(dim=1, keepdim=True).clamp(min=0)
    return V.clamp(-level, level)


def _check_columns(A: Tensor) -> None:
    """Refuse what is not a dictionary, and atoms that are zero."""
    check_dictionary(A)
    zero = ~A.any(dim=0)
    if zero.any():
        index = int(zero.nonzero()[0])
        raise ValueError(f"A has a zero column {index}: expected non-zero atoms")


def check_weight(name: str, W: Tensor, A: Tensor) -> Tensor:
    """Return ``W``, or refuse a weight that does not fit ``A``."""
    _check_columns(A)
    check_like(name, W, "A", A)
    if W.shape != A.shape:
        raise ValueError(
            f"{name} has shape {tuple(W.shape)}: expected {tuple(A.shape)}, as A"
        )
    check_finite(name, W)
    return W
