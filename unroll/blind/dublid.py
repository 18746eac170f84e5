"""DUBLID: half-quadratic splitting whose filters and numbers are learned."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from unroll._checks import check_count, check_like
from unroll.blind.half_quadratic import (
    check_images,
    differences,
    filtered,
    first_kernel,
    kernel_step,
    latent_step,
    restored,
)
from unroll.networks.positive import Positive
from unroll.operators._circular import transfer
from unroll.prox import soft_threshold

__all__ = ["DUBLID"]


class _Layer(nn.Module):
    """One layer: ``theta``, ``zeta`` of shape ``(channels,)``; two numbers of ``k``."""

    def __init__(
        self, theta: Tensor, zeta: Tensor, zeta_k: Tensor, bias: Tensor
    ) -> None:
        super().__init__()
        self.theta, self.zeta = Positive(theta), Positive(zeta)
        self.zeta_k, self.bias_logit = Positive(zeta_k), nn.Parameter(bias.logit())

    def forward(self, y: Tensor, z: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the filtered sharp images, their large entries, and the kernel."""
        g = latent_step(y, z, k, self.zeta()[:, None, None])
        z = soft_threshold(g, self.theta()[:, None, None])
        k = kernel_step(y, z, k, self.zeta_k(), torch.sigmoid(self.bias_logit))
        return g, z, k


class DUBLID(nn.Module):
    r"""Deep unrolling for blind deblurring: a few iterations on learned filters.

    .. math:: y^L = w^L * \cdots * w^1 * b, \; \dots, \; y^1 = w^1 * b; \qquad
              (z, k) \leftarrow \mathrm{step}_l(y^l; z, k), \quad l = L, \dots, 1

    with the step of :func:`~unroll.blind.half_quadratic`, which it equals before
    training. The filters of a layer are those of the one before, filtered again, so
    that the first step sees the widest and the last the narrowest: coarse to fine. A
    layer learns thresholds ``theta`` and weights ``zeta`` for every channel, ``zeta_k``
    and ``bias`` of the kernel; the image is made once, with weights ``eta``. Li,
    Tofighi, Geng, Monga and Eldar 2020, IEEE Trans. Comput. Imaging 6. The kernel is
    not negative and sums to 1, whatever was learned.

    Args:
        kernel: Height and width of the kernel's box.
        depth: Layers.
        filters: First filters, one a channel; learned, too. None is the differences to
            the pixel to the left and to that above. Shape ``(channels, p, q)``.
        theta: Threshold before training, positive.
        weights: ``(zeta, zeta_k, eta)`` before training, positive.
        bias: Share of the largest kernel entry that is subtracted, in (0, 1).

    Raises:
        TypeError: If a count is not an int or ``filters`` is not floating-point.
        ValueError: If a number is not positive, ``bias`` is outside (0, 1) or
            ``filters`` has not three axes.

    Example:
        >>> x, k = DUBLID(kernel=(3, 3))(torch.eye(8)[None, None])
        >>> x.shape, k.shape
        (torch.Size([1, 1, 8, 8]), torch.Size([1, 3, 3]))
    """

    def __init__(
        self,
        kernel: tuple[int, int],
        depth: int = 5,
        *,
        filters: Tensor | None = None,
        theta: float = 0.06,
        weights: tuple[float, float, float] = (1.0, 10.0, 0.1),
        bias: float = 0.05,
    ) -> None:
        super().__init__()
        for name, length in zip(("height", "width"), kernel, strict=True):
            check_count(f"{name} of kernel", length, least=1)
        check_count("depth", depth, least=1)
        filters = (
            differences().to(torch.get_default_dtype())
            if filters is None
            else (filters.detach().clone())
        )
        if filters.ndim != 3:
            raise ValueError(
                f"filters has shape {tuple(filters.shape)}: expected (channels, p, q)"
            )
        if not 0 < bias < 1:
            raise ValueError(f"bias is {bias}: expected 0 < bias < 1")
        self.kernel, self.depth = kernel, depth
        channels, (zeta, zeta_k, eta) = len(filters), weights

        def of_channels(value: float) -> Tensor:
            return filters.new_full((channels,), value)

        self.filters = nn.Parameter(filters)
        same = torch.zeros(channels, channels, 3, 3).to(filters)
        same[:, :, 1, 1] = torch.eye(channels).to(filters)
        self.wider = nn.ParameterList(same.clone() for _ in range(depth - 1))
        self.layers = nn.ModuleList(
            _Layer(
                of_channels(theta),
                of_channels(zeta),
                filters.new_tensor(zeta_k),
                filters.new_tensor(bias),
            )
            for _ in range(depth)
        )
        self.eta = Positive(of_channels(eta))

    def forward(self, b: Tensor) -> tuple[Tensor, Tensor]:
        """Return sharp images and kernels.

        Args:
            b: Blurred images. Shape ``(batch, 1, height, width)``.

        Returns:
            Images, shape ``(batch, 1, height, width)``, and kernels, shape
            ``(batch, k, l)``.

        Raises:
            TypeError: If ``b`` is not of the network's dtype.
            ValueError: If ``b`` is no batch of finite grey images, or smaller than the
                kernel.
        """
        if not torch.compiler.is_compiling():
            check_images(b, self.kernel)
            check_like("b", b, "filters", self.filters)
        F = transfer(self.filters, (b.shape[-2], b.shape[-1]), full=False)
        answers = [filtered(b, F)]
        for wider in self.wider:
            around = functional.pad(answers[-1], (1, 1, 1, 1), mode="circular")
            answers.append(functional.conv2d(around, wider))
        z, k, g = torch.zeros_like(answers[0]), first_kernel(b, self.kernel), answers[0]
        for layer, y in zip(self.layers, reversed(answers), strict=True):
            g, z, k = layer(y, z, k)
        return restored(b, g, k, F, self.eta()[:, None, None]), k
