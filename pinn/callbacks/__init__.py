"""Callbacks of a ``deepxde.Model``: where the points go, and what weighs how much."""

from pinn.callbacks.sampling import RAD, RAR, CausalWeights
from pinn.callbacks.weights import NTK, GradientNorm, ResidualAttention, SelfAdaptive

__all__ = [
    "CausalWeights",
    "GradientNorm",
    "NTK",
    "RAD",
    "RAR",
    "ResidualAttention",
    "SelfAdaptive",
]
