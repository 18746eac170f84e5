"""MoDL: a learned denoiser, and the data by conjugate gradients."""

from functools import partial
from typing import ClassVar

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

__all__ = ["MoDL"]

_CONVOLUTIONS = 5


class _Layer(nn.Module):
    """The layer that is repeated: ``lam`` and the denoiser's ``residual``."""

    def __init__(self, lam: Tensor, residual: nn.Sequential) -> None:
        super().__init__()
        self.residual = residual
        self.lam = Positive(lam)

    def forward(
        self, x: Tensor, b: Tensor, A: Operator, tol: float, iterations: int
    ) -> Tensor:
        """Return the next image."""
        lam = self.lam()
        z = x + filtered(self.residual, x[None])[0]
        rhs = A.adjoint(b) + lam * z
        return regularised_solve(A, rhs, lam, tol=tol, iterations=iterations)


class MoDL(UnrolledImages):
    r"""Model-based deep learning: denoise, then fit the data, with one set of weights.

    .. math:: z_k = x_k + N(x_k), \qquad
              x_{k+1} = (A^* A + \lambda)^{-1} (A^* b + \lambda z_k)

    Aggarwal, Mani and Jacob 2019, IEEE Trans. Med. Imaging 38(2). The system is solved
    by conjugate gradients, with any operator, and the gradient goes through the
    solution, not the iterations (:func:`regularised_solve`). ``N`` is five convolutions
    of 3 x 3 with ReLUs between; all layers share it and ``lam``, so that a network may
    be run at another ``depth`` than it was trained at, and takes the weights of one of
    another depth: the paper trains one layer first. Before training ``N`` is 0 and the
    network is Tikhonov's regularisation, iterated. Differs: no batch normalisation, and
    ``x_0 = A^* b / ||A||^2``.

    Args:
        A: Operator on images.
        depth: Layers; the paper has 10.
        channels: Of the denoiser; the paper has 64.
        lam: Where ``lam`` starts, positive; None is 0.05 ``||A||^2``, the paper's for
            an operator of norm 1.
        tol: Relative residual of the system at which a sample rests.
        iterations: Of conjugate gradients at most.
        generator: Draws the filters, on the device of ``A``; None is torch's global
            one.

    Raises:
        TypeError: If ``A`` is no operator, or a count not an int.
        ValueError: If ``A`` does not act on images or is zero, or a number is not
            positive.

    Example:
        >>> from unroll.operators import FourierSample
        >>> A = FourierSample.random((16, 16), 0.25)
        >>> net = MoDL(A, depth=3, channels=4)
        >>> net(A(torch.rand(2, 1, 16, 16))).shape
        torch.Size([2, 1, 16, 16])
    """

    settings: ClassVar[tuple[str, ...]] = ("tol", "iterations", "scale")
    must_agree: ClassVar[tuple[str, ...]] = ("network",)

    def __init__(
        self,
        A: Operator,
        depth: int = 10,
        *,
        channels: int = 16,
        lam: float | None = None,
        tol: float = 1e-6,
        iterations: int = 100,
        generator: torch.Generator | None = None,
    ) -> None:
        check_count("channels", channels, least=1)
        check_count("iterations", iterations, least=1)
        check_positive("tol", tol)
        scale = scale_of(A)
        lam = 0.05 * scale if lam is None else lam
        check_positive("lam", lam)
        conv = partial(convolution, kernel=3, like=numbers(A), generator=generator)
        sizes = [1, *[channels] * (_CONVOLUTIONS - 1), 1]
        convs = [conv(*pair) for pair in zip(sizes, sizes[1:], strict=False)]
        nn.init.zeros_(convs[-1].weight)
        between: list[nn.Module] = []
        for each in convs:
            between += [each, nn.ReLU()]
        first, residual = numbers(A).new_tensor(lam), nn.Sequential(*between[:-1])
        super().__init__(A, depth, lambda: _Layer(first, residual), tied=True)
        self.tol, self.iterations, self.scale = tol, iterations, scale

    def start(self, b: Tensor) -> Tensor:
        """Return ``A^* b / ||A||^2``."""
        return self.A.adjoint(b) / self.scale

    def given(self, b: Tensor, k: int) -> tuple:
        """Return the measurements, the operator, and when the solve ends."""
        return b, self.A, self.tol, self.iterations
