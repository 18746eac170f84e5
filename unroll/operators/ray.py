"""The ray transform: integrals of an image along parallel lines, as a scanner has."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from unroll._checks import check_count, check_finite, check_float
from unroll.operators._given import check_given, checked_size
from unroll.operators.base import Operator

__all__ = ["Ray"]

_PARALLEL = 1e-12  # a cosine this small never meets the lines of the grid


class Ray(Operator):
    r"""Integrate images along parallel beams: tomography.

    .. math:: b_{\theta s} = \sum_{ij} \ell_{ij}(\theta, s) \, x_{ij}

    with ``l_ij`` the length of the line ``u cos(theta) + v sin(theta) = s`` inside the
    pixel: exact, from the points where the line crosses the grid, Siddon 1985, Med.
    Phys. 12(2). Pixels have side 1, the image's centre is the origin, ``u`` points to
    the right and ``v`` up. A line along a border counts for one of its two sides. The
    lengths are a sparse matrix, kept with its transpose.

    Args:
        size: Height and width of the images.
        angles: How many, evenly over half a turn from 0; or the angles themselves, in
            radians. Shape ``(angles,)``.
        detectors: Beams at each angle, a pixel apart, the middle one through the
            centre; None is enough to cover the diagonal.

    Raises:
        TypeError: If ``angles`` or ``detectors`` is of another type.
        ValueError: If a size or a count is not positive, ``angles`` is not a finite
            vector.

    Example:
        >>> A = Ray((2, 2), angles=torch.tensor([0.0, math.pi / 4]), detectors=1)
        >>> A(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))  # two pixels down, a diagonal
        tensor([[[6.0000],
                 [7.0711]]])
    """

    values: Tensor
    rows: Tensor
    columns: Tensor
    values_back: Tensor
    rows_back: Tensor
    columns_back: Tensor

    def __init__(
        self,
        size: tuple[int, int],
        angles: int | Tensor,
        detectors: int | None = None,
    ) -> None:
        super().__init__(checked_size(size))
        angles = _checked_angles(angles)
        if detectors is None:
            detectors = math.ceil(math.hypot(*size))
        check_count("detectors", detectors, least=1)
        self.range = (len(angles), detectors)
        lengths = _lengths(size, angles.double(), detectors)
        lengths = lengths.to(angles.dtype)
        for end, matrix in (("", lengths), ("_back", lengths.t().coalesce())):
            row, column = matrix.indices()
            starts = torch.bincount(row, minlength=matrix.shape[0]).cumsum(0)
            self.register_buffer("rows" + end, torch.nn.functional.pad(starts, (1, 0)))
            self.register_buffer("columns" + end, column.clone())
            self.register_buffer("values" + end, matrix.values().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return the integrals along all lines.

        Args:
            x: Images. Shape ``(..., height, width)``.

        Returns:
            Integrals, a sinogram. Shape ``(..., angles, detectors)``.
        """
        check_given("x", x, self.domain, self.values)
        if x.is_complex():
            return torch.complex(self(x.real), self(x.imag))
        there, back = self._matrices()
        return _Product.apply(x.flatten(-2), there, back).unflatten(-1, self.range)

    def adjoint(self, b: Tensor) -> Tensor:
        """Return the sum over the lines of what each spreads along itself.

        Args:
            b: Integrals. Shape ``(..., angles, detectors)``.

        Returns:
            Images, the back-projection. Shape ``(..., height, width)``.
        """
        check_given("b", b, self.range, self.values)
        if b.is_complex():
            return torch.complex(self.adjoint(b.real), self.adjoint(b.imag))
        there, back = self._matrices()
        return _Product.apply(b.flatten(-2), back, there).unflatten(-1, self.domain)

    def _matrices(self) -> tuple[Tensor, Tensor]:
        """Return the matrix and its transpose, which no copy could hold as tensors."""
        m, n = math.prod(self.range), math.prod(self.domain)
        there = (self.rows, self.columns, self.values, (m, n))
        back = (self.rows_back, self.columns_back, self.values_back, (n, m))
        return _sparse(*there), _sparse(*back)


def _sparse(rows: Tensor, columns: Tensor, values: Tensor, size: Any) -> Tensor:
    """Return a matrix in compressed rows; our own indices need no check."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            rows, columns, values, size, check_invariants=False
        )


class _Product(torch.autograd.Function):
    """``M x`` for every row ``x``, whose gradient is one product with ``M^T``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Tensor, back: Tensor) -> Tensor:
        """Return the products."""
        ctx.matrices = there, back
        columns = x.reshape(-1, x.shape[-1]).T
        return (there @ columns).T.reshape(*x.shape[:-1], there.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient, which may be differentiated again."""
        there, back = ctx.matrices
        return _Product.apply(grads[0], back, there), None, None


def _whole(count: int, like: Tensor) -> Tensor:
    """Return the numbers below ``count``."""
    return torch.arange(count, dtype=like.dtype, device=like.device)


def _checked_angles(angles: int | Tensor) -> Tensor:
    """Return the angles as a vector."""
    if isinstance(angles, Tensor):
        check_float("angles", angles)
        if angles.ndim != 1 or angles.numel() == 0:
            raise ValueError(f"angles has shape {tuple(angles.shape)}: expected (n,)")
        check_finite("angles", angles)
        return angles
    check_count("angles", angles, least=1)
    return torch.arange(angles, dtype=torch.get_default_dtype()) * (math.pi / angles)


def _lengths(size: tuple[int, int], angles: Tensor, detectors: int) -> Tensor:
    """Return the lengths as a sparse matrix, a row for each angle and detector."""
    height, width = size
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    s = _whole(detectors, angles)[None, :, None] - (detectors - 1) / 2
    across = _whole(width + 1, angles) - width / 2
    up = _whole(height + 1, angles) - height / 2
    far = angles.new_tensor(height + width)  # beyond every corner
    # A point of the line is s (cos, sin) + t (-sin, cos): where it meets the grid.
    t = torch.cat(
        (
            torch.where(sin.abs() > _PARALLEL, (s * cos - across) / sin, far),
            torch.where(cos.abs() > _PARALLEL, (up - s * sin) / cos, far),
        ),
        dim=-1,
    )
    t = t.clamp(-far, far).sort(dim=-1).values
    length, middle = t.diff(), (t[..., 1:] + t[..., :-1]) / 2
    column = (s * cos - middle * sin + width / 2).floor().long()
    row = (height / 2 - s * sin - middle * cos).floor().long()
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    inside &= length > _PARALLEL
    line = torch.arange(len(angles) * detectors, device=angles.device)
    line = line.reshape(len(angles), detectors, 1).expand_as(row)
    index = torch.stack((line[inside], (row * width + column)[inside]))
    shape = (len(angles) * detectors, height * width)
    return torch.sparse_coo_tensor(
        index, length[inside], shape, check_invariants=True
    ).coalesce()
