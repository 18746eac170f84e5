"""Layers that have one fixed point, whatever they have learned."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unroll._checks import check_count, check_number

__all__ = ["ContractiveLayer", "MonotoneLayer"]


def _random(*shape: int, generator: torch.Generator | None) -> nn.Parameter:
    """Return normal numbers that keep the size of what is multiplied."""
    return nn.Parameter(torch.randn(shape, generator=generator) / shape[-1] ** 0.5)


class ContractiveLayer(nn.Module):
    r"""A layer whose state matrix is kept below a norm.

    .. math:: f(z, x) = \tanh(W z + U x + c), \qquad
              W = V \min\left(1, \frac{L}{\|V\|_2}\right)

    so that ``||f(z, x) - f(y, x)|| <= L ||z - y||``: for ``L < 1`` there is one fixed
    point, and Picard's iteration finds it at that rate (Banach 1922, Fund. Math. 3).

    Args:
        states: Size n of the state.
        inputs: Size d of the input.
        bound: ``L``, positive and below 1.
        activation: In place of the tangent; the bound holds if its slope is at most 1.
        generator: Draws ``V`` and ``U``; ``c`` starts at 0.

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size is not positive, or ``bound`` out of range.

    Example:
        >>> layer = ContractiveLayer(states=3, inputs=2, bound=0.9)
        >>> layer(torch.zeros(5, 3), torch.ones(5, 2)).shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        states: int,
        inputs: int,
        bound: float = 0.9,
        activation: Callable = torch.tanh,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_count("states", states, least=1)
        check_count("inputs", inputs, least=1)
        check_number("bound", bound)
        if not 0 < bound < 1:
            raise ValueError(f"bound is {bound}: expected 0 < bound < 1")
        self.bound, self.activation = bound, activation
        self.V = _random(states, states, generator=generator)
        self.U = _random(states, inputs, generator=generator)
        self.c = nn.Parameter(torch.zeros(states))

    @property
    def W(self) -> Tensor:
        """The state matrix, of norm at most ``bound``."""
        norm = torch.linalg.matrix_norm(self.V, ord=2)
        return self.V * (self.bound / norm).clamp(max=1)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the next state.

        Args:
            z: State. Shape ``(batch, n)``.
            x: Input. Shape ``(batch, d)``.

        Returns:
            State. Shape ``(batch, n)``.
        """
        return self.activation(z @ self.W.T + x @ self.U.T + self.c)


class MonotoneLayer(nn.Module):
    r"""A layer that may stretch, and has one fixed point all the same.

    .. math:: f(z, x) = \max\left(0, z + \alpha (W z + U x + c - z)\right), \qquad
              W = (1 - m) I - P^T P + Q - Q^T, \qquad
              \alpha = \frac{m}{\|I - W\|_2^2}

    ``I - W`` is strongly monotone, ``v^T (I - W) v >= m |v|^2``, so that ``z = max(0, W
    z + U x + c)`` has one solution. ``f`` is the forward-backward step towards it, a
    contraction with factor ``sqrt(1 - m^2 / ||I - W||_2^2)``: Winston and Kolter 2020,
    NeurIPS (monotone operator equilibrium networks), theorem 1 and section 3.2. The
    step ``alpha`` changes the way and not the solution, and is not differentiated.

    Args:
        states: Size n of the state.
        inputs: Size d of the input.
        margin: ``m``, positive.
        generator: Draws ``P``, ``Q`` and ``U``; ``c`` starts at 0.

    Raises:
        TypeError: If a size is not an int.
        ValueError: If a size or ``margin`` is not positive.

    Example:
        >>> layer = MonotoneLayer(states=3, inputs=2, margin=0.5)
        >>> layer(torch.zeros(5, 3), torch.ones(5, 2)).shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        states: int,
        inputs: int,
        margin: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_count("states", states, least=1)
        check_count("inputs", inputs, least=1)
        check_number("margin", margin)
        if margin <= 0:
            raise ValueError(f"margin is {margin}: expected a positive number")
        self.margin = margin
        self.P = _random(states, states, generator=generator)
        self.Q = _random(states, states, generator=generator)
        self.U = _random(states, inputs, generator=generator)
        self.c = nn.Parameter(torch.zeros(states))

    @property
    def W(self) -> Tensor:
        """The state matrix: ``I - W`` is strongly monotone with ``margin``."""
        identity = torch.eye(len(self.P), dtype=self.P.dtype, device=self.P.device)
        return (1 - self.margin) * identity - self.P.T @ self.P + self.Q - self.Q.T

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the next state.

        Args:
            z: State. Shape ``(batch, n)``.
            x: Input. Shape ``(batch, d)``.

        Returns:
            State. Shape ``(batch, n)``.
        """
        W = self.W
        with torch.no_grad():
            identity = torch.eye(len(W), dtype=W.dtype, device=W.device)
            alpha = self.margin / torch.linalg.matrix_norm(identity - W, ord=2) ** 2
        move = z @ W.T + x @ self.U.T + self.c - z
        return torch.relu(z + alpha * move)
