"""Learned numbers that cannot become negative: thresholds, steps, ridges."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from unroll._checks import check_positive

__all__ = ["Positive"]


class Positive(nn.Module):
    r"""A learned number, or tensor of numbers, that stays non-negative by construction.

    .. math:: \text{value} = \operatorname{softplus}(\text{raw})
              = \log(1 + e^{\text{raw}})

    A threshold clamped at 0 gets no gradient there and never returns; this one does.
    Dugas, Bengio, Belisle, Nadeau and Garcia 2001, NIPS 13.

    Args:
        value: Where it starts, positive. Shape ``(...,)``.

    Raises:
        ValueError: If an entry of ``value`` is not positive and finite.

    Example:
        >>> theta = Positive(0.3)
        >>> theta()
        tensor(0.3000, grad_fn=<SoftplusBackward0>)
    """

    def __init__(self, value: float | Tensor) -> None:
        super().__init__()
        if not isinstance(value, Tensor):
            value = torch.tensor(float(value))
        low, high = (bound.item() for bound in value.detach().aminmax())
        check_positive("value", low)
        check_positive("value", high)
        # log(e^v - 1), written so that neither large nor small v loses digits
        self.raw = nn.Parameter(value + torch.log(-torch.expm1(-value)))

    def forward(self) -> Tensor:
        """Return the number."""
        return softplus(self.raw)
