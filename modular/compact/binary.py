"""Layers whose weights have a sign, and one size for each output."""

from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

__all__ = ["BinaryConv2d", "BinaryLinear"]


def binary(weight: Tensor) -> Tensor:
    """Return signs times the mean size of an output's weights; see the layers."""
    sign = weight.detach().sign()
    sign = sign + (sign == 0).to(sign)  # zero counts as positive
    inside = weight.clamp(-1, 1)
    sign = inside + (sign - inside).detach()
    size = weight.flatten(1).abs().mean(1)
    return sign * size.view(-1, *[1] * (weight.ndim - 1))


class BinaryLinear(nn.Linear):
    r"""A linear layer with weights ``+a`` and ``-a``, one ``a`` for each output.

    .. math:: \hat w_{ij} = a_i \operatorname{sign}(w_{ij}), \quad
              a_i = \tfrac1n \sum_j |w_{ij}|, \qquad
              \frac{\partial \operatorname{sign}(w)}{\partial w} := 1_{|w| \le 1}

    ``a`` is the best size in the mean square, and its derivative is taken. The paper
    leaves out how ``a_i`` ties an output's weights together in the gradient. Rastegari,
    Ordonez, Redmon and Farhadi 2016 (ECCV), section 3.1; the gradient of the sign is
    that of Courbariaux, Bengio and David 2015 (NeurIPS).

    Args:
        in_features: Inputs.
        out_features: Outputs.
        bias: Whether there is one; it stays a float.

    Example:
        >>> import torch
        >>> layer = BinaryLinear(8, 1)
        >>> len(layer.rounded().abs().unique())
        1
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)

    def rounded(self) -> Tensor:
        """Return the weights that are used.

        Returns:
            ``a sign(w)``. Shape ``(out_features, in_features)``.
        """
        return binary(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            x: Inputs. Shape ``(..., in_features)``.

        Returns:
            Outputs. Shape ``(..., out_features)``.
        """
        return linear(x, self.rounded(), self.bias)


class BinaryConv2d(nn.Conv2d):
    """A convolution with weights ``+a`` and ``-a``, one ``a`` for each output channel.

    As :class:`BinaryLinear`. Rastegari, Ordonez, Redmon and Farhadi 2016 (ECCV).

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        kernel_size: Side of the square window.
        padding: Zeros around the image.

    Example:
        >>> import torch
        >>> layer = BinaryConv2d(3, 2, kernel_size=3, padding=1)
        >>> layer(torch.ones(1, 3, 8, 8)).shape
        torch.Size([1, 2, 8, 8])
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, padding: int = 0
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            x: Images. Shape ``(batch, in_channels, height, width)``.

        Returns:
            Images. Shape ``(batch, out_channels, ...)``.
        """
        weight = binary(self.weight)
        return conv2d(x, weight, self.bias, padding=self.padding)
