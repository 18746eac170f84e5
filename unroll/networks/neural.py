"""NA-ALISTA: a recurrent cell reads the residual and sets step and threshold."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from unroll._checks import check_count
from unroll.networks._state import State
from unroll.networks.analytic import Analytic
from unroll.networks.positive import Positive
from unroll.prox import support_select

__all__ = ["NAALISTA"]


class _Layer(nn.Module):
    """The layer of all depths: an LSTM cell, its first state, and its reading."""

    def __init__(
        self, start: Tensor, hidden: int, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.lstm = nn.LSTMCell(2, hidden)
        self.mix = nn.Linear(hidden, hidden)
        self.read = nn.Linear(hidden, 2)
        self.hidden = nn.Parameter(torch.zeros(hidden))
        self.cell = nn.Parameter(torch.zeros(hidden))
        self.to(start)
        with torch.no_grad():
            for parameter in (*self.lstm.parameters(), *self.mix.parameters()):
                bound = hidden**-0.5
                parameter.uniform_(-bound, bound, generator=generator)
            self.read.weight.zero_()
            self.read.bias.copy_(Positive(start).raw)

    def remember(
        self, seen: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what the cell gives, written out: torch.vmap has no rule for it."""
        own = self.lstm
        gates = linear(seen, own.weight_ih, own.bias_ih)
        gates = gates + linear(hidden, own.weight_hh, own.bias_hh)
        enter, forget, new, leave = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        return leave.sigmoid() * cell.tanh(), cell

    def forward(
        self, state: State, b: Tensor, A: Tensor, W: Tensor, keep: int
    ) -> State:
        """Return the next code and the memory of the cell."""
        x, hidden, cell = state
        r = torch.addmm(b, x, A.T, alpha=-1)  # (batch, m)
        move = r @ W  # (batch, n)
        sizes = torch.stack([r.abs().mean(dim=1), move.abs().mean(dim=1)], dim=1)
        tiny = torch.finfo(b.dtype).tiny
        hidden, cell = self.remember((sizes + tiny).log(), hidden, cell)
        numbers = softplus(self.read(torch.relu(self.mix(cell))))  # (batch, 2)
        gamma, theta = numbers.split(1, dim=1)
        return support_select(x + gamma * move, theta, keep), hidden, cell


class NAALISTA(Analytic):
    r"""Neurally augmented ALISTA: step and threshold for each sample.

    .. math:: r_k &= b - A x_k, \qquad
              (\gamma_k, \theta_k) = \mathrm{LSTM}(\|r_k\|_1, \|W^T r_k\|_1), \\
              x_{k+1} &= \eta^{\mathrm{keep}_k}_{\theta_k}
              \left( x_k + \gamma_k W^T r_k \right)

    Behrens, Sauder and Jung 2021, ICLR. The guarantees of ALISTA ask for a threshold in
    proportion to the l1 error of the sample; the two norms tell it. One cell serves all
    layers, so that the number of parameters does not depend on the depth. Differs: the
    cell sees the logarithm of the mean magnitudes, which fall by orders of magnitude
    over the layers, instead of the sums standardised by the first batch. Parent:
    ALISTA, which it equals at every depth before training, because the last map starts
    at weight 0 with ALISTA's numbers as its bias.

    Args:
        A: Dictionary. Shape ``(m, n)``.
        depth: Layers.
        lam: Weight of the Lasso whose ISTA the network starts at; None is 0.1.
        keep: As in :class:`ALISTA`.
        weight: The matrix ``W``; None is the analytic one. Shape ``(m, n)``.
        hidden: Width of the LSTM; 128 in the paper.
        generator: Source of the initial weights of the cell; None is torch's global
            one.

    Raises:
        TypeError: As :class:`ALISTA`, or if ``hidden`` is not an int.
        ValueError: As :class:`ALISTA`, or if ``hidden`` is not positive.

    Example:
        >>> net = NAALISTA(torch.eye(2), depth=1, lam=1.0, keep=0, hidden=4)
        >>> net(torch.tensor([[3.0, 0.5]]))
        tensor([[2., 0.]], grad_fn=<SubBackward0>)
    """

    def __init__(
        self,
        A: Tensor,
        depth: int = 16,
        *,
        lam: float | None = None,
        keep: int | Sequence[int] | None = None,
        weight: Tensor | None = None,
        hidden: int = 32,
        generator: torch.Generator | None = None,
    ) -> None:
        check_count("hidden", hidden, least=1)

        def layer(gamma: Tensor, theta: Tensor) -> _Layer:
            return _Layer(torch.stack([gamma, theta]), hidden, generator)

        super().__init__(A, depth, layer, lam=lam, keep=keep, weight=weight, tied=True)

    def start(self, b: Tensor) -> State:
        """Return the code 0 and the learned first memory."""
        layer: Any = self.layers[0]
        shape = (b.shape[0], -1)
        return self._zero(b), layer.hidden.expand(shape), layer.cell.expand(shape)
