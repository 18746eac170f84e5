"""Weights that go: by their size, by how they move, or a whole neuron at a time."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

__all__ = ["Movement", "shrink"]


class Movement:
    r"""Score weights by whether training moves them away from zero.

    .. math:: S = -\sum_{\text{steps}} w \, \frac{\partial L}{\partial w}

    A weight that grows in size has a positive score; one that shrinks goes, however
    large it still is. Sanh, Wolf and Rush 2020 (NeurIPS), equation 3. By size instead:
    ``torch.nn.utils.prune.L1Unstructured``.

    Args:
        layers: Whose weights are scored.

    Raises:
        ValueError: If there is no layer.

    Example:
        >>> import torch
        >>> layer = nn.Linear(4, 1)
        >>> movement = Movement([layer])
        >>> layer(torch.ones(2, 4)).sum().backward()
        >>> movement.see()
        >>> movement.prune(share=0.5)
        >>> int((layer.weight == 0).sum())
        2
    """

    def __init__(self, layers: Iterable[nn.Linear | nn.Conv2d]) -> None:
        self.layers = list(layers)
        if not self.layers:
            raise ValueError("layers is empty: expected at least one")
        self.scores = [torch.zeros_like(layer.weight) for layer in self.layers]
        self._seen = 0

    @torch.no_grad()
    def see(self) -> None:
        """Add what a step tells: between ``backward`` and the optimiser's step.

        Raises:
            ValueError: If a weight has no gradient.
        """
        for number, (layer, score) in enumerate(
            zip(self.layers, self.scores, strict=True)
        ):
            weight = getattr(layer, "weight_orig", layer.weight)
            if weight.grad is None:
                raise ValueError(
                    f"the weight of layer {number} has no gradient: expected see() "
                    "between backward() and step()"
                )
            score -= weight * weight.grad
        self._seen += 1

    def prune(self, share: float) -> None:
        """Hold the weights of least score at zero, over all layers together.

        Args:
            share: Of all weights, in [0, 1).

        Raises:
            ValueError: If ``share`` is outside [0, 1), or no step was seen.
        """
        if not 0 <= share < 1:
            raise ValueError(f"share is {share}: expected a number in [0, 1)")
        if not self._seen:
            raise ValueError("no step was seen: expected see() before prune()")
        every = torch.cat([score.flatten() for score in self.scores])
        mask = torch.ones_like(every)
        mask[every.argsort(stable=True)[: int(share * len(every))]] = 0
        parts = mask.split([score.numel() for score in self.scores])
        for layer, part in zip(self.layers, parts, strict=True):
            if prune.is_pruned(layer):
                prune.remove(layer, "weight")
            prune.custom_from_mask(layer, "weight", part.view_as(layer.weight))


@torch.no_grad()
def shrink(model: nn.Sequential, share: float) -> nn.Sequential:
    r"""Take the hidden neurons of least weight out, and give what is left.

    .. math:: I_j = \Bigl(\sum_i w_{ij}^2\Bigr)^{1/2}

    over what comes into neuron ``j``. Unlike a mask it makes matrices smaller: the
    result computes what the model does with those neurons' outputs at zero, and is
    dense. After Li, Kadav, Durdanovic, Samet and Graf 2017 (ICLR), who take the sum of
    sizes for filters.

    Args:
        model: Linear layers with activations between them that keep zero at zero.
        share: Of the neurons of each hidden layer, in [0, 1); one stays at least.

    Returns:
        A smaller model.

    Raises:
        TypeError: If it has another layer with weights than ``nn.Linear``, or none.
        ValueError: If ``share`` is outside [0, 1), or an activation moves zero: the
            neuron would leave a constant behind.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 2))
        >>> shrink(model, share=0.7)[0]
        Linear(in_features=4, out_features=3, bias=True)
    """
    if not 0 <= share < 1:
        raise ValueError(f"share is {share}: expected a number in [0, 1)")
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    if not linear:
        raise TypeError("the model has no nn.Linear: expected at least one")
    for layer in model:
        _check(layer)
    kept = [torch.arange(linear[0].in_features)]
    for layer in linear[:-1]:
        strength = layer.weight.norm(dim=1)
        gone = min(int(share * len(strength)), len(strength) - 1)
        kept.append(strength.argsort(stable=True)[gone:].sort().values)
    kept.append(torch.arange(linear[-1].out_features))
    smaller = iter(
        _part(layer, rows, columns)
        for layer, columns, rows in zip(linear, kept, kept[1:], strict=True)
    )
    return nn.Sequential(
        *(next(smaller) if isinstance(m, nn.Linear) else m for m in model)
    )


def _check(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        return
    if any(True for _ in layer.parameters()) or any(True for _ in layer.buffers()):
        raise TypeError(f"{layer} has weights: expected nn.Linear and activations only")
    moved = layer(torch.zeros(1, 1))
    if moved.any():
        raise ValueError(
            f"{layer} makes {moved.item():.3g} of 0: expected an activation that keeps "
            "zero at zero"
        )


def _part(layer: nn.Linear, rows: Tensor, columns: Tensor) -> nn.Linear:
    part = nn.Linear(len(columns), len(rows), bias=layer.bias is not None)
    part.to(layer.weight)
    part.weight.copy_(layer.weight[rows][:, columns])
    if layer.bias is not None:
        part.bias.copy_(layer.bias[rows])
    return part
