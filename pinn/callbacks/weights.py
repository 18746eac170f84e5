"""How much each loss, or each point, counts: callbacks of DeepXDE."""

from typing import Any

import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_count, check_positive

__all__ = ["NTK", "GradientNorm", "ResidualAttention", "SelfAdaptive"]


def _blocks(model: Any) -> list[Tensor]:
    """All residual blocks of the losses, conditions included, unweighted."""
    data, net = model.data, model.net
    like = next(net.parameters())
    blocks = data.blocks(net, data.points(like))
    if data.bcs:
        inputs = torch.as_tensor(data.train_x, device="cpu").to(like).requires_grad_()
        blocks = blocks + data._condition_errors(inputs, net(inputs))
        dde.grad.clear()
    return blocks


def _gradient(y: Tensor, params: list[Tensor]) -> Tensor:
    """Gradient of a scalar as one vector."""
    grads = torch.autograd.grad(y, params, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for g, p in zip(grads, params, strict=True)
        ]
    )


class _LossWeights(dde.callbacks.Callback):
    """Set ``model.loss_weights`` now and then."""

    def __init__(self, period: int = 100, *, momentum: float = 0.9) -> None:
        super().__init__()
        check_count("period", period, least=1)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum is {momentum}: expected 0 <= momentum < 1")
        self.period, self.momentum = period, momentum

    def on_train_begin(self) -> None:
        """Weigh for the first time."""
        self._set(0.0)

    def on_epoch_end(self) -> None:
        """Weigh anew, if it is time."""
        if not self.model.train_state.step % self.period:
            self._set(self.momentum)

    def _set(self, momentum: float) -> None:
        """Mix the new weights with the old ones."""
        params = [p for p in self.model.net.parameters() if p.requires_grad]
        new = self._weigh(_blocks(self.model), params)
        old = self.model.loss_weights
        old = new if old is None else torch.as_tensor(old).to(new)
        mixed = momentum * old + (1 - momentum) * new
        self.model.loss_weights = mixed.tolist()

    def _weigh(self, blocks: list[Tensor], params: list[Tensor]) -> Tensor:
        """Compute one weight per loss: ``(losses,)``."""
        raise NotImplementedError


class GradientNorm(_LossWeights):
    r"""Let every loss pull on the parameters equally hard.

    .. math:: \lambda_i = \frac{\sum_j \|\nabla L_j\|}{\|\nabla L_i\|}

    Wang, Sankaran, Wang and Perdikaris 2023 (arXiv:2308.08468).

    Args:
        period: Iterations between two updates.
        momentum: Share of the old weights in the new ones.

    Raises:
        TypeError: If ``period`` is not an int.
        ValueError: If a number is out of range.

    Example:
        >>> GradientNorm(period=100).momentum
        0.9
    """

    def _weigh(self, blocks: list[Tensor], params: list[Tensor]) -> Tensor:
        norms = torch.stack(
            [_gradient(b.square().mean(), params).norm() for b in blocks]
        )
        return norms.sum() / norms.clamp_min(1e-12 * norms.max().item())


class NTK(_LossWeights):
    r"""Let every loss fall at the same rate, by the neural tangent kernel's trace.

    .. math:: \lambda_i = \frac{\operatorname{tr} K}{\operatorname{tr} K_{ii}}, \qquad
              K_{ii} = J_i J_i^T

    Wang, Yu and Perdikaris 2022, J. Comput. Phys. 449, 110768. The traces
    are per residual and estimated from random signs, ``tr J J^T = E |J^T z|^2``.

    Args:
        period: Iterations between two updates.
        momentum: Share of the old weights in the new ones.
        probes: Random vectors per loss.
        seed: Their seed.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If a number is out of range.

    Example:
        >>> NTK(period=100, probes=4).probes
        4
    """

    def __init__(
        self,
        period: int = 100,
        *,
        momentum: float = 0.9,
        probes: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__(period, momentum=momentum)
        check_count("probes", probes, least=1)
        self.probes = probes
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def _weigh(self, blocks: list[Tensor], params: list[Tensor]) -> Tensor:
        traces = torch.stack([self._trace(b, params) / len(b) for b in blocks])
        return traces.sum() / traces.clamp_min(1e-12 * traces.max().item())

    def _trace(self, block: Tensor, params: list[Tensor]) -> Tensor:
        """Estimate the trace of ``J J^T``."""
        total = block.new_zeros(())
        for _ in range(self.probes):
            coin = torch.rand(block.shape, generator=self.generator) < 0.5
            z = torch.where(coin, 1.0, -1.0).to(block)
            total = total + _gradient((z * block).sum(), params).square().sum()
        return total / self.probes


class _PointWeights(dde.callbacks.Callback):
    """Set ``data.point_weights`` after each iteration."""

    def on_train_begin(self) -> None:
        """Start from equal weights."""
        self._sizes()
        self._ensure()

    def on_epoch_end(self) -> None:
        """Update the weights."""
        size = self._sizes()
        self.model.data.point_weights = self._update(self._ensure().to(size), size)

    def _sizes(self) -> Tensor:
        """Root of the sum of squared residuals at each point: ``(points, 1)``."""
        data, net = self.model.data, self.model.net
        count = len(data.train_x_all)
        blocks = data.blocks(net, data.points(next(net.parameters()))) if count else []
        columns = [b.detach() for b in blocks if len(b) == count]
        if not columns:
            raise ValueError(
                f"{type(data).__name__} has no residual at points: "
                f"{type(self).__name__} expects Strong, Conservative or Extended"
            )
        return torch.cat(columns, dim=1).square().sum(1, keepdim=True).sqrt()

    def _ensure(self) -> Tensor:
        """Return the weights; new points get the start value."""
        data = self.model.data
        if data.point_weights is None or len(data.point_weights) != len(
            data.train_x_all
        ):
            like = next(self.model.net.parameters())
            data.point_weights = like.new_ones(len(data.train_x_all), 1)
        return data.point_weights

    def _update(self, weights: Tensor, size: Tensor) -> Tensor:
        """Compute new weights from the old ones and the residuals."""
        raise NotImplementedError


class SelfAdaptive(_PointWeights):
    r"""Self-adaptive weights: climb where the network descends.

    .. math:: w_i \leftarrow w_i + \eta \, w_i r_i^2

    one weight per point, on the residual; McClenny and Braga-Neto 2023, J. Comput.
    Phys. 474, 111722, with the mask ``m(w) = w^2`` and a step of plain
    ascent.

    Args:
        rate: Step of the ascent.

    Raises:
        ValueError: If ``rate`` is not positive.

    Example:
        >>> SelfAdaptive(rate=0.1).rate
        0.1
    """

    def __init__(self, rate: float = 0.1) -> None:
        super().__init__()
        check_positive("rate", rate)
        self.rate = rate

    def _update(self, weights: Tensor, size: Tensor) -> Tensor:
        return weights + self.rate * weights * size.square()


class ResidualAttention(_PointWeights):
    r"""Residual-based attention: a running mean of normalised residuals.

    .. math:: w_i \leftarrow \gamma w_i + \eta \frac{|r_i|}{\max_j |r_j|}

    Anagnostopoulos, Toscano, Stergiopulos and Karniadakis 2024, CMAME 421, 116805. The
    weights multiply the residuals and stay below ``eta / (1 - gamma)``, once the start
    value of 1 is forgotten.

    Args:
        gamma: Memory.
        eta: Step.

    Raises:
        ValueError: If ``gamma`` is not between 0 and 1, or ``eta`` not positive.

    Example:
        >>> ResidualAttention().gamma
        0.999
    """

    def __init__(self, gamma: float = 0.999, eta: float = 0.01) -> None:
        super().__init__()
        if not 0 < gamma < 1:
            raise ValueError(f"gamma is {gamma}: expected 0 < gamma < 1")
        check_positive("eta", eta)
        self.gamma, self.eta = gamma, eta

    def _update(self, weights: Tensor, size: Tensor) -> Tensor:
        return self.gamma * weights + self.eta * size / size.max().clamp_min(1e-300)
