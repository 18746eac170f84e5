"""What the networks on images share: an operator in the place of the matrix."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from unroll._checks import check_finite, traced
from unroll.networks.base import Unrolled
from unroll.operators import Operator

__all__ = ["UnrolledImages", "convolution", "filtered", "numbers", "scale_of"]


class UnrolledImages(Unrolled):
    """``depth`` steps of an algorithm on images behind an operator.

    Its layers are given the state, ``b`` and the operator. Whatever stands before the
    last two axes of an image, a batch, colours, the maps of a dictionary, is treated
    image by image, and so are the real and the imaginary part of a complex one.
    """

    A: Operator  # type: ignore[assignment]

    def __init__(
        self,
        A: Operator,
        depth: int,
        layer: Callable[[], nn.Module],
        *,
        tied: bool = False,
    ) -> None:
        super().__init__(A, depth, layer, tied=tied)  # type: ignore[arg-type]

    def _keep(self, A: Operator) -> None:  # type: ignore[override]
        """Take a copy of the operator, or refuse it."""
        check_operator(A)
        self.A = deepcopy(A)

    def _zero(self, b: Tensor) -> Tensor:
        """Return the image 0 of every sample."""
        return torch.zeros_like(self.A.adjoint(b))

    def _checked_start(self, b: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the first state of a batch, or refuse the batch."""
        if not torch.compiler.is_compiling():
            _check_measurements(b, next(self.layers.parameters()))
        return self.start(b)


def check_operator(A: Operator) -> None:
    """Refuse what does not act on images."""
    if not isinstance(A, Operator):
        raise TypeError(
            f"A is of type {type(A).__name__}: expected an Operator, as Blur, or "
            "Matrix(A, size) of a matrix"
        )
    if len(A.domain) < 2:
        raise ValueError(
            f"A has the domain {A.domain}: expected images, (height, width)"
        )


def scale_of(A: Operator) -> float:
    """Return ``||A||_2^2``, or refuse an operator without one."""
    check_operator(A)
    norm = A.norm()
    if not norm > 0:
        raise ValueError("A has norm 0: expected an operator that is not zero")
    return norm**2


def numbers(A: Operator) -> Tensor:
    """Return a real tensor of the dtype and on the device of an operator."""
    check_operator(A)
    return A.zeros().real


def convolution(
    few: int,
    many: int,
    kernel: int,
    like: Tensor,
    generator: torch.Generator | None,
    *,
    bias: bool = False,
) -> nn.Conv2d:
    """Return a convolution that keeps the size, its filters drawn, its bias 0.

    The filters are normal, of the variance of Glorot and Bengio 2010.
    """
    conv = nn.utils.skip_init(
        nn.Conv2d,
        few,
        many,
        kernel,
        padding=kernel // 2,
        bias=bias,
        dtype=like.dtype,
        device=like.device,
    )
    nn.init.xavier_normal_(conv.weight, generator=generator)
    if bias:
        nn.init.zeros_(conv.bias)
    return conv


def filtered(net: Callable[[Tensor], Tensor], parts: Tensor) -> Tensor:
    """Apply a network to channels that stand on the first axis.

    Args:
        net: From ``(images, channels, height, width)`` to the same with others.
        parts: Images; real and imaginary part are treated alike. Shape
            ``(channels, ..., height, width)``.

    Returns:
        Images. Shape ``(others, ..., height, width)``.
    """
    if parts.is_complex():
        return torch.complex(filtered(net, parts.real), filtered(net, parts.imag))
    lead = parts.shape[1:-2]
    out = net(parts.flatten(1, -3).transpose(0, 1))
    return out.transpose(0, 1).unflatten(1, lead)


def _check_measurements(b: Tensor, like: Tensor) -> None:
    """Refuse what no network takes; the adjoint of the operator refuses the rest."""
    if not isinstance(b, Tensor):
        raise TypeError(f"b is of type {type(b).__name__}: expected a torch.Tensor")
    if b.dtype not in (like.dtype, like.dtype.to_complex()):
        raise TypeError(
            f"b has dtype {b.dtype} but the network has {like.dtype}: expected the "
            "same dtype, or a complex one of its precision"
        )
    if b.device != like.device:
        raise ValueError(
            f"b is on {b.device} but the network is on {like.device}: expected the "
            "same device"
        )
    if b.ndim < 2 or b.shape[0] == 0:
        raise ValueError(
            f"b has shape {tuple(b.shape)}: expected a batch of at least one"
        )
    if not traced(b):
        check_finite("b", b)
