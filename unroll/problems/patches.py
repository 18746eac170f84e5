"""Patches of photographs, and the cosines that are their oldest dictionary."""

import math

import torch
from torch import Tensor

from unroll._checks import check_count

__all__ = ["dct_dictionary", "image_patches"]

_PHOTOGRAPHS = ("china", "flower")


def image_patches(
    size: int,
    generator: torch.Generator | None = None,
    *,
    count: int = 1000,
    photograph: str = "china",
) -> Tensor:
    """Cut square patches at random places out of a photograph.

    The photographs ship inside scikit-learn (``china``: a temple, ``flower``: a dahlia;
    427 x 640 pixels, both under a free licence); nothing is downloaded. Grey is the
    mean of red, green and blue; 0 is black and 1 is white. Nothing is subtracted:
    remove each patch's mean before sparse-coding it, or keep a constant atom for it
    (Elad and Aharon 2006, IEEE Trans. Image Process. 15(12)).

    Args:
        size: Pixels per side.
        generator: Source of randomness, on the CPU; None is torch's global one.
        count: Patches.
        photograph: ``"china"`` or ``"flower"``.

    Returns:
        Patches in torch's default dtype, each flattened row by row.
        Shape ``(count, size * size)``.

    Raises:
        TypeError: If ``size`` or ``count`` is not an int.
        ValueError: If ``size`` or ``count`` is not positive, ``size`` exceeds the
            photograph or ``photograph`` is unknown.

    Example:
        >>> import torch
        >>> patches = image_patches(8, torch.Generator().manual_seed(0), count=5)
        >>> patches.shape
        torch.Size([5, 64])
    """
    check_count("size", size, least=1)
    check_count("count", count, least=1)
    grey = grey_photograph(photograph)
    height, width = grey.shape
    if size > height:
        raise ValueError(f"size is {size}: expected at most {height}, the height")
    top = torch.randint(height - size + 1, (count,), generator=generator)
    left = torch.randint(width - size + 1, (count,), generator=generator)
    windows = grey.unfold(0, size, 1).unfold(1, size, 1)  # a view, no copy
    return windows[top, left].reshape(count, size * size)


def grey_photograph(photograph: str) -> Tensor:
    """Return a photograph that ships inside scikit-learn, ``(height, width)``."""
    if photograph not in _PHOTOGRAPHS:
        known = " or ".join(map(repr, _PHOTOGRAPHS))
        raise ValueError(f"photograph is {photograph!r}: expected {known}")
    from sklearn.datasets import load_sample_image  # type: ignore[import-untyped]

    pixels = torch.tensor(load_sample_image(f"{photograph}.jpg"))
    return pixels.to(torch.get_default_dtype()).mean(dim=2) / 255


def dct_dictionary(
    size: int,
    atoms: int,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    r"""Make the overcomplete two-dimensional DCT dictionary for square patches.

    With ``p = sqrt(atoms)`` frequencies per axis, the one-dimensional atoms are

    .. math:: d_j(i) = \cos(\pi (i + \tfrac12) j / p), \quad 0 \le i < \text{size},
              \; 0 \le j < p,

    less their mean for ``j > 0`` and scaled to norm 1; the two-dimensional ones are
    their Kronecker products. For ``atoms = size * size`` it is the orthonormal DCT-II.
    Elad and Aharon 2006, IEEE Trans. Image Process. 15(12), sample the
    cosine at ``i``; we at ``i + 1/2``, so that the complete case is orthonormal.

    Args:
        size: Pixels per side of a patch.
        atoms: Atoms, a perfect square of at least ``size * size``.
        dtype: None is torch's default.
        device: None is the CPU.

    Returns:
        Dictionary with columns of norm 1; the first is constant. Shape
        ``(size * size, atoms)``.

    Raises:
        TypeError: If ``size`` or ``atoms`` is not an int.
        ValueError: If ``size`` is not positive, or ``atoms`` is not a perfect square of
            at least ``size * size``.

    Example:
        >>> import torch
        >>> D = dct_dictionary(8, 256)
        >>> D.shape, torch.allclose(D.norm(dim=0), torch.ones(256))
        (torch.Size([64, 256]), True)
    """
    check_count("size", size, least=1)
    check_count("atoms", atoms, least=1)
    p = math.isqrt(atoms)
    if p * p != atoms or p < size:
        raise ValueError(
            f"atoms is {atoms}: expected a perfect square of at least {size * size}"
        )
    i = torch.arange(size, dtype=dtype or torch.get_default_dtype(), device=device)
    j = torch.arange(p, dtype=i.dtype, device=device)
    D = torch.cos(torch.pi / p * (i[:, None] + 0.5) * j)
    D[:, 1:] -= D[:, 1:].mean(dim=0)
    D /= torch.linalg.vector_norm(D, dim=0)
    return torch.kron(D, D)
