"""GLISTA and AGLISTA: gates against codes that come out too small."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from unroll.networks.analytic import Analytic
from unroll.networks.base import Unrolled
from unroll.networks.initial import gradient_step, start_lam, support_counts
from unroll.networks.positive import Positive
from unroll.prox import support_select

__all__ = ["AGLISTA", "GLISTA"]


class _Gates(nn.Module):
    """The gain and overshoot gates of one layer: ``gain``, ``decay``, ``overshoot``."""

    epsilon = 0.01

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.gain = nn.Parameter(like.new_tensor(0.0))
        self.decay = Positive(like.new_tensor(1.0))
        self.overshoot = nn.Parameter(like.new_tensor(0.0))

    def before(self, x: Tensor, theta: Tensor) -> Tensor:
        """Return ``x`` enlarged where it is small: the threshold made it smaller."""
        return x + theta * self.gain * torch.exp(-self.decay() * x.abs()) * x

    def after(self, x: Tensor, x_next: Tensor) -> Tensor:
        """Return ``x_next`` moved on, by about the same length in every entry."""
        move = x_next - x
        return x_next + self.overshoot * move / (move.abs() + self.epsilon)


class _AnalyticLayer(_Gates):
    """One layer of AGLISTA: ``gamma``, ``theta`` and the gates."""

    def __init__(self, gamma: Tensor, theta: Tensor) -> None:
        super().__init__(gamma)
        self.gamma = Positive(gamma)
        self.theta = Positive(theta)

    def forward(self, x: Tensor, b: Tensor, A: Tensor, W: Tensor, keep: int) -> Tensor:
        """Return the next code."""
        theta = self.theta()
        r = torch.addmm(b, self.before(x, theta), A.T, alpha=-1)  # (batch, m)
        x_next = support_select(x + self.gamma() * (r @ W), theta, keep)
        return self.after(x, x_next)


class _LearnedLayer(_Gates):
    """One layer of GLISTA: ``W``, ``theta`` and the gates."""

    def __init__(self, A: Tensor, step: float, lam: float) -> None:
        super().__init__(A)
        self.W = nn.Parameter(step * A)  # (m, n)
        self.theta = Positive(A.new_tensor(step * lam))

    def forward(self, x: Tensor, b: Tensor, A: Tensor, keep: int) -> Tensor:
        """Return the next code."""
        theta = self.theta()
        gained = self.before(x, theta)
        r = torch.addmm(b, gained, A.T, alpha=-1)  # (batch, m)
        x_next = support_select(torch.addmm(gained, r, self.W), theta, keep)
        return self.after(x, x_next)


class AGLISTA(Analytic):
    r"""ALISTA with gates: an enlarged input, an extrapolated output.

    .. math:: g_k &= 1 + \theta_k \mu_k e^{-\nu_k |x_k|}, \\
              \tilde x_k &= \eta^{\mathrm{keep}_k}_{\theta_k}
              \left( x_k + \gamma_k W^T (b - A (g_k \odot x_k)) \right), \\
              x_{k+1} &= \tilde x_k + \frac{a_k (\tilde x_k - x_k)}
              {|\tilde x_k - x_k| + \epsilon}

    Wu, Guo, Li and Zhang 2020, ICLR (gated LISTA), with the analytic weight. The
    literature has several gates; these are the ones that Behrens, Sauder and Jung 2021
    (NA-ALISTA) measure under this name, with ``epsilon = 0.01``. Parent: ALISTA, which
    it equals at every depth before training, because the gates start closed: ``mu = a =
    0``. The layers call ``mu`` gain, ``nu`` decay and ``a`` overshoot.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1.
        keep: As in :class:`ALISTA`.
        weight: The matrix ``W``; None is the analytic one. Shape ``(m, n)``.

    Raises:
        TypeError: As :class:`ALISTA`.
        ValueError: As :class:`ALISTA`.

    Example:
        >>> net = AGLISTA(torch.eye(2), depth=1, lam=1.0, keep=0)
        >>> net(torch.tensor([[3.0, 0.5]]))
        tensor([[2., 0.]], grad_fn=<AddBackward0>)
    """

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        lam: float | None = None,
        keep: int | Sequence[int] | None = None,
        weight: Tensor | None = None,
    ) -> None:
        super().__init__(A, depth, _AnalyticLayer, lam=lam, keep=keep, weight=weight)


class GLISTA(Unrolled):
    r"""LISTA-CPSS with gates: an enlarged input, an extrapolated output.

    .. math:: g_k &= 1 + \theta_k \mu_k e^{-\nu_k |x_k|}, \qquad z_k = g_k \odot x_k, \\
              \tilde x_k &= \eta^{\mathrm{keep}_k}_{\theta_k}
              \left( z_k + W_k^T (b - A z_k) \right), \\
              x_{k+1} &= \tilde x_k + \frac{a_k (\tilde x_k - x_k)}
              {|\tilde x_k - x_k| + \epsilon}

    Wu, Guo, Li and Zhang 2020, ICLR, who observe that LISTA's codes come out too small
    and enlarge them (gain gate), and that its steps come out too short (overshoot
    gate). Of their gates we took the exponential gain and the inverse-proportional
    overshoot, the latter as in :class:`AGLISTA`. Parent: LISTA-CPSS, which it equals at
    every depth before training, because the gates start closed; ISTA for ``keep=0``.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1 times the
            mean squared norm of the atoms.
        keep: As in :class:`LISTACPSS`.

    Raises:
        TypeError: As :class:`LISTACPSS`.
        ValueError: As :class:`LISTACPSS`.

    Example:
        >>> net = GLISTA(torch.eye(2), depth=1, lam=1.0, keep=0)
        >>> net(torch.tensor([[3.0, 0.5]]))
        tensor([[2., 0.]], grad_fn=<AddBackward0>)
    """

    settings: ClassVar[tuple[str, ...]] = ("lam", "keep")

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        lam: float | None = None,
        keep: int | Sequence[int] | None = None,
    ) -> None:
        lam = start_lam(lam, A)
        step = gradient_step(A)
        super().__init__(A, depth, lambda: _LearnedLayer(A, step, lam))
        self.lam, self.keep = lam, support_counts(A, depth, keep)

    def given(self, b: Tensor, k: int) -> tuple:
        """Return the measurements, the dictionary and the count of layer ``k``."""
        return b, self.A, self.keep[k]
