"""A blur: every pixel is mixed with its neighbours."""

import torch
from torch import Tensor

from unroll._checks import check_count, check_positive
from unroll.operators._circular import check_kernels, image_of, spectrum, transfer
from unroll.operators._given import check_given
from unroll.operators.base import Operator

__all__ = ["Blur"]


class Blur(Operator):
    r"""Convolve every channel with one kernel, the image repeated at its borders.

    .. math:: b_{ij} = \sum_{pq} k_{pq} \, x_{i - p,\, j - q}, \qquad
              A^* b = \mathcal F^{-1} (\overline{\hat k} \, \hat b)

    with the indices of ``x`` modulo height and width and those of ``k`` counted from
    its centre. By the Fourier transform, which diagonalises it: Hansen, Nagy and
    O'Leary 2006, Deblurring Images, chapter 4.

    Args:
        kernel: Kernel; its centre is ``[k // 2, l // 2]``. Shape ``(k, l)``.
        size: Height and width of the images, no smaller than the kernel.

    Raises:
        TypeError: If ``kernel`` is not a real floating-point tensor.
        ValueError: If ``kernel`` is not a finite matrix, requires gradients, or exceeds
            the images; if ``size`` is not two positive ints.

    Example:
        >>> A = Blur(torch.tensor([[0.0, 0.5, 0.5]]), size=(1, 4))  # half one further
        >>> A(torch.tensor([[[1.0, 0.0, 0.0, 0.0]]]))
        tensor([[[0.5000, 0.5000, 0.0000, 0.0000]]])
    """

    kernel: Tensor

    def __init__(self, kernel: Tensor, size: tuple[int, int]) -> None:
        check_kernels("kernel", kernel, size, axes=2)
        super().__init__(size)
        self.size = size
        self.register_buffer("kernel", kernel.clone())

    @classmethod
    def gaussian(cls, std: float, size: tuple[int, int], *, radius: int = 4) -> "Blur":
        """Blur with a Gaussian kernel of sum 1, in torch's default dtype.

        Args:
            std: Standard deviation in pixels.
            size: Height and width of the images.
            radius: Of the kernel, which has ``2 radius + 1`` pixels a side.

        Returns:
            The operator.

        Raises:
            TypeError: If ``radius`` is not an int.
            ValueError: If ``std`` is not positive, ``radius`` negative, or the kernel
                exceeds the images.

        Example:
            >>> Blur.gaussian(1.5, (32, 32)).kernel.shape
            torch.Size([9, 9])
        """
        check_positive("std", std)
        check_count("radius", radius, least=0)
        places = torch.arange(-radius, radius + 1, dtype=torch.get_default_dtype())
        profile = torch.exp(-(places**2) / (2 * std**2))
        profile /= profile.sum()
        return cls(torch.outer(profile, profile), size)

    def forward(self, x: Tensor) -> Tensor:
        """Return blurred images.

        Args:
            x: Images. Shape ``(..., height, width)``.

        Returns:
            Images. Shape ``(..., height, width)``.
        """
        check_given("x", x, self.domain, self.kernel)
        full = x.is_complex()
        k = transfer(self.kernel, self.size, full)
        return image_of(k * spectrum(x), self.size, full)

    def adjoint(self, b: Tensor) -> Tensor:
        """Return images blurred with the kernel turned by 180 degrees.

        Args:
            b: Images. Shape ``(..., height, width)``.

        Returns:
            Images. Shape ``(..., height, width)``.
        """
        check_given("b", b, self.domain, self.kernel)
        full = b.is_complex()
        k = transfer(self.kernel, self.size, full)
        return image_of(k.conj() * spectrum(b), self.size, full)

    def norm(
        self, *, tol: float = 1e-3, generator: torch.Generator | None = None
    ) -> float:
        """Return the largest modulus of the kernel's Fourier transform.

        Args:
            tol: Not needed.
            generator: Not needed.

        Returns:
            The norm.
        """
        return transfer(self.kernel, self.size, full=False).abs().max().item()
