"""Learned layers with a certificate: a network starts, FISTA finishes.

A trained network is fast on what it was trained on, and promises nothing elsewhere. A
duality gap is a proof, whatever produced the point. So: take the best iterate of the
network, sample by sample, and let a convergent method go on from there.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unroll._checks import check_count, check_dictionary, check_positive
from unroll.networks.base import Unrolled
from unroll.solvers import LassoResult, fista

__all__ = ["SafeguardResult", "SafeguardedSolver", "safeguard"]


@dataclass(frozen=True)
class SafeguardResult:
    """A certified solution, and what the network contributed.

    Args:
        lasso: The solution, its objective and its duality gap.
        start_layer: Layer whose iterate the solver went on from; 0 is the zero code,
            when no layer was better. Shape ``(batch,)``.
        cold_iterations: Iterations that the same solver needs from zero; None unless
            measured.
        saved: Share of those iterations that was saved, the layers counted as
            iterations; negative where the network cost more than it gave. None unless
            measured.
    """

    lasso: LassoResult
    start_layer: Tensor
    cold_iterations: int | None
    saved: float | None


@dataclass(frozen=True)
class SafeguardedSolver:
    """A network and the Lasso it is held to; call it with measurements.

    Args:
        net: Network, trained for the dictionary.
        A: Dictionary of the Lasso. Shape ``(m, n)``.
        lam: Weight of the l1 norm.
        tol: Duality gap to reach, for every sample.
        iterations: Iterations of FISTA at most.
    """

    net: Unrolled
    A: Tensor
    lam: float
    tol: float
    iterations: int

    @torch.no_grad()
    def __call__(self, b: Tensor, *, measure: bool = False) -> SafeguardResult:
        """Solve the Lasso for a batch.

        Args:
            b: Measurements. Shape ``(batch, m)``.
            measure: Whether to solve from zero too, to tell what was saved.

        Returns:
            Solution and savings, as :class:`SafeguardResult`.
        """
        iterates = self.net.iterates(b)
        objective = self._objective(iterates, b).nan_to_num(nan=float("inf"))
        layer = objective.argmin(dim=0)  # x_0 = 0 is among them, and finite
        x0 = iterates[layer, torch.arange(len(b), device=b.device)]
        warm = self._finish(b, x0)
        if not measure:
            return SafeguardResult(warm, layer, None, None)
        cold = self._finish(b, None).iterations
        spent = self.net.depth + warm.iterations
        return SafeguardResult(warm, layer, cold, 1 - spent / max(cold, 1))

    def _finish(self, b: Tensor, x0: Tensor | None) -> LassoResult:
        """Go on until the gap of every sample is at most ``tol``."""
        most, tol = self.iterations, self.tol
        return fista(self.A, b, self.lam, x0=x0, iterations=most, tol=tol, restart=True)

    def _objective(self, x: Tensor, b: Tensor) -> Tensor:
        """Return ``1/2 |b - A x|^2 + lam |x|_1`` as ``(depth + 1, batch)``."""
        r = b - x @ self.A.T
        return 0.5 * r.square().sum(dim=-1) + self.lam * x.abs().sum(dim=-1)


def safeguard(
    net: Unrolled,
    A: Tensor,
    lam: float,
    tol: float = 1e-6,
    *,
    iterations: int = 100_000,
) -> SafeguardedSolver:
    r"""Turn a network into a solver that fails nowhere.

    .. math:: \min_x \tfrac12 \|b - A x\|^2 + \lambda \|x\|_1

    For every sample the iterate of least objective among those of the network, the zero
    code included, is the start of FISTA with restarts, which runs until its duality gap
    is at most ``tol``. Convergence is FISTA's, in and out of distribution, for a
    network that is untrained, wrong, or overflows. The idea of a learned step that is
    kept only if it helps: Heaton, Chen, Wang and Yin 2023, AAAI (Safeguarded learned
    convex optimization), who test every layer; we test once, at the end.

    Args:
        net: Network, for measurements of the size of ``b``.
        A: Dictionary of the Lasso; it may differ from that of the network. Shape
            ``(m, n)``.
        lam: Weight of the l1 norm, positive.
        tol: Duality gap to reach, for every sample, positive. In float32 gaps below
            about 1e-5 of the objective are lost to rounding.
        iterations: Iterations of FISTA at most.

    Returns:
        The solver: ``solver(b)`` returns a :class:`SafeguardResult`.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor, or ``iterations`` not an
            int.
        ValueError: If ``A`` is not a finite, non-zero matrix of the network's shape, or
            a number is not positive.

    Example:
        >>> from unroll import LISTA
        >>> A = torch.tensor([[1.0, 0.6], [0.0, 0.8]])
        >>> solver = safeguard(LISTA(A, depth=3), A, lam=0.1)
        >>> result = solver(torch.tensor([[1.0, 1.0]]), measure=True)
        >>> bool(result.lasso.converged.all())
        True
    """
    check_dictionary(A)
    if A.shape != net.A.shape:
        raise ValueError(
            f"A has shape {tuple(A.shape)} but that of net {tuple(net.A.shape)}: "
            "expected the same shape"
        )
    check_positive("lam", lam)
    check_positive("tol", tol)
    check_count("iterations", iterations, least=1)
    return SafeguardedSolver(net, A, lam, tol, iterations)
