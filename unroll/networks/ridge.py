"""RidgeALISTA: the analytic weight with a ridge, one more learned number a layer."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from unroll._checks import check_positive
from unroll.networks.base import Unrolled
from unroll.networks.initial import gradient_step, start_lam, support_counts
from unroll.networks.positive import Positive
from unroll.prox import support_select
from unroll.weights import analytic_weight

__all__ = ["RidgeALISTA"]


class _Layer(nn.Module):
    """One layer: ``gamma``, ``theta``, ``ridge``."""

    def __init__(self, gamma: Tensor, lam: float, ridge: float) -> None:
        super().__init__()
        self.gamma = Positive(gamma)
        self.theta = Positive(gamma * lam)
        self.ridge = Positive(gamma.new_tensor(ridge))

    def forward(
        self, x: Tensor, b: Tensor, A: Tensor, U: Tensor, S: Tensor, keep: int
    ) -> Tensor:
        """Return the next code; ``A A^T = U diag(S) U^T``."""
        damping = 1 / (S + self.ridge())  # (m,)
        rows = U.T @ A  # (m, n)
        r = torch.addmm(b, x, A.T, alpha=-1)  # (batch, m)
        own = damping @ rows.square()  # (n,): a_i^T (A A^T + ridge)^-1 a_i
        move = ((r @ U) * damping) @ rows / own
        return support_select(x + self.gamma() * move, self.theta(), keep)


class RidgeALISTA(Unrolled):
    r"""ALISTA whose layers choose between little crosstalk and little noise.

    .. math:: x_{k+1} &= \eta^{\mathrm{keep}_k}_{\theta_k}
              \left( x_k + \gamma_k W_k^T (b - A x_k) \right), \\
              w_{k,i} &= \frac{(A A^T + \rho_k I)^{-1} a_i}
              {a_i^T (A A^T + \rho_k I)^{-1} a_i}

    The analytic weight picks up the least from other atoms, and pays with the noise
    that it lets through: for a Gaussian ``A`` with ``n = 2 m`` twice as much as ``W =
    A``, 3 dB, which the last layers of ALISTA cannot win back. The ridge ``rho_k``
    leads from one (0) to the other (infinity), and the layers learn where they need to
    be: small while the error is large, large at the end. Not in the literature in this
    form; the same trade-off is the linear minimum mean squared error filter of
    orthogonal AMP (Ma and Ping 2017, IEEE Access 5), whose ridge is the ratio of the
    variances of noise and error. Parent: ALISTA, which it tends to for ``ridge`` to 0;
    three numbers a layer.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1.
        keep: How many entries may pass: an int, or one per layer; None is 1.2 %
            of ``2 m`` (of n, if less) more per layer, at most 13 %, and 12 % in the
            last of less than ten layers; of more than ``4 m`` atoms more slowly, by
            ``sqrt(4 m / n)``.
        ridge: Where ``rho`` starts, a factor of the mean squared norm of the atoms.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor, or a count not an int.
        ValueError: If ``A`` is not a finite matrix with non-zero columns, ``depth``,
            ``lam`` or ``ridge`` is not positive, or ``keep`` is negative or not of
            length ``depth``.

    Example:
        >>> net = RidgeALISTA(torch.eye(2), depth=1, lam=1.0, keep=0, ridge=1.0)
        >>> net(torch.tensor([[3.0, 0.5]]))
        tensor([[2., 0.]], grad_fn=<SubBackward0>)
    """

    settings: ClassVar[tuple[str, ...]] = ("lam", "keep")
    S: Tensor
    U: Tensor

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        lam: float | None = None,
        keep: int | Sequence[int] | None = None,
        ridge: float = 0.1,
    ) -> None:
        lam = start_lam(lam, A, analytic_weight(A))
        check_positive("ridge", ridge)
        ridge *= float(f"{A.square().sum(dim=0).mean().item():.6g}")  # 1 for unit atoms
        step = gradient_step(A, analytic_weight(A, ridge=ridge))
        super().__init__(A, depth, lambda: _Layer(A.new_tensor(step), lam, ridge))
        S, U = torch.linalg.eigh(self.A @ self.A.T)
        self.register_buffer("S", S.clamp(min=0))
        self.register_buffer("U", U)
        self.lam, self.keep = lam, support_counts(A, depth, keep)

    def given(self, b: Tensor, k: int) -> tuple:
        """Return measurements, dictionary, its eigenbasis and the count of layer k."""
        return b, self.A, self.U, self.S, self.keep[k]
