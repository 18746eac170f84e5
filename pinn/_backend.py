"""DeepXDE on PyTorch: imported here and nowhere else in the package.

Importing DeepXDE by itself writes a file into the home folder, talks on stderr, moves
torch's default device to a GPU if there is one, and computes in float32. Here it is
told its backend, kept quiet, put back where it found torch, and set to float64.
"""

import contextlib
import importlib
import importlib.util
import io
import os
import sys
from types import ModuleType
from typing import Any

import torch

__all__ = ["dde"]

_BACKEND = "pytorch"


def _require(name: str) -> None:
    """Say the one line that installs what ``pip install`` without extras leaves out."""
    try:
        found = importlib.util.find_spec(name)
    except ImportError:
        found = None
    if found is None:
        raise ModuleNotFoundError(
            f"pinn needs {name}, which is not installed: "
            'pip install "beyond-the-black-box[pinn]"',
            name=name,
        )


def _load() -> ModuleType:
    """Import DeepXDE with the PyTorch backend; leave torch's defaults alone."""
    _require("deepxde")
    _require("skfem")  # is loaded where it is needed
    if "deepxde" not in sys.modules:
        asked = os.environ.setdefault("DDE_BACKEND", _BACKEND)
        if asked != _BACKEND:
            raise ImportError(
                f"DDE_BACKEND is {asked!r} but pinn needs {_BACKEND!r}: "
                f"set DDE_BACKEND={_BACKEND} before importing pinn"
            )
    device = torch.get_default_device()
    with contextlib.redirect_stderr(io.StringIO()):
        deepxde = importlib.import_module("deepxde")
    if torch.get_default_device() != device:
        torch.set_default_device(None if device.type == "cpu" else device)
    if deepxde.backend.backend_name != _BACKEND:
        raise ImportError(
            f"deepxde was imported with the backend {deepxde.backend.backend_name!r} "
            f"but pinn needs {_BACKEND!r}: import pinn first, or set "
            f"DDE_BACKEND={_BACKEND}"
        )
    # Not set_default_float: that one also changes torch's default dtype, and prints.
    deepxde.config.real.set_float64()
    return deepxde


dde: Any = _load()
