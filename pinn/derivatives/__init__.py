"""Derivatives of networks by their inputs, without nested automatic differentiation.

A jet holds values and derivatives; the activations know theirs in closed form; fused
and compiled passes send a jet through all layers; a tape keeps what residuals read, for
the Jacobian of :mod:`pinn.optimizers`. ``deepxde_cache`` hands a jet to DeepXDE's own
``grad.jacobian`` and ``grad.hessian``.
"""

from pinn.derivatives.activations import LocallyAdaptive, sin, swish, tanh
from pinn.derivatives.deepxde_cache import cache_works, fill_cache
from pinn.derivatives.jets import Jet, Wanted, divergence, jet_of
from pinn.derivatives.tape import Tape, current_tape

__all__ = [
    "Jet",
    "LocallyAdaptive",
    "Tape",
    "Wanted",
    "cache_works",
    "current_tape",
    "divergence",
    "fill_cache",
    "jet_of",
    "sin",
    "swish",
    "tanh",
]
