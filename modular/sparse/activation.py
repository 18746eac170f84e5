"""All-ReLU: the slope on the left changes its sign from layer to layer."""

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from modular._checks import check_count, check_not_negative

__all__ = ["AllReLU"]


class AllReLU(nn.Module):
    r"""Apply an alternated left ReLU.

    .. math:: f_l(z) = \begin{cases} z & z > 0 \\ (-1)^{l+1} \alpha z & z \le 0
              \end{cases}

    with ``l`` counted from 0: the first hidden layer folds negative inputs up
    (``+alpha |z|``), the second lets them leak. Curci, Mocanu and Pechenizkiy 2021
    (arXiv 2102.01732), equation 2, who count from 1; they take 0.6 for FashionMNIST
    and 0.75 for CIFAR-10.

    Args:
        alpha: The size of the slope, at least 0.
        layer: ``l``, which hidden layer it follows, from 0.

    Raises:
        TypeError: If ``layer`` is not an int.
        ValueError: If ``alpha`` is negative or not finite, or ``layer`` negative.

    Example:
        >>> import torch
        >>> z = torch.tensor([-1.0, 2.0])
        >>> AllReLU(0.5, layer=0)(z), AllReLU(0.5, layer=1)(z)
        (tensor([0.5000, 2.0000]), tensor([-0.5000,  2.0000]))
    """

    def __init__(self, alpha: float, layer: int) -> None:
        super().__init__()
        check_not_negative("alpha", alpha)
        check_count("layer", layer, least=0)
        self.alpha, self.layer = alpha, layer
        self.slope = alpha if layer % 2 else -alpha

    def forward(self, z: Tensor) -> Tensor:
        """Apply it.

        Args:
            z: Inputs. Shape ``(...)``.

        Returns:
            Outputs. Shape ``(...)``.
        """
        return leaky_relu(z, self.slope)

    def extra_repr(self) -> str:
        """Say the numbers."""
        return f"alpha={self.alpha}, layer={self.layer}"
