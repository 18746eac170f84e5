"""Activations that are kept small between forward and backward."""

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.hooks import RemovableHandle

from modular._checks import check_count
from modular.memory.codec import Codec, Steering

__all__ = ["compressed_activations"]


class _Held:
    """What autograd keeps in the place of an activation."""

    def __init__(self, codec: Codec, x: Tensor, number: int) -> None:
        self.codec, self.number = codec, number
        self.kept = codec.encode(x)
        self.bytes = codec.count(self.kept)


class compressed_activations:
    """Let autograd keep activations through a codec while the block runs.

    Everything that autograd saves passes here. Parameters and buffers, what is no
    floating-point number, what needs no gradient (the data) and what is small stay as
    they are; the rest is kept encoded, once, however often it is saved (a ReLU saves
    its result, the next layer its input: the same numbers). The forward pass is not
    changed. Where a layer's input is only multiplied by the gradient, as in linear and
    convolutional ones, the error stays in that layer's weight; functions that compute
    their derivative from what they saved (sigmoid, softmax, normalisations, products of
    two activations) pass it on. Jin et al. 2021 (arXiv 2111.09562), section 3.

    Args:
        model: Whose parameters are left alone, and whose layers tell a controller what
            they read.
        codec: For all activations; or a controller, which has one for each.
        least: Tensors of fewer numbers stay as they are.

    Raises:
        TypeError: If ``least`` is not an int.
        ValueError: If it is negative, or a weight of the model is computed from others
            (rounded, normalised, masked), since it could not be told from an
            activation; from the forward pass: if an activation is not finite.

    Example:
        >>> from modular.memory import LinearQuantizer
        >>> model = nn.Sequential(nn.Linear(8, 99), nn.ReLU(), nn.Linear(99, 1))
        >>> x = torch.randn(64, 8)
        >>> with compressed_activations(model, LinearQuantizer(0.01)) as kept:
        ...     loss = model(x).square().mean()
        >>> loss.backward()
        >>> kept.plain, kept.peak < kept.plain / 2
        (25344, True)

    ``peak`` is the most bytes of encoded activations at one moment, ``now`` those of
    this moment, ``plain`` what they would take as they are.
    """

    def __init__(
        self, model: nn.Module, codec: Codec | Steering, least: int = 1024
    ) -> None:
        check_count("least", least, least=0)
        for name, layer in model.named_modules():
            for kind in ("weight", "bias"):
                if isinstance(getattr(layer, kind, None), Tensor) and (
                    kind not in layer._parameters and kind not in layer._buffers
                ):
                    raise ValueError(
                        f"{name}.{kind} is computed from other parameters: expected "
                        "parameters, which are left alone"
                    )
        self.model, self.codec, self.least = model, codec, least
        self.now = self.peak = self.plain = 0
        own = [*model.parameters(), *model.buffers()]
        self._own = {t.untyped_storage().data_ptr() for t in own}
        self._known: dict[int, tuple[StorageWeakRef, dict[Any, Any]]] = {}
        self._number = 0
        self._layers: list[RemovableHandle] = []
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)

    def __enter__(self) -> "compressed_activations":
        self._number = 0
        if isinstance(self.codec, Steering):
            self._layers = [
                layer.register_forward_hook(self._read)
                for layer in self.model.modules()
                if isinstance(layer, nn.Linear | nn.Conv2d)
            ]
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)
        for hook in self._layers:
            hook.remove()
        self._known.clear()

    def _pack(self, x: Tensor) -> Tensor | tuple[_Held, torch.Size]:
        if (
            not x.is_floating_point()
            or not x.requires_grad
            or x.numel() < self.least
            or x.untyped_storage().data_ptr() in self._own
        ):
            return x
        held = self._look(x)
        if held is None:
            codec = self.codec
            chosen = codec if isinstance(codec, Codec) else codec.codec(self._number)
            held = _Held(chosen, x.detach(), self._number)
            self._number += 1
            self._keep(x, held)
        return held, x.shape

    @staticmethod
    def _unpack(packed: Tensor | tuple[_Held, torch.Size]) -> Tensor:
        if isinstance(packed, Tensor):
            return packed
        held, shape = packed
        return held.codec.decode(held.kept).view(shape)

    def _look(self, x: Tensor) -> _Held | None:
        """Find what is kept of the same numbers already."""
        _, known = self._known.get(x.untyped_storage()._cdata, (None, {}))
        found: _Held | None = known.get(_view(x), lambda: None)()
        return found

    def _keep(self, x: Tensor, held: _Held) -> None:
        """Note it by its storage, whose place nobody gets as long as it is noted."""
        storage = x.untyped_storage()
        if storage._cdata not in self._known:
            self._known[storage._cdata] = (StorageWeakRef(storage), {})
        _, known = self._known[storage._cdata]
        known[_view(x)] = weakref.ref(held)
        self.now += held.bytes
        self.peak = max(self.peak, self.now)
        self.plain += x.numel() * x.element_size()
        weakref.finalize(held, self._drop, held.bytes)

    def _drop(self, count: int) -> None:
        self.now -= count

    def _read(self, layer: nn.Module, inputs: tuple[Any, ...], y: Tensor) -> None:
        held = self._look(inputs[0])
        if held is not None and isinstance(self.codec, Steering):
            self.codec.read(held.number, layer)


def _view(x: Tensor) -> tuple:
    """What tells the numbers of a storage apart; another shape of them does not."""
    where = (x._version, x.dtype, x.storage_offset(), x.numel())
    return where if x.is_contiguous() else (*where, x.shape, x.stride())
