"""States that a small network makes from the data."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modular._checks import check_count, check_positive
from modular.lifted.states import State, States
from modular.training import Step

__all__ = ["AuxNet", "Generated", "mlp"]

NetMaker = Callable[[torch.Size], nn.Module]


def mlp(shape: torch.Size, inputs: int, width: int) -> nn.Sequential:
    """Make a network with one hidden layer that returns a state.

    After Sun, Dong et al. 2021, whose auxiliary networks are of low capacity (their
    layers were not read).

    Args:
        shape: Of the state, without the batch.
        inputs: Numbers in one sample of the data.
        width: Of the hidden layer.

    Returns:
        The network.

    Example:
        >>> mlp(torch.Size([4, 2]), inputs=9, width=5)(torch.zeros(3, 9)).shape
        torch.Size([3, 4, 2])
    """
    hidden = nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, shape.numel())
    return nn.Sequential(nn.Flatten(), *hidden, nn.Unflatten(1, tuple(shape)))


class Generated(State):
    """A network that makes the state from the data.

    It stays in evaluation mode: chance would part the two copies.

    Args:
        net: Maps data to states.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def train(self, mode: bool = True) -> "Generated":
        """Stay in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def read(self, step: Step) -> Tensor:
        """Let the network make the state."""
        self.value = self.net(step.x)
        self.kappa = torch.zeros_like(self.value)
        return self.value

    def write(self, step: Step, value: Tensor, kappa: Tensor | None = None) -> None:
        """Set the gradient of the regression on the values."""
        for parameter in self.net.parameters():
            parameter.grad = None
        off = self.net(step.x) - value.detach()
        (off.square().sum() / (2 * len(off))).backward()


@dataclass(frozen=True)
class AuxNet(States):
    r"""Make states from the data by small networks, fitted to the moved states.

    .. math:: \lambda_k = A_k(x), \qquad \hat\lambda_k = \lambda_k - \eta
              (q_{k+1} - p_k), \qquad \min_{A_k} \tfrac12 \| A_k(x) - \hat\lambda_k \|^2

    A sample needs no number and may look different in each epoch, as under
    augmentation. One optimiser step a batch fits each network, by the module's
    optimiser. Sun, Dong et al. 2021, arXiv 2112.05387, "Layer-parallel training of
    residual networks with auxiliary-variable networks". Differs: a network for each
    cut, in place of one chain through all; their layers and rates were not read. There
    are no multipliers, which belong to samples.

    Args:
        net: Makes a network from the shape of a state, without the batch:
            ``functools.partial(mlp, inputs=64, width=16)``.
        rate: eta, the step of the states.
        seed: Of the networks' first weights.
        first: Epochs of a forward pass to which the networks are fitted before.

    Raises:
        TypeError: If ``net`` is no function, or ``seed`` or ``first`` is not an int.
        ValueError: If ``rate`` is not positive, or ``seed`` or ``first`` negative.

    Example:
        >>> from functools import partial
        >>> AuxNet(partial(mlp, inputs=4, width=2), rate=0.1).plan(epochs=2)
        [1, 0, 0]
    """

    net: NetMaker
    rate: float
    seed: int = 0
    first: int = 1
    indexed = False
    learned = True

    def __post_init__(self) -> None:
        if not callable(self.net) or isinstance(self.net, nn.Module):
            raise TypeError(
                f"net is {self.net!r}: expected a function that makes a network from "
                "the shape of a state, as partial(mlp, inputs=64, width=16)"
            )
        check_positive("rate", self.rate)
        check_count("seed", self.seed, least=0)
        check_count("first", self.first, least=0)

    def __repr__(self) -> str:  # no address: checkpoints compare it
        return f"AuxNet(..., rate={self.rate}, seed={self.seed}, first={self.first})"

    def make(self, row: Tensor, cut: int) -> State:
        """Return a network, the same for both neighbours of a cut."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed * 1000 + cut)
            net = self.net(row.shape[1:])
        return Generated(net.to(row.device, row.dtype))

    def plan(self, epochs: int) -> list[int]:
        """Return the epochs that fit the networks first, then training."""
        return [1] * self.first + [0] * epochs
