"""A convolutional dictionary: an image is a sum of small atoms at many places."""

import torch
from torch import Tensor

from unroll.operators._circular import check_kernels, image_of, spectrum, transfer
from unroll.operators._given import check_given
from unroll.operators.base import Operator

__all__ = ["Convolution"]


class Convolution(Operator):
    r"""Sum the atoms of a dictionary, each convolved with a map of coefficients.

    .. math:: b = \sum_j d_j * x_j, \qquad
              (A^* b)_j = \mathcal F^{-1} (\overline{\hat d_j} \, \hat b)

    Circular, by the Fourier transform: the dictionary of convolutional sparse coding,
    Zeiler, Krishnan, Taylor and Fergus 2010, CVPR; Wohlberg 2016, IEEE Trans. Image
    Process. 25(1). A code has as many pixels as the image for each atom.

    Args:
        atoms: Atoms; the centre of each is ``[k // 2, l // 2]``. Shape
            ``(atoms, k, l)``.
        size: Height and width of the images, no smaller than the atoms.

    Raises:
        TypeError: If ``atoms`` is not a real floating-point tensor.
        ValueError: If ``atoms`` is not finite or not of three axes, requires gradients,
            or exceeds the images; if ``size`` is not two positive ints.

    Example:
        >>> A = Convolution(torch.randn(6, 5, 5), size=(16, 16))
        >>> b = A(torch.randn(2, 6, 16, 16))
        >>> b.shape, A.adjoint(b).shape
        (torch.Size([2, 1, 16, 16]), torch.Size([2, 6, 16, 16]))
    """

    atoms: Tensor

    def __init__(self, atoms: Tensor, size: tuple[int, int]) -> None:
        check_kernels("atoms", atoms, size, axes=3)
        super().__init__((len(atoms), *size))
        self.size = size
        self.register_buffer("atoms", atoms.clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return the images of codes.

        Args:
            x: Codes, a map for each atom. Shape ``(..., atoms, height, width)``.

        Returns:
            Images. Shape ``(..., 1, height, width)``.
        """
        check_given("x", x, self.domain, self.atoms)
        full = x.is_complex()
        d = transfer(self.atoms, self.size, full)
        summed = (d * spectrum(x)).sum(dim=-3, keepdim=True)
        return image_of(summed, self.size, full)

    def adjoint(self, b: Tensor) -> Tensor:
        """Return how images correlate with every atom at every place.

        Args:
            b: Images. Shape ``(..., 1, height, width)``.

        Returns:
            Codes. Shape ``(..., atoms, height, width)``.
        """
        check_given("b", b, (1, *self.size), self.atoms)
        full = b.is_complex()
        d = transfer(self.atoms, self.size, full)
        return image_of(d.conj() * spectrum(b), self.size, full)

    def norm(
        self, *, tol: float = 1e-3, generator: torch.Generator | None = None
    ) -> float:
        """Return the largest root, over the frequencies, of the atoms' summed power.

        Args:
            tol: Not needed.
            generator: Not needed.

        Returns:
            The norm.
        """
        d = transfer(self.atoms, self.size, full=False)
        return torch.linalg.vector_norm(d, dim=0).max().item()
