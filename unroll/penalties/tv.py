"""Total variation: an image is flat but for its edges."""

import torch
from torch import Tensor

from unroll._checks import check_count, check_positive
from unroll.operators.gradient import Gradient
from unroll.penalties.base import Penalty
from unroll.penalties.group_l21 import GroupL21

__all__ = ["TV"]


class TV(Penalty):
    r"""Total variation, isotropic: the summed lengths of an image's gradient.

    .. math:: R(x) = \sum_{ij} \|(K x)_{ij}\|_2, \qquad
              \mathrm{prox}_{\theta R}(v) = v - \theta K^* p, \qquad
              p = \arg\min_{\|p_{ij}\|_2 \le 1} \tfrac12 \|v - \theta K^* p\|^2

    with ``K`` of :class:`~unroll.operators.Gradient`. Rudin, Osher and Fatemi 1992,
    Physica D 60. The proximal map has no closed form; the dual problem is solved by
    FISTA with restarts: Chambolle 2004, J. Math. Imaging Vis. 20; Beck and Teboulle
    2009, IEEE Trans. Image Process. 18(11), algorithm "FGP". With
    ``x = v - theta K* p``, primal less dual objective is
    ``gap = theta R(x) - Re <x, theta K* p>``, and ``||x - prox||^2 <= 2 gap``. A sample
    rests when its gap is at most ``tol ||v||^2``, and ``tol`` counts as no less than
    the dtype resolves.

    The polar is not computed: solvers that are given no ``tol`` take this penalty, and
    their gap is NaN. ``primal_dual`` and ``admm`` need no proximal map of it.

    Args:
        tol: Relative gap of the proximal map.
        iterations: Of the dual problem at most.

    Raises:
        TypeError: If ``iterations`` is not an int.
        ValueError: If ``tol`` or ``iterations`` is not positive, or samples are no
            images.

    Example:
        >>> step = torch.tensor([[[[0.0, 0.0, 1.0, 1.0]]]])
        >>> TV().prox(step, 0.2)  # an edge loses height on both sides
        tensor([[[[0.1000, 0.1000, 0.9000, 0.9000]]]])
    """

    has_polar = False
    analysis = Gradient()
    outer = GroupL21(2)

    def __init__(self, tol: float = 1e-8, iterations: int = 1000) -> None:
        check_positive("tol", tol)
        check_count("iterations", iterations, least=1)
        self.tol, self.iterations = tol, iterations

    def value(self, x: Tensor) -> Tensor:
        """Return the summed lengths of the gradient."""
        return self.outer.value(self.analysis(_images(x)))

    @torch.no_grad()
    def prox(self, v: Tensor, theta: float | Tensor) -> Tensor:
        """Return the denoised images; without gradients."""
        theta = torch.as_tensor(theta, dtype=v.real.dtype, device=v.device)
        theta = theta.expand(len(v), *[1] * (_images(v).ndim - 1))
        tol = max(self.tol, torch.finfo(theta.dtype).eps)
        enough = tol * torch.linalg.vector_norm(v.flatten(1), dim=1) ** 2
        rows, solution = torch.arange(len(v), device=v.device), v.clone()
        p, x, t = self.analysis(torch.zeros_like(v)), v, torch.ones_like(theta)
        p_last, x_last, beta = p, x, torch.zeros_like(theta)
        for k in range(self.iterations + 1):
            solution[rows] = x
            work = self._gap(x, p, theta) > enough
            if not work.all():
                state = rows, v, theta, enough, t, beta, p, p_last, x, x_last
                rows, v, theta, enough, t, beta, *pairs = (s[work] for s in state)
                p, p_last, x, x_last = pairs
            if k == self.iterations or not len(rows):
                break
            # The gradient step at the extrapolated p, where x is extrapolated alike.
            z = p + beta[..., None] * (p - p_last)
            slopes = self.analysis(x + beta * (x - x_last))
            ahead = z + slopes / (8 * theta[..., None])
            p_last, x_last = p, x
            p = ahead / torch.linalg.vector_norm(ahead, dim=-1)[..., None].clamp(min=1)
            x = v - theta * self.analysis.adjoint(p)
            uphill = ((z - p).conj() * (p - p_last)).real.flatten(1).sum(dim=1) > 0
            t_next = (1 + (1 + 4 * t**2).sqrt()) / 2
            onward = ~uphill.reshape(t.shape)
            t, beta = t_next.where(onward, 1.0), ((t - 1) / t_next).where(onward, 0.0)
        return solution

    def _gap(self, x: Tensor, p: Tensor, theta: Tensor) -> Tensor:
        """Return primal less dual objective of the proximal map."""
        slopes = self.analysis(x)
        paid = (slopes.conj() * p).real.flatten(1).sum(dim=1)
        return theta.flatten() * (self.outer.value(slopes) - paid)

    def polar(self, u: Tensor) -> Tensor:
        """Return NaN: not computed."""
        return u.new_full(u.shape[:1], float("nan"), dtype=u.real.dtype)


def _images(x: Tensor) -> Tensor:
    """Refuse samples that are no images."""
    if x.ndim < 3:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: expected (batch, ..., height, width)"
        )
    return x
