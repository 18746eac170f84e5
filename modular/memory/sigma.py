"""How wrong an activation may be, from how much noise a gradient may have."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from modular._checks import check_count, check_positive
from modular.memory.codec import Codec, Identity, Steering
from modular.memory.linear_quantizer import LinearQuantizer

__all__ = ["SigmaController", "predicted_sigma"]


def predicted_sigma(bound: float, x: Tensor, dy: Tensor) -> Tensor:
    r"""Predict the noise of a weight's gradient from the error of its input.

    .. math:: \sigma_k = b \sqrt{\frac{R}{3} \sum_{n} \delta_{nk}^2}

    for an error that is uniform in ``[-b, b]`` where the input is not zero, ``R`` the
    share of those, ``delta`` the gradient of output ``k``: of each sample, and of each
    place in an image. In place of the empirical constant of Jin et al. 2021
    (arXiv 2111.09562), equation 6, which depends on the layer.

    Args:
        bound: ``b``.
        x: The input of the layer. Shape ``(batch, ...)``.
        dy: Gradient of its output. Shape ``(batch, outputs, ...)``.

    Returns:
        ``sigma`` of the gradient of each weight of an output. Shape ``(outputs,)``.

    Example:
        >>> import torch
        >>> predicted_sigma(0.1, torch.ones(4, 3), torch.ones(4, 2))
        tensor([0.1155, 0.1155])
    """
    energy = dy.detach().square().transpose(0, 1).flatten(1).sum(1)
    share = (x != 0).to(energy).mean()
    return bound * (share / 3 * energy).sqrt()


class SigmaController(Steering):
    r"""Give each activation the bound that leaves its gradient a little noise.

    .. math:: b = \frac{\text{share} \cdot \operatorname{mean} |\nabla W|}
                       {\max_k \sigma_k / b}

    Call :meth:`step` once in every training step. The first one, and each ``period``-th
    after it, takes the gradients of the backward pass before it; the steps between are
    not watched and cost nothing. Until the first one all is kept exactly. An activation
    belongs to the linear or convolutional layers that read it, of which the most
    sensitive decides; one that none reads is kept exactly.
    Jin et al. 2021 (arXiv 2111.09562), section 4, set ``share`` to 0.01 and ``period``
    to 1000; where they write a momentum, this takes the gradient itself.

    Args:
        model: Whose layers are watched. It must run its layers in the same order each
            time.
        share: Noise of a weight's gradient over its mean size, positive.
        period: Training steps from one setting of the bounds to the next.

    Raises:
        TypeError: If ``period`` is not an int.
        ValueError: If ``share`` is not positive, ``period`` below 1, or the model has
            no such layer.

    Example:
        >>> import torch
        >>> from modular.memory import compressed_activations
        >>> model = nn.Sequential(nn.Linear(8, 99), nn.ReLU(), nn.Linear(99, 1))
        >>> controller, x = SigmaController(model), torch.randn(64, 8)
        >>> for _ in range(2):  # exact, then compressed
        ...     with compressed_activations(model, controller) as kept:
        ...         model(x).square().mean().backward()
        ...     controller.step()
        >>> kept.peak < 4 * 64 * 99
        True
    """

    def __init__(self, model: nn.Module, share: float = 0.01, period: int = 1) -> None:
        check_positive("share", share)
        check_count("period", period, least=1)
        self.share, self.period, self._steps = share, period, 0
        self.layers = [
            m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)
        ]
        if not self.layers:
            raise ValueError("the model has no nn.Linear and no nn.Conv2d")
        self.bounds: dict[int, float] = {}
        self._readers: dict[int, set[nn.Module]] = {}
        self._noise: dict[nn.Module, Tensor] = {}
        self._hooks: list[RemovableHandle] = []
        for layer in self.layers:
            self._hooks.append(layer.register_forward_hook(self._forward))

    def remove(self) -> None:
        """Stop watching the layers."""
        for hook in self._hooks:
            hook.remove()

    def codec(self, number: int) -> Codec:
        """Return the codec of the activation that is kept as this one of a step.

        Args:
            number: Which one, from 0.

        Returns:
            Its codec.
        """
        bound = self.bounds.get(number)
        return Identity() if bound is None else LinearQuantizer(bound)

    def read(self, number: int, layer: nn.Module) -> None:
        """Note which layer reads an activation.

        Args:
            number: Which activation, from 0.
            layer: Which layer.
        """
        if self._watches():
            self._readers.setdefault(number, set()).add(layer)

    def step(self) -> None:
        """Set the bounds anew if it is time, before gradients are cleared.

        Raises:
            RuntimeError: If it is, and no backward pass went through the layers since
                the last time.
        """
        if not self._watches():
            self._steps += 1
            return
        if not self._noise:
            raise RuntimeError("no backward pass was seen: expected step() after it")
        self._steps += 1
        self.bounds = {}
        for number, layers in self._readers.items():
            bounds = [self._bound(layer) for layer in layers]
            if all(0 < bound < float("inf") for bound in bounds):
                self.bounds[number] = min(bounds)
        self._readers.clear()
        self._noise.clear()

    def _watches(self) -> bool:
        """Say whether the next call of step sets the bounds."""
        return self._steps % self.period == 0

    def _bound(self, layer: nn.Module) -> float:
        """Return the bound that a layer allows; NaN if it has no gradient."""
        energy, gradient = self._noise.get(layer), _gradient(layer)
        if energy is None or gradient is None:
            return float("nan")
        return (self.share * gradient.abs().mean() / energy.max().sqrt()).item()

    def _forward(self, layer: nn.Module, inputs: tuple[Any, ...], y: Tensor) -> None:
        if not y.requires_grad or not self._watches():
            return
        x = inputs[0].detach()
        share = (x != 0).to(x).mean()
        rows = 1 if isinstance(layer, nn.Conv2d) else -1  # where outputs stand

        def see(dy: Tensor) -> None:  # a layer may be used more than once
            energy = dy.detach().movedim(rows, 0).flatten(1).square().sum(1)
            before = self._noise.get(layer, torch.zeros_like(energy))
            self._noise[layer] = before + share / 3 * energy

        y.register_hook(see)


def _gradient(layer: nn.Module) -> Tensor | None:
    weight = layer.get_parameter("weight")
    return weight.grad
