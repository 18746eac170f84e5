"""ISTA-Net: ISTA whose sparse transform is learned."""

from collections.abc import Callable
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
from unroll.networks.positive import Positive
from unroll.operators import Operator
from unroll.prox import soft_threshold

__all__ = ["ISTANet"]


class _Layer(nn.Module):
    """One layer: ``rho``, ``theta``, ``F`` and ``back``, plus ``D`` and ``G``."""

    def __init__(
        self, step: Tensor, lam: float, conv: Callable, channels: int, plus: bool
    ) -> None:
        super().__init__()
        few = channels if plus else 1
        pairs = [conv(few, channels), conv(channels, channels)]
        pairs += [conv(channels, channels), conv(channels, few)]
        if not plus:
            _start_at_identity(*pairs[:2])
            _start_at_identity(*pairs[2:])
        self.F = nn.Sequential(pairs[0], nn.ReLU(), pairs[1])
        self.back = nn.Sequential(pairs[2], nn.ReLU(), pairs[3])
        self.plus = plus
        if plus:
            self.D, self.G = conv(1, channels), conv(channels, 1)
            nn.init.zeros_(self.G.weight)
        self.rho = Positive(step)
        self.theta = Positive(step * lam)

    def forward(self, x: Tensor, b: Tensor, A: Operator) -> Tensor:
        """Return the next image."""
        r = self.descend(x, b, A)
        return filtered(self.shrink, r[None])[0]

    def descend(self, x: Tensor, b: Tensor, A: Operator) -> Tensor:
        """Return ``r``, the gradient step."""
        return x + self.rho() * A.adjoint(b - A(x))

    def shrink(self, r: Tensor) -> Tensor:
        """Return real images with their coefficients shrunk."""
        theta = self.theta()
        if not self.plus:
            return self.back(soft_threshold(self.F(r), theta))
        return r + self.G(self.back(soft_threshold(self.F(self.D(r)), theta)))

    def unlike(self, r: Tensor) -> Tensor:
        """Return how far ``back(F(D r))`` is from ``D r``, squared and relative."""
        d = self.D(r) if self.plus else r
        off = self.back(self.F(d)) - d
        tiny = torch.finfo(d.dtype).tiny
        return off.square().sum() / (d.square().sum() + tiny)


@torch.no_grad()
def _start_at_identity(first: nn.Conv2d, second: nn.Conv2d) -> None:
    """Make channel 0 the identity: ``max(v, 0) - max(-v, 0)``, beside what there is.

    The other channels begin as they were drawn, but are not read by the last image.
    """
    first.weight[:2], second.weight[:1] = 0, 0
    first.weight[0, 0, 1, 1], first.weight[1, 0, 1, 1] = 1, -1
    second.weight[0, 0, 1, 1], second.weight[0, 1, 1, 1] = 1, -1


class ISTANet(UnrolledImages):
    r"""ISTA with a learned transform in the place of the basis, and its way back.

    .. math:: r_k &= x_k + \rho_k A^* (b - A x_k), \\
              x_{k+1} &= \tilde F_k(\eta_{\theta_k}(F_k(r_k))), \\
              \text{plus:} \quad x_{k+1} &= r_k +
              G_k(\tilde F_k(\eta_{\theta_k}(F_k(D_k r_k))))

    ``F`` and its way back are each two convolutions with a ReLU between, ``D`` and
    ``G`` one. Zhang and Ghanem 2018, CVPR; filters of 3 x 3 and no bias, as there. With
    ``F`` orthogonal and ``F~`` its inverse, the network is ISTA in that basis. Before
    training it is ISTA with the l1 norm of the pixels, and the plus variant, whose
    ``G`` starts at 0, is gradient descent: ISTA with ``lam = 0``. Differs: ``x_0`` is
    0, where the paper has a linear map that is fitted to training pairs.

    That ``F~`` undoes ``F`` is asked for in training: :class:`SymmetryLoss`.

    Args:
        A: Operator on images.
        depth: Layers; the paper has 9.
        channels: Of ``F``, at least 2; the paper has 32.
        plus: Whether ``r`` passes by, and only what is missing is learned.
        lam: Weight of the Lasso whose ISTA the network starts at; that of
            ``LassoCost``, too. Images are in 0 to 1.
        generator: Draws the filters, on the device of ``A``; None is torch's global
            one.

    Raises:
        TypeError: If ``A`` is no operator, or a count not an int.
        ValueError: If ``A`` does not act on images or is zero, ``depth`` or ``lam`` is
            not positive, or ``channels`` below 2.

    Example:
        >>> from unroll.operators import Blur
        >>> net = ISTANet(Blur.gaussian(1.0, (16, 16)), depth=3, channels=4, plus=True)
        >>> net(torch.rand(2, 1, 16, 16)).shape
        torch.Size([2, 1, 16, 16])
    """

    settings: ClassVar[tuple[str, ...]] = ("lam", "plus")
    must_agree: ClassVar[tuple[str, ...]] = ("network", "depth", "plus")

    def __init__(
        self,
        A: Operator,
        depth: int = 9,
        *,
        channels: int = 16,
        plus: bool = False,
        lam: float = 0.01,
        generator: torch.Generator | None = None,
    ) -> None:
        check_count("channels", channels, least=2)
        check_positive("lam", lam)
        step = numbers(A).new_tensor(1 / scale_of(A))
        conv = partial(convolution, kernel=3, like=numbers(A), generator=generator)
        super().__init__(A, depth, lambda: _Layer(step, lam, conv, channels, plus))
        self.lam, self.plus = float(lam), plus

    def symmetry(self, b: Tensor, iterates: Tensor) -> Tensor:
        r"""Return how far ``F~`` is from undoing ``F``, the mean over the layers.

        .. math:: \frac{1}{K} \sum_k \frac{\|\tilde F_k(F_k(D_k r_k)) - D_k r_k\|^2}
                  {\|D_k r_k\|^2}

        Zhang and Ghanem 2018, eq. (10), who do not divide; without ``D`` where it is
        not the plus variant.

        Args:
            b: Measurements. Shape ``(batch, ...)``.
            iterates: As :meth:`iterates` returns them for ``b``. Shape
                ``(iterates, batch, ...)``.

        Returns:
            The loss. Shape ``()``.
        """
        losses = []
        for k, x in enumerate(iterates[:-1]):
            layer: Any = self._layer(k)
            r = layer.descend(x, *self.given(b, k))
            parts = torch.cat((r.real, r.imag)) if r.is_complex() else r
            losses.append(layer.unlike(parts.flatten(0, -3)[:, None]))
        return torch.stack(losses).mean()
