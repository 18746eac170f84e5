"""A layer as a matrix: what goes in, what comes back, and its gradient."""

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "KINDS",
    "Layer",
    "factor_of_gradients",
    "factor_of_inputs",
    "gradient_of",
    "put",
    "refuse",
    "refuse_tied",
    "shapes",
]

Layer = nn.Linear | nn.Conv2d | nn.Embedding
KINDS = (nn.Linear, nn.Conv2d, nn.Embedding)


def refuse(name: str, layer: Layer) -> None:
    """Refuse layers that are no single matrix on what goes in."""
    if isinstance(layer, nn.Embedding) and (
        layer.sparse or layer.scale_grad_by_freq or layer.max_norm is not None
    ):
        raise ValueError(
            f"{name} has sparse={layer.sparse}, max_norm={layer.max_norm} and "
            f"scale_grad_by_freq={layer.scale_grad_by_freq}: expected a plain table "
            "with dense gradients"
        )
    if isinstance(layer, nn.Conv2d) and (
        layer.groups != 1 or layer.padding_mode != "zeros" or layer.padding == "same"
    ):
        raise ValueError(
            f"{name} has groups={layer.groups}, padding_mode={layer.padding_mode!r} "
            f"and padding={layer.padding!r}: expected one group, zeros around, and a "
            "number of them"
        )


def refuse_tied(layers: dict[str, Layer]) -> None:
    """Refuse layers that share a parameter: its gradient is a sum over both."""
    owners: dict[int, str] = {}
    for name, layer in layers.items():
        for p in layer.parameters():
            other = owners.setdefault(id(p), name)
            if other != name:
                raise ValueError(
                    f"layers {other!r} and {name!r} share a parameter: expected each "
                    "to have its own"
                )


def shapes(layer: Layer) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Return the shapes of both factors; that of a table's inputs is its diagonal."""
    if isinstance(layer, nn.Embedding):
        m, n = layer.embedding_dim, layer.num_embeddings
        return (n,), (m, m)
    m, n = len(layer.weight), layer.weight[0].numel() + (layer.bias is not None)
    return (n, n), (m, m)


def factor_of_inputs(layer: Layer, x: Tensor) -> Tensor:
    """Return the mean of ``a a^T`` over samples and places, ``a`` with a 1 at its end.

    Args:
        layer: Linear; a convolution, whose ``a`` are patches; or a table, whose ``a``
            are unit vectors, zero at its ``padding_idx``.
        x: What went in. Shape ``(batch, ...)``.

    Returns:
        The factor. Shape ``(n, n)``, or of a table its diagonal, ``(n,)``.
    """
    if isinstance(layer, nn.Embedding):
        seen = torch.bincount(x.flatten(), minlength=layer.num_embeddings)
        if layer.padding_idx is not None:
            seen[layer.padding_idx] = 0
        return seen.to(layer.weight) / x.numel()
    if isinstance(layer, nn.Conv2d):
        padding = 0 if isinstance(layer.padding, str) else layer.padding  # "valid"
        cut = layer.kernel_size, layer.dilation, padding, layer.stride
        a = functional.unfold(x, *cut).mT.flatten(0, 1)  # type: ignore[arg-type]
    else:
        a = x.flatten(0, -2)
    if layer.bias is not None:
        a = torch.cat([a, a.new_ones(len(a), 1)], dim=1)
    return a.T @ a / len(a)


def factor_of_gradients(layer: Layer, g: Tensor) -> Tensor:
    """Return the mean over samples of the sum over places of ``g g^T``.

    Args:
        layer: Linear, a convolution or a table.
        g: Gradient of a mean loss by what came out. Shape ``(batch, ...)``.

    Returns:
        The factor. Shape ``(m, m)``.
    """
    batch = len(g)
    rows = g.movedim(1, -1) if isinstance(layer, nn.Conv2d) else g
    rows = batch * rows.flatten(0, -2)
    return rows.T @ rows / batch


def gradient_of(layer: Layer) -> Tensor:
    """Return the gradient of weights and bias as one matrix. Shape ``(m, n)``."""
    if isinstance(layer, nn.Embedding):
        assert layer.weight.grad is not None
        return layer.weight.grad.T
    parts = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]
    columns = [p.grad.view(len(p), -1) for p in parts if p.grad is not None]
    return torch.cat(columns, dim=1)


def put(layer: Layer, W: Tensor) -> None:
    """Make a matrix the layer's gradient; shape ``(m, n)``."""
    if isinstance(layer, nn.Embedding):
        layer.weight.grad = W.T.contiguous()
        return
    if layer.bias is not None:
        layer.bias.grad = W[:, -1].clone()
        W = W[:, :-1]
    layer.weight.grad = W.reshape(layer.weight.shape).clone()
