"""One balance law, several discretisations: physics-informed networks on DeepXDE.

Importing this package chooses DeepXDE's PyTorch backend and float64, writes no file,
prints nothing, and leaves torch's default device and dtype as they were.

    >>> import torch
    >>> from pinn import Mesh, WeakForm, jet_of, zoo
    >>> problem = zoo.burgers()
    >>> x = torch.tensor([[0.5, 0.25]], dtype=torch.float64)
    >>> jet = jet_of(problem.exact, x, problem.wanted)
    >>> bool(problem.strong_residual(x, jet).abs() < 1e-10)
    True
"""

from pinn import zoo
from pinn.callbacks import (
    NTK,
    RAD,
    RAR,
    CausalWeights,
    GradientNorm,
    ResidualAttention,
    SelfAdaptive,
)
from pinn.derivatives import Jet, Wanted, divergence, jet_of
from pinn.domains import (
    Interface,
    Mesh,
    Partition,
    Rule,
    Tests,
    Triangulation,
    gauss_legendre,
    gauss_lobatto,
    legendre,
    lobatto,
)
from pinn.forms import (
    Adapted,
    Conservative,
    Extended,
    FEMSolution,
    Interfaces,
    Mean,
    Strong,
    Variational,
    WeakForm,
    adapt,
    fem,
    first_order,
)
from pinn.march import march
from pinn.methods import CPINN, XPINN, HardPINN, Vanilla
from pinn.metrics import flux_jump, mass_defect, relative_error, test_points
from pinn.networks import (
    BoxFeatures,
    FourierFeatures,
    HardConstraint,
    JetFNN,
    LocallyAdaptive,
    PeriodicFeatures,
    SubdomainFNN,
    sin,
    swish,
    tanh,
)
from pinn.optimizers import (
    SSBFGS,
    GainRatio,
    LevenbergMarquardt,
    SSBroyden,
    TargetRatio,
)
from pinn.problem import Problem
from pinn.race import Race, race
from pinn.solution import History, Solution
from pinn.solve import solve
from pinn.stored import load
from pinn.weak_methods import FEM, HPVPINN, VPINN
from pinn.zoo.reference import (
    SpectralSolution,
    buckley_leverett_fan,
    cole_hopf,
    etdrk4,
)

# fmt: off
__all__ = [
    # the problem
    "Problem", "zoo",
    "Mean", "first_order",
    # derivatives
    "Jet", "Wanted", "divergence", "jet_of",
    # references
    "FEMSolution", "SpectralSolution", "buckley_leverett_fan", "cole_hopf",
    "etdrk4", "fem",
    # elements and test functions
    "Adapted", "Interface", "Mesh", "Partition", "Rule", "Tests", "Triangulation",
    "WeakForm", "adapt", "gauss_legendre", "gauss_lobatto", "legendre", "lobatto",
    # discretisations: data of a deepxde.Model
    "Conservative", "Extended", "Interfaces", "Strong", "Variational",
    # networks
    "JetFNN", "LocallyAdaptive", "SubdomainFNN", "sin", "swish", "tanh",
    # solve and compare
    "CPINN", "FEM", "HPVPINN", "HardPINN", "History", "Race", "Solution", "VPINN",
    "Vanilla", "XPINN", "flux_jump", "load", "march", "mass_defect", "race",
    "relative_error", "solve", "test_points",
    # callbacks: points and weights
    "CausalWeights", "GradientNorm", "NTK", "RAD", "RAR", "ResidualAttention",
    "SelfAdaptive",
    # optimisers
    "GainRatio", "LevenbergMarquardt", "SSBFGS", "SSBroyden", "TargetRatio",
    # before and after the network
    "BoxFeatures", "FourierFeatures", "HardConstraint", "PeriodicFeatures",
]
# fmt: on
