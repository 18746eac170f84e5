"""ADMM-Net: ADMM with filters, a shrinkage function and weights of its own a stage."""

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unroll._checks import check_count, check_positive
from unroll.images.base import (
    UnrolledImages,
    convolution,
    filtered,
    numbers,
    scale_of,
)
from unroll.images.solve import regularised_solve
from unroll.networks.positive import Positive
from unroll.operators import Operator

__all__ = ["ADMMNet", "PiecewiseLinear"]


class PiecewiseLinear(nn.Module):
    r"""A learned function of one variable for each channel, linear between its nodes.

    .. math:: S(v) = (1 - w) \, q_i + w \, q_{i+1}, \qquad
              i + w = \tfrac12 (v + 1) (\text{nodes} - 1)

    The nodes are even over [-1, 1]; beyond them the function is constant. It starts as
    ``clip(v, -theta, theta)``, which is ``v`` less its soft threshold. Yang, Sun, Li
    and Xu 2016, NeurIPS, eq. (11), who go on with slope 1 beyond the nodes.

    Args:
        channels: Functions.
        theta: Threshold that it starts with, positive; exact where it is a node.
        nodes: How many, at least 2.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If ``nodes`` is below 2, ``channels`` below 1, or ``theta`` not
            positive.

    Example:
        >>> S = PiecewiseLinear(1, theta=0.5, nodes=5)
        >>> S(torch.tensor([[-2.0, 0.25, 0.75]])[:, None]).flatten().detach()
        tensor([-0.5000,  0.2500,  0.5000])
    """

    def __init__(self, channels: int, theta: float, nodes: int = 101) -> None:
        super().__init__()
        check_count("channels", channels, least=1)
        check_count("nodes", nodes, least=2)
        check_positive("theta", theta)
        grid = torch.linspace(-1, 1, nodes).clamp(-theta, theta)
        self.values = nn.Parameter(grid.repeat(channels, 1))

    def forward(self, v: Tensor) -> Tensor:
        """Return the functions' values.

        Args:
            v: Arguments. Shape ``(batch, channels, ...)``.

        Returns:
            Values. Shape ``(batch, channels, ...)``.
        """
        last = self.values.shape[1] - 1
        at = (v.clamp(-1, 1) + 1) * (last / 2)
        low = at.detach().floor().clamp(max=last - 1)
        flat = low.long().transpose(0, 1).flatten(1)
        shape = v.transpose(0, 1).shape
        left = self.values.gather(1, flat).reshape(shape).transpose(0, 1)
        right = self.values.gather(1, flat + 1).reshape(shape).transpose(0, 1)
        return torch.lerp(left, right, at - low)


class _Layer(nn.Module):
    """One stage: ``rho``, ``eta``, and the filters and function of ``z``."""

    def __init__(
        self, rho: float, analysis: nn.Module, S: nn.Module, synthesis: nn.Module
    ) -> None:
        super().__init__()
        self.analysis, self.S, self.synthesis = analysis, S, synthesis
        like = next(analysis.parameters())
        self.rho = Positive(like.new_tensor(rho))
        self.eta = nn.Parameter(like.new_tensor(1.0))

    def forward(
        self,
        state: tuple[Tensor, Tensor],
        b: Tensor,
        A: Operator,
        tol: float,
        iterations: int,
    ) -> tuple[Tensor, Tensor]:
        """Return the next image and multiplier."""
        x, u = state
        z = filtered(self.prox, (x + u)[None])[0]
        u = u + self.eta * (x - z)
        rho = self.rho()
        rhs = A.adjoint(b) + rho * (z - u)
        return regularised_solve(A, rhs, rho, tol=tol, iterations=iterations), u

    def prox(self, v: Tensor) -> Tensor:
        """Return ``z`` of real images."""
        return v - self.synthesis(self.S(self.analysis(v)))


class ADMMNet(UnrolledImages):
    r"""ADMM whose shrinkage is learned, with parameters of its own for every stage.

    .. math:: x_0 &= (A^* A + \rho_0)^{-1} A^* b, \qquad u_0 = 0, \\
              z_k &= v - H_k(S_k(D_k(v))), \quad v = x_k + u_k, \qquad
              u_{k+1} = u_k + \eta_k (x_k - z_k), \\
              x_{k+1} &= (A^* A + \rho_k)^{-1} (A^* b + \rho_k (z_k - u_{k+1}))

    Yang, Sun, Li and Xu 2016, NeurIPS, and 2020, IEEE Trans. Pattern Anal. Mach.
    Intell. 42(3) (ADMM-CSNet), with one step of the inner problem. ``D`` and ``H`` are
    convolutions, ``S`` is :class:`PiecewiseLinear`, and all have a proximal map in
    their place: with that of ``lam R``, ``theta = lam / rho``, the network is ADMM. It
    starts at the map of total variation (of both directions apart), by one step on its
    dual: ``D`` are the differences of neighbours, ``H`` their adjoint over 8, and ``S``
    cuts at ``8 theta``; with the pixel for a filter and ``S`` cut at ``theta`` it would
    be that of the l1 norm. The paper has parameters for every stage, the public PyTorch
    release shares them over the stages: that is ``tied``. Differs: the system is solved
    by conjugate gradients for any operator (of a mask or Fourier samples in two of
    them), and beyond its nodes ``S`` is constant.

    Args:
        A: Operator on images.
        depth: Stages; the release has 10.
        channels: Filters, at least 2; the release has 128.
        lam: Weight of total variation that it starts with, positive. Images are in 0 to
            1.
        rho: Where ``rho`` starts, positive; None is 0.1 ``||A||^2``, the release's for
            an operator of norm 1.
        tied: Whether all stages share their parameters.
        tol: Relative residual of the system at which a sample rests.
        iterations: Of conjugate gradients at most.
        generator: Draws the filters, on the device of ``A``; None is torch's global
            one.

    Raises:
        TypeError: If ``A`` is no operator, or a count not an int.
        ValueError: If ``A`` does not act on images or is zero, a number is not
            positive, or ``channels`` below 2.

    Example:
        >>> from unroll.operators import Mask
        >>> A = Mask.random((16, 16), 0.5)
        >>> net = ADMMNet(A, depth=3, channels=4)
        >>> net(A(torch.rand(2, 1, 16, 16))).shape
        torch.Size([2, 1, 16, 16])
    """

    settings: ClassVar[tuple[str, ...]] = ("tol", "iterations")

    def __init__(  # noqa: PLR0913 - a network, its start, and the solve inside
        self,
        A: Operator,
        depth: int = 10,
        *,
        channels: int = 8,
        lam: float = 0.004,
        rho: float | None = None,
        tied: bool = False,
        tol: float = 1e-6,
        iterations: int = 100,
        generator: torch.Generator | None = None,
    ) -> None:
        check_count("channels", channels, least=2)
        check_count("iterations", iterations, least=1)
        check_positive("tol", tol)
        check_positive("lam", lam)
        rho = 0.1 * scale_of(A) if rho is None else rho
        check_positive("rho", rho)
        like = numbers(A)
        conv = partial(convolution, kernel=5, like=like, generator=generator)

        def stage() -> nn.Module:
            D, H = conv(1, channels), conv(channels, 1)
            _start_at_differences(D, H)
            S = PiecewiseLinear(channels, 8 * lam / rho).to(like)
            return _Layer(rho, D, S, H)

        super().__init__(A, depth, stage, tied=tied)
        self.tol, self.iterations = tol, iterations

    def start(self, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least-squares image near 0, and the multiplier 0."""
        layer: Any = self._layer(0)
        x, rho = self.A.adjoint(b), layer.rho()
        x = regularised_solve(self.A, x, rho, tol=self.tol, iterations=self.iterations)
        return x, torch.zeros_like(x)

    def given(self, b: Tensor, k: int) -> tuple:
        """Return the measurements, the operator, and when the solve ends."""
        return b, self.A, self.tol, self.iterations


@torch.no_grad()
def _start_at_differences(D: nn.Conv2d, H: nn.Conv2d) -> None:
    """Make two filters those of total variation, and the others unheard in ``z``."""
    D.weight[:2] = 0
    D.weight[:2, 0, 2, 2] = -1
    D.weight[0, 0, 3, 2] = D.weight[1, 0, 2, 3] = 1
    nn.init.zeros_(H.weight)
    H.weight[0, :2] = D.weight[:2, 0].flip(-2, -1) / 8
