"""Learned primal-dual: Chambolle and Pock's method with networks for its updates."""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from unroll._checks import check_count
from unroll.images.base import (
    UnrolledImages,
    convolution,
    filtered,
    numbers,
    scale_of,
)
from unroll.operators import Operator

__all__ = ["LearnedPrimalDual"]

State = tuple[Tensor, Tensor, Tensor]


class _Layer(nn.Module):
    """One iteration: the networks ``dual`` and ``primal``."""

    def __init__(self, dual: nn.Module, primal: nn.Module) -> None:
        super().__init__()
        self.dual, self.primal = dual, primal

    def forward(self, state: State, b: Tensor, A: Operator, norm: float) -> State:
        """Return the next image, and the memories of image and data."""
        _, p, d = state
        seen = torch.cat((d, A(p[1])[None] / norm, b[None] / norm))
        if b.ndim < p.ndim - 1:  # a list of numbers, of no height
            d = d + filtered(self.dual, seen.unsqueeze(-2)).squeeze(-2)
        else:
            d = d + filtered(self.dual, seen)
        p = p + filtered(self.primal, torch.cat((p, A.adjoint(d[:1]) / norm)))
        return p[0], p, d


class LearnedPrimalDual(UnrolledImages):
    r"""The primal-dual method with networks in the place of its proximal maps.

    .. math:: d_{k+1} &= d_k + \Gamma_k\bigl(d_k, \tfrac{1}{\|A\|} A p_k^{(2)},
              \tfrac{1}{\|A\|} b\bigr), \\
              p_{k+1} &= p_k + \Lambda_k\bigl(p_k,
              \tfrac{1}{\|A\|} A^* d_{k+1}^{(1)}\bigr), \qquad x_k = p_k^{(1)}

    ``p`` and ``d`` are memories of several images and several measurements, which start
    at 0. ``Gamma`` and ``Lambda`` are three convolutions of 3 x 3 with PReLUs between.
    Adler and Oektem 2018, IEEE Trans. Med. Imaging 37(6), algorithm 3. With linear
    updates it is the method of Chambolle and Pock for a quadratic problem, where ``p``
    holds ``x`` and its extrapolation; before training it is that of least squares, with
    steps of 1. Measurements that are a list, of a mask or of Fourier samples, have no
    neighbours: there the filters of ``Gamma`` are 1 x 1.

    Args:
        A: Operator on images.
        depth: Iterations; the paper has 10.
        channels: Of the convolutions inside, at least 4; the paper has 32.
        memory: Images in ``p``, and measurements in ``d``, at least 2; the paper has 5.
        generator: Draws the filters, on the device of ``A``; None is torch's global
            one.

    Raises:
        TypeError: If ``A`` is no operator, or a count not an int.
        ValueError: If ``A`` does not act on images or is zero, ``depth`` is not
            positive, ``channels`` below 4, or ``memory`` below 2.

    Example:
        >>> from unroll.operators import Ray
        >>> A = Ray((16, 16), angles=5)
        >>> net = LearnedPrimalDual(A, depth=3, channels=4)
        >>> net(A(torch.rand(2, 1, 16, 16))).shape
        torch.Size([2, 1, 16, 16])
    """

    settings: ClassVar[tuple[str, ...]] = ("memory", "norm")
    must_agree: ClassVar[tuple[str, ...]] = ("network", "depth", "memory")

    def __init__(
        self,
        A: Operator,
        depth: int = 10,
        *,
        channels: int = 16,
        memory: int = 5,
        generator: torch.Generator | None = None,
    ) -> None:
        check_count("channels", channels, least=4)
        check_count("memory", memory, least=2)
        norm, x = scale_of(A) ** 0.5, A.zeros()
        conv = partial(convolution, like=numbers(A), generator=generator, bias=True)
        beside = 1 if A(x).ndim < x.ndim else 3

        def updates(seen: int, kernel: int, way: list[list[float]]) -> nn.Module:
            sizes = (seen, channels, channels, memory)
            pairs = zip(sizes, sizes[1:], strict=False)
            first, middle, last = (conv(*pair, kernel) for pair in pairs)
            between = [nn.PReLU(channels).to(numbers(A)) for _ in range(2)]
            _start_linear((first, middle, last), numbers(A).new_tensor(way))
            return nn.Sequential(first, between[0], middle, between[1], last)

        def layer() -> nn.Module:
            rest = [0.0] * (memory - 2)
            dual = [[-0.5, 0.0, *rest, 0.5, -0.5]]  # (A x_bar - b - q) / 2
            primal = [[0.0, 0.0, *rest, -1.0], [1.0, -1.0, *rest, -2.0]]
            return _Layer(
                updates(memory + 2, beside, dual), updates(memory + 1, 3, primal)
            )

        super().__init__(A, depth, layer)
        self.memory, self.norm = memory, norm

    def start(self, b: Tensor) -> State:
        """Return the image 0, and empty memories."""
        x = self._zero(b)
        p, d = (
            torch.zeros_like(t).expand(self.memory, *t.shape) for t in (x, self.A(x))
        )
        return x, p, d

    def given(self, b: Tensor, k: int) -> tuple:
        """Return the measurements, the operator and its norm."""
        return b, self.A, self.norm


@torch.no_grad()
def _start_linear(convs: tuple[nn.Conv2d, ...], way: Tensor) -> None:
    """Make the first outputs of three convolutions a linear map of what is seen.

    A number passes a PReLU of slope 1/4 as ``(f(v) - f(-v)) / (1 + 1/4)``. The channels
    beside begin as they were drawn, and are not heard in these outputs.
    """
    one = torch.eye(len(way)).to(way)
    split, joined = torch.cat((one, -one)), torch.cat((one, -one), dim=1) / 1.25
    for conv, weight in zip(convs, (split @ way, split @ joined, joined), strict=True):
        rows, columns = weight.shape
        centre = conv.kernel_size[0] // 2
        conv.weight[:rows] = 0
        conv.weight[:rows, :columns, centre, centre] = weight
