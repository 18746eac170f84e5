"""InfoPro: keep what the input says while learning what the labels say."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from modular._checks import check_not_negative
from modular.objectives.base import Objective, Pred
from modular.partition import Head

__all__ = ["InfoPro"]

_PART = "decoder"


@dataclass(frozen=True)
class InfoPro(Objective):
    r"""Reconstruct the input and predict the label, weighted by depth.

    .. math:: \ell_k = u_k\, R(h_k \to h_{k-1}) + v_k\, \mathrm{CE}(a_k(h_k), y)

    Greedy modules throw away what they cannot use at once and later modules miss it;
    the reconstruction error R keeps it. Early modules reconstruct more, late ones
    predict more: both weights run linearly from the first module to the last but one.
    Wang, Ni, Song, Yang and Huang 2021, ICLR, eq. (8) and section 4, the softmax form.
    Differs: a module sees its own input, not the network's, so that it reconstructs
    that (the same in module 0), by mean squared error.

    On pairs of digits with six small modules the reconstruction did not help: report
    what you measure.

    Args:
        first: Weights (u, v) of module 0.
        last: Weights (u, v) of the last module but one.

    Raises:
        ValueError: If a weight is negative.

    Example:
        >>> middle = InfoPro(first=(1.0, 0.0), last=(0.0, 1.0)).at(1, 4)
        >>> middle.first
        (0.5, 0.5)
    """

    first: tuple[float, float] = (1.0, 1.0)
    last: tuple[float, float] = (0.1, 1.0)
    predicts = True

    def __post_init__(self) -> None:
        for name in ("first", "last"):
            for index, weight in enumerate(getattr(self, name)):
                check_not_negative(f"{name}[{index}]", weight)

    def hidden(self, module: int, modules: int) -> Objective:
        """Return it with the weights of this module."""
        share = module / max(1, modules - 2)
        (u, v), (u_last, v_last) = self.first, self.last
        weights = (1 - share) * u + share * u_last, (1 - share) * v + share * v_last
        return InfoPro(first=weights, last=weights)

    def attach(self, head: Head, h_in: Tensor, h_out: Tensor) -> None:
        """Add the decoder: linear, or for images a 3 x 3 convolution."""
        if _PART in head.parts:
            return
        if h_in.ndim == h_out.ndim == 4:
            decoder = nn.Sequential(
                nn.Upsample(size=h_in.shape[2:], mode="bilinear"),
                nn.Conv2d(h_out.shape[1], h_in.shape[1], 3, padding=1),
            )
        else:
            linear = nn.Linear(h_out[0].numel(), h_in[0].numel())
            decoder = nn.Sequential(
                nn.Flatten(), linear, nn.Unflatten(1, h_in.shape[1:])
            )
        head.parts[_PART] = decoder.to(h_out.device, h_out.dtype)

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the loss, with the weights ``first``. Shapes as in the base class."""
        u, v = self.first
        error = functional.mse_loss(head.parts[_PART](h_out), h_in)
        return u * error + v * Pred()(h_in, h_out, head, target)
