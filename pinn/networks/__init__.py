"""Networks that know their derivatives, and what comes before and after them."""

from pinn.derivatives.activations import LocallyAdaptive, sin, swish, tanh
from pinn.networks.jet_fnn import JetFNN
from pinn.networks.subdomain_fnn import SubdomainFNN
from pinn.networks.transforms import (
    BoxFeatures,
    FourierFeatures,
    HardConstraint,
    PeriodicFeatures,
)

__all__ = [
    "BoxFeatures",
    "FourierFeatures",
    "HardConstraint",
    "JetFNN",
    "LocallyAdaptive",
    "PeriodicFeatures",
    "SubdomainFNN",
    "sin",
    "swish",
    "tanh",
]
