"""One profile of a model: what each layer, or each module, costs.

Cuts, pipelines, recomputation and placement all ask the same question, so that it is
answered once: how long, how much arithmetic, how many numbers to keep, how many to send
on.
"""

import copy
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from modular._checks import check_count, check_recorded, check_tensor
from modular._modes import evaluating
from modular.meter import SavedTensors

__all__ = ["COSTS", "Profile", "layers_of", "profile", "states_of"]


@dataclass(frozen=True)
class Profile:
    """What every layer costs, one row a layer, in the order of the model.

    Args:
        seconds: Wall-clock time of a forward pass of the whole batch, least of all
            repeats. Shape ``(layers,)``.
        backward_seconds: The same of the backward pass. Shape ``(layers,)``.
        flops: Of one forward pass, per sample: two for every multiplication in a
            product or a convolution. Shape ``(layers,)``.
        parameters: How many, those shared within a layer once. Shape ``(layers,)``.
        saved_bytes: What autograd keeps for the backward pass, per sample; parameters
            and buffers left out. Shape ``(layers,)``.
        boundary_bytes: What the layer hands on, per sample. Shape ``(layers,)``.
    """

    seconds: Tensor
    backward_seconds: Tensor
    flops: Tensor
    parameters: Tensor
    saved_bytes: Tensor
    boundary_bytes: Tensor


def profile(
    model: nn.Module | Sequence[nn.Module], x: Tensor, *, repeats: int = 3
) -> Profile:
    """Profile the layers of a model on a batch.

    Counts are exact and the same on every run; times are this machine's. For modules
    instead of layers give it ``[block.net for block in partition.blocks]``. FLOPs as in
    Hobbhahn and Sevilla 2021, "What's the backward-forward FLOP ratio": a product of
    ``(m, k)`` and ``(k, n)`` has ``2 m k n``.

    Args:
        model: An ``nn.Sequential`` or a list of layers to be applied in turn; any other
            module is one layer. Nothing of it changes.
        x: A batch of data. Shape ``(batch, ...)``.
        repeats: How often to measure times.

    Returns:
        One row per layer, as :class:`Profile`.

    Raises:
        TypeError: If ``x`` is no tensor, ``repeats`` no int, or a layer returns
            something else than one tensor.
        ValueError: If ``repeats`` is below 1, or there is no layer.

    Example:
        >>> layers = [nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)]
        >>> found = profile(layers, torch.zeros(5, 4))
        >>> found.flops, found.parameters
        (tensor([64,  0, 48]), tensor([40,  0, 27]))
        >>> found.saved_bytes, found.boundary_bytes  # floats of 4 bytes
        (tensor([16, 32, 32]), tensor([32, 32, 12]))
    """
    check_tensor("x", x)
    check_count("repeats", repeats, least=1)
    chain = isinstance(model, nn.Sequential | nn.ModuleList)
    single = isinstance(model, nn.Module) and not chain
    layers = layers_of([model] if single else model)
    states = states_of(layers, x)
    rows = [
        (
            *measure_seconds(layer, h, repeats),
            count_flops(layer, h),
            count_parameters(layer, h),
            count_saved_bytes(layer, h),
            out.nbytes // len(out),
        )
        for layer, h, out in zip(layers, states, states[1:], strict=False)
    ]
    forward, backward, *counts = zip(*rows, strict=True)
    times = [torch.tensor(t, dtype=torch.float64) for t in (forward, backward)]
    return Profile(*times, *map(torch.tensor, counts))


def layers_of(model: Any) -> list[nn.Module]:
    """Return the layers of a chain."""
    is_chain = isinstance(model, nn.Sequential | nn.ModuleList | list | tuple)
    layers = list(model) if is_chain else []
    if not layers or not all(isinstance(layer, nn.Module) for layer in layers):
        raise TypeError(
            f"model is a {type(model).__name__}: expected an nn.Sequential or a list "
            "of layers, at least one"
        )
    return layers


@torch.no_grad()
def states_of(layers: Sequence[nn.Module], x: Tensor) -> list[Tensor]:
    """Return the data and what every layer makes of it, in evaluation mode."""
    if len(x) == 0:
        raise ValueError("sample has 0 rows: expected one or more")
    for name, weight in nn.ModuleList(layers).named_parameters():
        check_recorded(f"the weight {name!r}", weight)
    states = [x]
    with evaluating(*layers):
        for index, layer in enumerate(layers):
            states.append(_next_state(index, layer, states[-1]))
    return states


def _next_state(index: int, layer: nn.Module, h: Tensor) -> Tensor:
    """Return what a layer makes of a state, or say what does not fit."""
    name = f"layer {index} ({type(layer).__name__})"
    own = next((p for p in layer.parameters() if p.is_floating_point()), h)
    if h.is_floating_point() and own.dtype != h.dtype:
        what = "the sample" if index == 0 else "what it is given"
        raise TypeError(
            f"{name} has weights of {own.dtype} but {what} is of {h.dtype}: expected "
            f"one dtype, as x.to({own.dtype})"
        )
    try:
        out = layer(h.clone())  # clone: in-place layers
    except (RuntimeError, IndexError, TypeError) as error:
        raise ValueError(
            f"{name} does not take shape {tuple(h.shape)} of {h.dtype}: {error}"
        ) from error
    if not isinstance(out, Tensor):
        raise TypeError(
            f"{name} returns a {type(out).__name__}: expected one tensor, as every "
            "layer hands on one; wrap it in a module that returns what the next one "
            "takes, such as the outputs of an LSTM without its state"
        )
    return out


# --- the columns ----------------------------------------------------------------------


def count_parameters(layer: nn.Module, h: Tensor) -> int:
    """Return the number of parameters of ``layer``, shared ones once."""
    return sum(p.numel() for p in layer.parameters())


def count_flops(layer: nn.Module, h: Tensor) -> int:
    """Return the FLOPs of one forward pass per sample: products and convolutions."""
    counter = FlopCounterMode(display=False, custom_mapping=_PRODUCTS)
    with evaluating(layer), torch.no_grad(), _unfused(), counter:
        layer(h.clone())
    return counter.get_total_flops() // len(h)


def count_saved_bytes(layer: nn.Module, h: Tensor) -> int:
    """Return the bytes that autograd keeps of ``layer`` per sample."""
    layer, h = _copied(layer, h)
    own = [*layer.parameters(), *layer.buffers()]
    with SavedTensors(exclude=own) as meter, torch.enable_grad():
        layer(h)
    return meter.peak // len(h)


def measure_seconds(
    layer: nn.Module, h: Tensor, repeats: int = 3
) -> tuple[float, float]:
    """Return the seconds of a forward and of a backward pass of the batch."""
    layer, h = _copied(layer, h)
    times = []
    for _ in range(repeats + 1):
        with torch.enable_grad():
            start = _clock(h)
            out = layer(h.clone())
            middle = _clock(h)
            if out.requires_grad:
                out.backward(torch.ones_like(out))
        times.append((middle - start, _clock(h) - middle))
    forward, backward = zip(*times[1:], strict=True)  # the first run warms up
    return min(forward), min(backward)


Count = Callable[[nn.Module, Tensor], float]

COSTS: dict[str, Count] = {
    "parameters": count_parameters,
    "flops": count_flops,
    "bytes": count_saved_bytes,
    "seconds": lambda layer, h: sum(measure_seconds(layer, h)),
}


def _copied(layer: nn.Module, h: Tensor) -> tuple[nn.Module, Tensor]:
    """Return copies to train on: statistics and gradients of the layer stay."""
    h = h.detach().clone()
    if h.is_floating_point():
        h.requires_grad_()
    return copy.deepcopy(layer), h


def _clock(h: Tensor) -> float:
    if h.is_cuda:
        torch.cuda.synchronize(h.device)
    return time.perf_counter()


@contextmanager
def _unfused() -> Iterator[None]:
    """Switch fused kernels off: torch's counter sees no products inside them.

    In evaluation mode attention, transformer layers and LSTMs would count as nothing.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # flags() speaks of hardware that is not there
        try:
            with (
                sdpa_kernel(SDPBackend.MATH),
                torch.backends.cudnn.flags(enabled=False),
                torch.backends.mkldnn.flags(enabled=False),
            ):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(before)


def _matrix_vector(a: torch.Size, b: torch.Size, **_: Any) -> int:
    return 2 * torch.Size(a).numel()


def _added_matrix_vector(c: torch.Size, a: torch.Size, b: torch.Size, **_: Any) -> int:
    return 2 * torch.Size(a).numel()


def _bilinear(a: torch.Size, w: torch.Size, b: torch.Size, *_: Any, **__: Any) -> int:
    rows, outputs = torch.Size(a[:-1]).numel(), w[0]
    return 2 * rows * (torch.Size(w).numel() + outputs * b[-1])


_aten = torch.ops.aten
_PRODUCTS: dict[Any, Any] = {  # what torch's counter leaves out, from shapes
    _aten.mv: _matrix_vector,
    _aten.dot: _matrix_vector,
    _aten.addmv: _added_matrix_vector,
    _aten._trilinear: _bilinear,
}
