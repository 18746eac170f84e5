"""Some of the Fourier coefficients of an image, as a magnetic resonance scanner has."""

import torch
from torch import Tensor

from unroll.operators._given import check_given, checked_size
from unroll.operators._index import count_of, filled, indices_of
from unroll.operators.base import Operator

__all__ = ["FourierSample"]


class FourierSample(Operator):
    r"""Measure some coefficients of the orthonormal two-dimensional Fourier transform.

    .. math:: b = (\mathcal F x)_{i \in \Omega}, \qquad
              A^* b = \mathcal F^{-1} \begin{cases} b & \text{on } \Omega, \\
              0 & \text{else} \end{cases}

    Complex: the adjoint is complex, and so is what solvers recover; a real image has a
    solution whose imaginary part is small. ``A A^*`` is the identity. Lustig, Donoho
    and Pauly 2007, Magn. Reson. Med. 58(6).

    Args:
        mask: True at the frequencies that are measured, in the order of ``torch.fft``:
            the mean is at ``[0, 0]``. Shape ``(height, width)``.

    Raises:
        TypeError: If ``mask`` is not a tensor of bools.
        ValueError: If ``mask`` is not a matrix, or false everywhere.

    Example:
        >>> A = FourierSample(torch.tensor([[True, False], [False, False]]))
        >>> b = A(torch.tensor([[[1.0, 2.0], [3.0, 6.0]]]))
        >>> b, A.adjoint(b).real  # the sum over two, and the mean
        (tensor([[6.+0.j]]), tensor([[[3., 3.],
                 [3., 3.]]]))
    """

    index: Tensor

    def __init__(self, mask: Tensor) -> None:
        index = indices_of(mask)
        super().__init__(checked_size(tuple(mask.shape)))
        self.register_buffer("index", index)

    @classmethod
    def random(
        cls,
        size: tuple[int, int],
        fraction: float,
        generator: torch.Generator | None = None,
    ) -> "FourierSample":
        """Draw which frequencies are measured, low ones more likely than high ones.

        The mean is always among them; the others are drawn one after the other, in
        proportion to ``1 / (1 + (f / 0.1)^2)`` with ``f`` cycles per pixel: a density
        that falls with the frequency, as Lustig, Donoho and Pauly 2007, section "Random
        undersampling", advise. A scanner measures lines of frequencies, not points.

        Args:
            size: Height and width.
            fraction: Of the frequencies that are measured, above 0, at most 1; rounded
                to whole frequencies, one at least.
            generator: Source of randomness; None is torch's global one.

        Returns:
            The operator, on the device of the generator.

        Raises:
            ValueError: If ``size`` is not two positive ints or ``fraction`` outside
                (0, 1].

        Example:
            >>> FourierSample.random((8, 8), 0.25).index.shape
            torch.Size([16])
        """
        height, width = checked_size(size)
        count = count_of(fraction, height * width)
        device = None if generator is None else generator.device
        rows, columns = (torch.fft.fftfreq(n, device=device) for n in (height, width))
        likely = 1 / (1 + (rows[:, None] ** 2 + columns**2) / 0.1**2)
        mask = torch.zeros(height * width, dtype=torch.bool, device=device)
        mask[0] = True
        if count > 1:
            others = likely.flatten()[1:]
            mask[1 + others.multinomial(count - 1, generator=generator)] = True
        return cls(mask.reshape(height, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return the coefficients that are measured.

        Args:
            x: Images, real or complex. Shape ``(..., height, width)``.

        Returns:
            Complex coefficients. Shape ``(..., m)``.
        """
        check_given("x", x, self.domain)
        return torch.fft.fft2(x, norm="ortho").flatten(-2)[..., self.index]

    def adjoint(self, b: Tensor) -> Tensor:
        """Return the image of these coefficients, the others 0.

        Args:
            b: Coefficients. Shape ``(..., m)``.

        Returns:
            Complex images. Shape ``(..., height, width)``.
        """
        check_given("b", b, tuple(self.index.shape))
        return torch.fft.ifft2(filled(b, self.index, self.domain), norm="ortho")

    def norm(
        self, *, tol: float = 1e-3, generator: torch.Generator | None = None
    ) -> float:
        """Return 1.

        Args:
            tol: Not needed.
            generator: Not needed.

        Returns:
            The norm.
        """
        return 1.0
