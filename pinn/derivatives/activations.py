"""Activations with their first two derivatives, so that jets can pass through them."""

from collections.abc import Callable

import torch
from torch import Tensor

from pinn._checks import check_callable, check_positive

__all__ = ["LocallyAdaptive", "sin", "swish", "tanh"]

Activation = Callable[[Tensor], "tuple[Tensor, Tensor, Tensor]"]


def tanh(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Evaluate the hyperbolic tangent, ``1 - tanh^2`` and ``-2 tanh (1 - tanh^2)``.

    The usual choice since Raissi, Perdikaris and Karniadakis 2019, J. Comput. Phys.
    378.

    Args:
        z: Shape ``(batch, width)``.

    Returns:
        Value, shape ``(batch, width)``, first derivative, shape ``(batch, width)``, and
        second, shape ``(batch, width)``.

    Example:
        >>> tanh(torch.zeros(1, 1))[1].item()
        1.0
    """
    a = torch.tanh(z)
    slope = 1 - a * a
    return a, slope, -2 * a * slope


def sin(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Evaluate the sine, its cosine and minus itself.

    For solutions that oscillate: Sitzmann et al. 2020, NeurIPS, without their scaling.

    Args:
        z: Shape ``(batch, width)``.

    Returns:
        Value, shape ``(batch, width)``, first derivative, shape ``(batch, width)``, and
        second, shape ``(batch, width)``.

    Example:
        >>> sin(torch.zeros(1, 1))[1].item()
        1.0
    """
    a = torch.sin(z)
    return a, torch.cos(z), -a


def swish(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Evaluate ``z s`` with the logistic ``s``; also called SiLU.

    Elfwing, Uchibe and Doya 2018, Neural Networks 107.

    Args:
        z: Shape ``(batch, width)``.

    Returns:
        Value, shape ``(batch, width)``, first derivative, shape ``(batch, width)``, and
        second, shape ``(batch, width)``.

    Example:
        >>> [t.item() for t in swish(torch.zeros(1, 1))]
        [0.0, 0.5, 0.5]
    """
    s = torch.sigmoid(z)
    ds = s * (1 - s)
    return z * s, s + z * ds, ds * (2 + z * (1 - 2 * s))


def _third_of_swish(z: Tensor, *_: Tensor) -> Tensor:
    """Differentiate swish three times."""
    s = torch.sigmoid(z)
    ds, odd = s * (1 - s), 1 - 2 * s
    return ds * (odd * (3 + z * odd) - 2 * z * ds)


# Third derivatives, from the argument, the value and the first two: for passes back
# that are written by hand.
THIRD: dict[Activation, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    tanh: lambda z, value, slope, bend: -2 * (slope * slope + value * bend),
    sin: lambda z, value, slope, bend: -slope,
    swish: _third_of_swish,
}


class LocallyAdaptive(torch.nn.Module):
    r"""An activation with a learned slope per layer, ``f(n a z)``.

    Jagtap, Kawaguchi and Karniadakis 2020, Proc. R. Soc. A 476, 20200334, layer-wise
    (L-LAAF), without the slope recovery term. It starts as ``f``: ``a = 1 / n``.

    Args:
        activation: ``tanh``, ``sin``, ``swish`` or one like them.
        n: Scale; the larger, the faster the slope moves.

    Raises:
        TypeError: If ``activation`` is not a function.
        ValueError: If ``n`` is not positive.

    Example:
        >>> value, slope, bend = LocallyAdaptive(tanh, n=10)(torch.zeros(1, 1))
        >>> slope.item()
        1.0
    """

    def __init__(self, activation: Activation, n: float = 10.0) -> None:
        super().__init__()
        check_callable("activation", activation)
        check_positive("n", n)
        self.activation, self.n = activation, float(n)
        self.a = torch.nn.Parameter(torch.tensor(1 / self.n, dtype=torch.float64))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Evaluate the activation.

        Args:
            z: Shape ``(batch, width)``.

        Returns:
            Value, shape ``(batch, width)``, first derivative, shape
            ``(batch, width)``, and second, shape ``(batch, width)``.
        """
        k = self.n * self.a
        a, slope, bend = self.activation(k * z)
        return a, k * slope, k * k * bend
