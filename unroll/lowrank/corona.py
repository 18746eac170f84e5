"""CORONA: a clip in two parts, by a proximal gradient method with learned kernels."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from unroll._checks import check_count, check_positive
from unroll.lowrank._checks import check_matrices
from unroll.lowrank.singular import singular_value_threshold
from unroll.networks.positive import Positive
from unroll.penalties import GroupL21

__all__ = ["CORONA"]


class _Layer(nn.Module):
    """One layer: ``kernels`` of shape ``(2, 3, k, k)``, ``theta_L``, ``theta_S``."""

    def __init__(self, kernels: Tensor, theta_L: Tensor, theta_S: Tensor) -> None:
        super().__init__()
        self.kernels = nn.Parameter(kernels)
        self.theta_L, self.theta_S = Positive(theta_L), Positive(theta_S)

    def forward(self, L: Tensor, S: Tensor, D: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next two parts."""
        batch, frames, *image = D.shape
        stacked = torch.stack([D, L, S], dim=2).flatten(0, 1)  # a frame is a sample
        mixed = functional.conv2d(stacked, self.kernels, padding="same")
        L, S = mixed.unflatten(0, (batch, frames)).unbind(dim=2)
        # the matrix of a clip: a pixel is a row, a frame a column
        L = singular_value_threshold(L.flatten(2).mT, self.theta_L())
        S = GroupL21(frames).prox(S.flatten(2).mT, self.theta_S())
        return L.mT.unflatten(2, image), S.mT.unflatten(2, image)


class CORONA(nn.Module):
    r"""Convolutional robust PCA: six kernels and two thresholds a layer.

    .. math:: L_{k+1} &= \mathrm{SVT}_{\theta_L}(P_1 * D + P_2 * L_k + P_3 * S_k), \\
              S_{k+1} &= \mathcal T_{\theta_S}(P_4 * D + P_5 * L_k + P_6 * S_k)

    Solomon, Cohen, Zhang, Yang, He, Luo, van Sloun and Eldar 2020, IEEE Trans. Med.
    Imaging 39(4); the paper counts the kernels in another order. ``T`` is the proximal
    map of their mixed norm, ``max(0, 1 - theta / ||row||)`` for the row of a pixel over
    all frames; their public code shrinks entry by entry, by another formula. Before
    training it is the proximal gradient method for

    .. math:: \tfrac12 \|D - L - S\|_F^2 + \lambda_L \|L\|_* + \lambda_S \|S\|_{1,2}

    with step 1/2, which it equals at every depth: kernels are deltas. Real clips only;
    theirs are complex. Thresholds are absolute, in the unit of the clips.

    Args:
        depth: Layers.
        size: Pixels of a kernel each way, odd.
        lam_L: Weight of the nuclear norm before training, positive.
        lam_S: Weight of the mixed norm before training, positive.
        dtype: Of the learned numbers; None is torch's default.

    Raises:
        TypeError: If ``depth`` or ``size`` is not an int.
        ValueError: If one of them or a weight is not positive, or ``size`` is even.

    Example:
        >>> clip = torch.ones(1, 8, 5, 5)
        >>> clip[0, :, 2, 2] += torch.arange(8.0)  # a pixel that changes
        >>> L, S = CORONA(depth=60, lam_L=0.5, lam_S=0.5)(clip)
        >>> S.abs().amax(dim=(0, 1)).gt(0.1).nonzero()
        tensor([[2, 2]])
    """

    def __init__(
        self,
        depth: int = 5,
        size: int = 3,
        *,
        lam_L: float = 1.0,
        lam_S: float = 0.1,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_count("depth", depth, least=1)
        check_count("size", size, least=1)
        if size % 2 == 0:
            raise ValueError(f"size is {size}: expected an odd number")
        check_positive("lam_L", lam_L)
        check_positive("lam_S", lam_S)
        self.depth = depth
        kernels = torch.zeros(2, 3, size, size, dtype=dtype)
        of_gradient = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, 1.0]], dtype=dtype)
        kernels[:, :, size // 2, size // 2] = of_gradient / 2  # of D, L, S
        self.layers = nn.ModuleList(
            _Layer(
                kernels.clone(),
                kernels.new_tensor(lam_L / 2),
                kernels.new_tensor(lam_S / 2),
            )
            for _ in range(depth)
        )

    def forward(self, D: Tensor, depth: int | None = None) -> tuple[Tensor, Tensor]:
        """Return both parts.

        Args:
            D: Clips. Shape ``(batch, frames, height, width)``.
            depth: Stop after this many layers; None is all of them.

        Returns:
            The part of low rank, shape ``(batch, frames, height, width)``, and the
            sparse one, shape ``(batch, frames, height, width)``.

        Raises:
            TypeError: If ``D`` is not of the network's dtype or ``depth`` not an int.
            ValueError: If ``D`` is no batch of finite clips, or ``depth`` is not
                between 0 and the number of layers.
        """
        kernels = cast(_Layer, self.layers[0]).kernels
        if not torch.compiler.is_compiling():
            check_matrices("D", D, axes=4)
            if D.dtype != kernels.dtype:
                raise TypeError(
                    f"D has dtype {D.dtype} but the network {kernels.dtype}: expected "
                    "the same dtype"
                )
        depth = self.depth if depth is None else depth
        check_count("depth", depth, least=0)
        if depth > self.depth:
            raise ValueError(f"depth is {depth}: expected at most {self.depth}")
        L = S = torch.zeros_like(D)
        for layer in self.layers[:depth]:
            L, S = layer(L, S, D)
        return L, S
