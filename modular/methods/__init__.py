"""How losses become updates: one file a method."""

from modular.methods.backprop import Backprop
from modular.methods.credit import Credit
from modular.methods.dgl import DGL
from modular.methods.difference_targets import DifferenceTargets
from modular.methods.greedy import Greedy
from modular.methods.interlocking import Interlocking
from modular.methods.kernel_modules import KernelModules
from modular.methods.synthetic_gradients import SyntheticGradients
from modular.methods.transfer import few_labels, transferability
from modular.methods.transport_greedy import TransportGreedy

__all__ = [
    "DGL",
    "Backprop",
    "Credit",
    "DifferenceTargets",
    "Greedy",
    "Interlocking",
    "KernelModules",
    "SyntheticGradients",
    "TransportGreedy",
    "few_labels",
    "transferability",
]
