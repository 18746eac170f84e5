"""Half-quadratic splitting for an image and its kernel, in turns."""

import torch
from torch import Tensor

from unroll._checks import check_count, check_finite, check_float, check_like, traced
from unroll.operators._circular import image_of, spectrum, transfer
from unroll.prox import soft_threshold

__all__ = [
    "check_images",
    "differences",
    "filtered",
    "first_kernel",
    "half_quadratic",
    "kernel_step",
    "latent_step",
    "restored",
]


@torch.no_grad()
def half_quadratic(
    b: Tensor,
    filters: Tensor,
    kernel: tuple[int, int],
    *,
    theta: float = 0.06,
    weights: tuple[float, float, float] = (1.0, 10.0, 0.1),
    bias: float = 0.05,
    iterations: int = 10,
) -> tuple[Tensor, Tensor]:
    r"""Deblur without knowing the kernel.

    .. math:: \hat g_i &= \frac{\zeta \, \overline{\hat k} \, \hat y_i + \hat z_i}
              {\zeta |\hat k|^2 + 1}, \qquad z_i = \eta_\theta(g_i), \qquad
              y_i = f_i * b, \\
              \hat k &\leftarrow \frac{\zeta_k \sum_i \overline{\hat z_i} \, \hat y_i +
              \hat k}{\zeta_k \sum_i |\hat z_i|^2 + 1}, \qquad
              k \leftarrow \frac{\max(0, k - \beta \max k)}{\text{its sum}}, \\
              \hat x &= \frac{\overline{\hat k} \, \hat b +
              \eta \sum_i \overline{\hat f_i} \, \hat g_i}
              {|\hat k|^2 + \eta \sum_i |\hat f_i|^2}

    from ``z = 0`` and no blur; the image is made once, at the end. Each of them but the
    step to the simplex minimises a sum of squares, or its l1 relative: Li, Tofighi,
    Geng, Monga and Eldar 2020, IEEE Trans. Comput. Imaging 6, section III, with the
    filters given. Kernel entries outside of its box are dropped, and so are small ones
    (they subtract a smooth maximum, ``log sum exp``); what is left sums to 1. Images
    repeat at their borders. Splitting: Wang, Yang, Yin and Zhang 2008, SIAM J. Imaging
    Sci. 1(3). The problem is not convex: what is found depends on the numbers and on
    the start.

    Args:
        b: Blurred images. Shape ``(batch, 1, height, width)``.
        filters: Filters ``f``, whose answer is sparse, such as differences of
            neighbours. Shape ``(channels, p, q)``.
        kernel: Height and width of the kernel's box.
        theta: Threshold, at least 0.
        weights: ``(zeta, zeta_k, eta)``.
        bias: Share ``beta`` of the largest kernel entry, in [0, 1).
        iterations: Iterations; 0 returns ``b`` and no blur.

    Returns:
        Images, shape ``(batch, 1, height, width)``, and kernels, shape
        ``(batch, k, l)``.

    Raises:
        TypeError: If a tensor is not floating-point, dtypes differ, or a count is not
            an int.
        ValueError: If shapes do not fit, an entry is not finite, the kernel is larger
            than the images, ``bias`` is outside [0, 1) or ``iterations`` negative.

    Example:
        >>> from unroll.blind.half_quadratic import differences
        >>> b = torch.eye(8)[None, None]
        >>> x, k = half_quadratic(b, differences(), (3, 3))
        >>> bool((k >= 0).all()), round(k.sum().item(), 4)
        (True, 1.0)
    """
    check_images(b, kernel)
    check_count("iterations", iterations, least=0)
    check_like("filters", filters, "b", b)
    if filters.ndim != 3:
        raise ValueError(
            f"filters has shape {tuple(filters.shape)}: expected (channels, p, q)"
        )
    if not 0 <= bias < 1:
        raise ValueError(f"bias is {bias}: expected 0 <= bias < 1")
    zeta, zeta_k, eta = weights
    size = (b.shape[-2], b.shape[-1])
    y = filtered(b, transfer(filters, size, full=False))
    z, g, k = torch.zeros_like(y), y, first_kernel(b, kernel)
    for _ in range(iterations):
        g = latent_step(y, z, k, zeta)
        z = soft_threshold(g, theta)
        k = kernel_step(y, z, k, zeta_k, bias)
    return restored(b, g, k, transfer(filters, size, full=False), eta), k


def differences() -> Tensor:
    """Return the filters that subtract the pixel to the left, and the one above."""
    filters = torch.zeros(2, 3, 3)
    filters[:, 1, 1], filters[0, 1, 2], filters[1, 2, 1] = 1.0, -1.0, -1.0
    return filters


def filtered(images: Tensor, F: Tensor) -> Tensor:
    """Return every image through every filter, given by its Fourier transform."""
    return image_of(F * spectrum(images), _size(images), full=False)


def first_kernel(b: Tensor, kernel: tuple[int, int]) -> Tensor:
    """Return the kernel of no blur, one an image."""
    k = b.new_zeros(len(b), *kernel)
    k[:, kernel[0] // 2, kernel[1] // 2] = 1
    return k


def latent_step(y: Tensor, z: Tensor, k: Tensor, zeta: float | Tensor) -> Tensor:
    """Return what blurs to ``y`` and is near ``z``, ``(batch, channels, ...)``."""
    K = transfer(k, _size(y), full=False)[:, None]
    G = (zeta * K.conj() * spectrum(y) + spectrum(z)) / (zeta * _power(K) + 1)
    return image_of(G, _size(y), full=False)


def kernel_step(
    y: Tensor, z: Tensor, k: Tensor, zeta: float | Tensor, bias: float | Tensor
) -> Tensor:
    """Return the kernel that blurs ``z`` to ``y`` and is near ``k``, on the simplex."""
    (rows, columns), K, Z = k.shape[1:], transfer(k, _size(y), full=False), spectrum(z)
    top = zeta * (Z.conj() * spectrum(y)).sum(dim=1) + K
    new = image_of(top / (zeta * _power(Z).sum(dim=1) + 1), _size(y), full=False)
    new = new.roll((rows // 2, columns // 2), dims=(-2, -1))[:, :rows, :columns]
    new = (new - bias * new.amax(dim=(1, 2), keepdim=True)).clamp(min=0)
    total = new.sum(dim=(1, 2), keepdim=True)
    kept = total > 0  # where nothing is left, the last kernel stays
    return torch.where(kept, new / total.where(kept, 1.0), k)


def restored(b: Tensor, g: Tensor, k: Tensor, F: Tensor, eta: float | Tensor) -> Tensor:
    """Return the image that blurs to ``b`` and whose filtered images are ``g``."""
    K, G = transfer(k, _size(b), full=False), spectrum(g)
    top = K.conj() * spectrum(b)[:, 0] + (eta * F.conj() * G).sum(dim=1)
    bottom = _power(K) + (eta * _power(F)).sum(dim=0)
    tiny = torch.finfo(b.dtype).tiny  # a frequency that neither sees is 0
    return image_of(top / bottom.clamp(min=tiny), _size(b), full=False)[:, None]


def _power(X: Tensor) -> Tensor:
    return X.real.square() + X.imag.square()


def _size(images: Tensor) -> tuple[int, int]:
    return images.shape[-2], images.shape[-1]


def check_images(b: Tensor, kernel: tuple[int, int]) -> None:
    """Refuse what is no batch of grey images, or smaller than the kernel."""
    check_float("b", b)
    for name, length in zip(("height", "width"), kernel, strict=True):
        check_count(f"{name} of kernel", length, least=1)
    if b.ndim != 4 or b.shape[1] != 1 or b.numel() == 0:
        raise ValueError(
            f"b has shape {tuple(b.shape)}: expected (batch, 1, height, width)"
        )
    if kernel[0] > b.shape[-2] or kernel[1] > b.shape[-1]:
        raise ValueError(
            f"kernel is {tuple(kernel)} but b has shape {tuple(b.shape)}: expected it "
            "to be no larger than the images"
        )
    if not traced(b):
        check_finite("b", b)
