"""A mask: some of the pixels are seen, the others are not."""

import torch
from torch import Tensor

from unroll.operators._given import check_given, checked_size
from unroll.operators._index import count_of, filled, indices_of
from unroll.operators.base import Operator

__all__ = ["Mask"]


class Mask(Operator):
    r"""See some of the entries: inpainting.

    .. math:: b = (x_i)_{i \in \Omega}, \qquad
              (A^* b)_i = \begin{cases} b_i & i \in \Omega, \\ 0 & \text{else.}
              \end{cases}

    The entries that are seen are listed, not left in place among zeros: nothing is
    measured elsewhere, and the adjoint is the picture with holes. ``A A^*`` is the
    identity. Inpainting in this form: Bertalmio, Sapiro, Caselles and Ballester 2000,
    SIGGRAPH, are the name's source.

    Args:
        mask: True where it is seen. Shape ``(height, width)``.

    Raises:
        TypeError: If ``mask`` is not a tensor of bools.
        ValueError: If ``mask`` is false everywhere.

    Example:
        >>> A = Mask(torch.tensor([[True, False], [True, True]]))
        >>> b = A(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        >>> b, A.adjoint(b)
        (tensor([[1., 3., 4.]]), tensor([[[1., 0.],
                 [3., 4.]]]))
    """

    index: Tensor

    def __init__(self, mask: Tensor) -> None:
        index = indices_of(mask)
        super().__init__(tuple(mask.shape))
        self.register_buffer("index", index)

    @classmethod
    def random(
        cls,
        size: tuple[int, int],
        fraction: float,
        generator: torch.Generator | None = None,
    ) -> "Mask":
        """Draw which pixels are seen, every choice of so many alike.

        Args:
            size: Height and width.
            fraction: Of the pixels that are seen, above 0, at most 1; rounded to whole
                pixels, one at least.
            generator: Source of randomness; None is torch's global one.

        Returns:
            The operator, on the device of the generator.

        Raises:
            ValueError: If ``size`` is not two positive ints or ``fraction`` outside
                (0, 1].

        Example:
            >>> Mask.random((8, 8), 0.25).index.shape
            torch.Size([16])
        """
        height, width = checked_size(size)
        count = count_of(fraction, height * width)
        device = None if generator is None else generator.device
        order = torch.randperm(height * width, generator=generator, device=device)
        return cls((order < count).reshape(height, width))

    def forward(self, x: Tensor) -> Tensor:
        """Return what is seen.

        Args:
            x: Images. Shape ``(..., height, width)``.

        Returns:
            Their entries on the mask. Shape ``(..., m)``.
        """
        check_given("x", x, self.domain)
        return x.flatten(-len(self.domain))[..., self.index]

    def adjoint(self, b: Tensor) -> Tensor:
        """Return images that are 0 where nothing is seen.

        Args:
            b: Entries on the mask. Shape ``(..., m)``.

        Returns:
            Images. Shape ``(..., height, width)``.
        """
        check_given("b", b, tuple(self.index.shape))
        return filled(b, self.index, self.domain)

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
