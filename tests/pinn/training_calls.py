"""How to call what trains: callbacks and optimisers."""

import torch

from pinn import (
    NTK,
    RAD,
    RAR,
    SSBFGS,
    CausalWeights,
    GainRatio,
    GradientNorm,
    JetFNN,
    LevenbergMarquardt,
    ResidualAttention,
    SelfAdaptive,
    SSBroyden,
    TargetRatio,
)
from pinn.optimizers.normal_equations import NormalEquations
from pinn.optimizers.trust_region import Trial

net = JetFNN([2, 5, 1], generator=torch.Generator().manual_seed(0))
x = torch.rand(7, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def searching() -> dict:
    """Return what a control of the damping is asked with."""
    p = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    equations = NormalEquations(lambda: p - 1, [p], 100)
    trial = Trial(equations, 2.0, lambda d: 0.0, lambda d, lam: d, 3)
    return {"trial": trial, "state": {"damping": 1.0}}


TRAINING = {
    "CausalWeights": lambda: (CausalWeights, {"slabs": 4}),
    "GradientNorm": lambda: (GradientNorm, {}),
    "NTK": lambda: (NTK, {}),
    "RAD": lambda: (RAD, {}),
    "RAR": lambda: (RAR, {}),
    "ResidualAttention": lambda: (ResidualAttention, {}),
    "SelfAdaptive": lambda: (SelfAdaptive, {}),
    "LevenbergMarquardt": lambda: (
        LevenbergMarquardt,
        {"params": net.parameters(), "residuals": lambda: net(x).flatten()},
    ),
    "SSBFGS": lambda: (SSBFGS, {"params": net.parameters()}),
    "SSBroyden": lambda: (SSBroyden, {"params": net.parameters()}),
    "GainRatio": lambda: (GainRatio, {}),
    "TargetRatio": lambda: (TargetRatio, {"target": 0.5, "probes": 3}),
    "GainRatio.search": lambda: (GainRatio().search, searching()),
    "TargetRatio.search": lambda: (TargetRatio().search, searching()),
}
