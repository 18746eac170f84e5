"""What the state of a network holds beside its parameters and matrices.

Counts and thresholds that are not learned decide the output too. They are kept in the
state as a tensor, the bytes of their JSON text, so that every value of a ``state_dict``
can be cloned, compared and saved as tensors are.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unroll.networks.positive import Positive

__all__ = ["State", "code_of", "packed", "refuse_another", "scalars", "unpacked"]

State = Tensor | tuple[Tensor, ...]
"""What goes from layer to layer: a code, or a tuple that starts with it."""

KEY = "_extra_state"
"""Torch's name for it in a ``state_dict``."""


def packed(settings: Mapping[str, Any]) -> Tensor:
    """Return settings as a tensor of bytes. Shape ``(length,)``."""
    return torch.tensor(list(json.dumps(settings).encode()), dtype=torch.uint8)


def unpacked(state: Tensor | None) -> dict[str, Any]:
    """Return the settings that :func:`packed` packed; none where there are none."""
    if state is None:
        return {}
    try:
        return dict(json.loads(bytes(state.tolist())))
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"state has {KEY} = {str(state)[:60]}: expected the settings of a network, "
            "as its state_dict holds them"
        ) from None


def refuse_another(net: Any, state: Mapping, prefix: str, *_: object) -> None:
    """Refuse the state of another method before anything is taken from it."""
    saved, own = unpacked(state.get(prefix + KEY)), net.described()
    for name in net.must_agree:
        if name in saved and saved[name] != own[name]:
            raise ValueError(
                f"state has {name} = {saved[name]!r} but this network {own[name]!r}: "
                f"expected the same {name}"
            )
    start = prefix + "layers."
    layers = {key[len(start) :].split(".")[0] for key in state if key.startswith(start)}
    if layers and len(layers) != len(net.layers):
        raise ValueError(
            f"state has {len(layers)} layers of its own but this network "
            f"{len(net.layers)}: expected both tied, or both not"
        )
    missing = [name for name in own if name not in saved]
    if missing and prefix + KEY in state:
        raise ValueError(
            f"state lacks {', '.join(missing)}: an earlier version wrote it; expected "
            f"the state of a network with the settings {list(own)}"
        )


def scalars(layer: nn.Module) -> dict[str, Tensor]:
    """Return the scalars of one layer: its positive ones, then its free ones."""
    found = {
        name: child()
        for name, child in layer.named_children()
        if isinstance(child, Positive) and child.raw.ndim == 0
    }
    free = layer.named_parameters(recurse=False)
    return found | {name: value.detach() for name, value in free if value.ndim == 0}


def code_of(state: State) -> Tensor:
    """Return the code of a state."""
    return state[0] if isinstance(state, tuple) else state
