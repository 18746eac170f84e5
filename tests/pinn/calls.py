"""How to call every public name of the package."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pinn import (
    CPINN,
    FEM,
    HPVPINN,
    VPINN,
    XPINN,
    BoxFeatures,
    Conservative,
    Extended,
    FourierFeatures,
    HardConstraint,
    HardPINN,
    History,
    Interface,
    Interfaces,
    Jet,
    JetFNN,
    LocallyAdaptive,
    Mean,
    Mesh,
    Partition,
    PeriodicFeatures,
    Problem,
    Race,
    Solution,
    SpectralSolution,
    Strong,
    SubdomainFNN,
    Triangulation,
    Vanilla,
    Variational,
    Wanted,
    WeakForm,
    adapt,
    buckley_leverett_fan,
    cole_hopf,
    divergence,
    etdrk4,
    fem,
    first_order,
    flux_jump,
    gauss_legendre,
    gauss_lobatto,
    jet_of,
    legendre,
    load,
    lobatto,
    march,
    mass_defect,
    race,
    relative_error,
    sin,
    solve,
    swish,
    tanh,
    test_points,
    zoo,
)
from pinn._backend import dde
from tests.pinn.training_calls import TRAINING


def drawn(*shape: int) -> Tensor:
    """Draw a tensor; all cases draw the same way."""
    return torch.rand(*shape, generator=seed(), dtype=torch.float64)


def seed() -> torch.Generator:
    """Return a new generator."""
    return torch.Generator().manual_seed(0)


heat, steep = zoo.heat(), zoo.poisson_1d_steep()
x, line = drawn(7, 2), drawn(6) * 2 - 1
net = JetFNN([2, 5, 1], generator=seed())
parts = Partition(heat.geometry, [[0.4]])
pieces = SubdomainFNN(parts, [2, 4, 1], generator=seed())
mesh = Mesh(heat.geometry, 2, degree=3)
form = WeakForm(heat, mesh)
boxes = {"lower": mesh.lower, "upper": mesh.upper, "degrees": mesh.degrees}
vanilla, weak = Vanilla(40, 8, hidden=(5,)), HPVPINN(2, 2, num_sides=8, hidden=(5,))
counts = {"problem": heat, "num_domain": 9, "num_boundary": 4, "num_initial": 4}


def jet() -> Jet:
    """Return a jet at the points."""
    return net.jet(x, Wanted.all(2))


def solved() -> Solution:
    """Return a solution."""
    return solve(heat, weak, iterations=1)


KEPT = Path(tempfile.mkdtemp())


def kept() -> Path:
    """Return a file with a solution."""
    solve(heat, FEM(4)).save(KEPT / "heat.pt")
    return KEPT / "heat.pt"


def raced() -> Race:
    """Return a race of one."""
    return Race({"FEM": [solve(heat, FEM(4))]})


def constant(x: Tensor) -> Tensor:
    """Return ones, one component."""
    return torch.ones_like(x[:, :1])


def making(method: object) -> dict:
    """Return what an optimiser is made of."""
    data = method.data(heat)
    return {"net": method.net(heat, seed()), "data": data}


spectral = {"coefficients": drawn(4, 8) + 0j, "left": -1.0, "right": 1.0, "end": 1.0}
modes = {
    "initial": lambda x: np.sin(np.pi * x),
    "linear": lambda k: -(k**2),
    "nonlinear": lambda u: 0 * u,
    "interval": (-1.0, 1.0),
    "end": 0.1,
}
box = {"left": 0, "right": 1, "axis": 0, "lower": (0.4,), "upper": (0.4,)}
random = {"problem": heat, "generator": seed()}
wave = Problem(
    heat.geometry, lambda x, u, p: torch.stack([-p[..., 0], p[..., 1]], dim=-1)
)
round_ = dde.geometry.Disk([0, 0], 1)
ring = {"geometry": round_ - dde.geometry.Disk([0, 0], 0.5), "size": 0.4}

CALLS = TRAINING | {
    "Problem": lambda: (Problem, {"geometry": heat.geometry, "flux": heat.flux}),
    "Problem.inside": lambda: (heat.inside, {"x": x}),
    "Problem.strong_residual": lambda: (heat.strong_residual, {"x": x, "jet": jet()}),
    "Problem.normal_flux": lambda: (
        heat.normal_flux,
        {"x": x, "jet": jet(), "normal": drawn(7, 2)},
    ),
    "Problem.check_balance_law": lambda: (heat.check_balance_law, {"who": "FEM"}),
    "Problem.exact_numpy": lambda: (heat.exact_numpy, {"x": x.numpy()}),
    "Problem.known": lambda: (heat.known, {}),
    "Problem.probes": lambda: (heat.probes, {}),
    "Jet": lambda: (Jet, {"u": jet().u, "p": jet().p, "H": jet().H}),
    "Jet.assemble": lambda: (
        Jet.assemble,
        {"u": drawn(7, 1), "first": {}, "second": {}, "dim": 2},
    ),
    "Wanted": lambda: (Wanted, {"first": (0,)}),
    "Wanted.all": lambda: (Wanted.all, {"dim": 2}),
    "divergence": lambda: (divergence, {"flux": heat.flux, "x": x, "jet": jet()}),
    "jet_of": lambda: (jet_of, {"net": net, "x": x, "wanted": Wanted.all(2)}),
    "FEMSolution": lambda: (fem, {"problem": heat, "mesh": Mesh(heat.geometry, 4)}),
    "Adapted": lambda: (adapt, {"problem": heat, "mesh": Mesh(heat.geometry, 2)}),
    "adapt": lambda: (adapt, {"problem": heat, "mesh": Mesh(heat.geometry, 2)}),
    "fem": lambda: (fem, {"problem": heat, "mesh": Mesh(heat.geometry, 4)}),
    "first_order": lambda: (first_order, {"problem": wave}),
    "SpectralSolution": lambda: (SpectralSolution, spectral),
    "buckley_leverett_fan": lambda: (buckley_leverett_fan, {"x": x}),
    "cole_hopf": lambda: (cole_hopf, {"x": x, "nu": 0.1}),
    "etdrk4": lambda: (etdrk4, modes),
    "Interface": lambda: (Interface, box),
    "Mean": lambda: (Mean, {"mesh": mesh, "value": 0.5}),
    "Mesh": lambda: (Mesh, {"geometry": heat.geometry, "elements": 2} | boxes),
    "Mesh.refine": lambda: (mesh.refine, {"marks": mesh.degrees > 0}),
    "Mesh.from_geometry": lambda: (Mesh.from_geometry, ring),
    "Triangulation": lambda: (Triangulation, vars(Mesh.from_geometry(**ring))),
    "Triangulation.from_geometry": lambda: (Triangulation.from_geometry, ring),
    "Triangulation.area": lambda: (Mesh.from_geometry(**ring).area, {}),
    "Partition": lambda: (Partition, {"geometry": heat.geometry, "cuts": [[0.4]]}),
    "Partition.locate": lambda: (parts.locate, {"x": x}),
    "Rule": lambda: (gauss_legendre, {"points": 3}),
    "gauss_legendre": lambda: (gauss_legendre, {"points": 3}),
    "gauss_lobatto": lambda: (gauss_lobatto, {"points": 3}),
    "Tests": lambda: (lobatto, {"bubbles": 3, "x": line}),
    "lobatto": lambda: (lobatto, {"bubbles": 3, "x": line}),
    "legendre": lambda: (legendre, {"degree": 3, "x": line}),
    "WeakForm": lambda: (WeakForm, {"problem": heat, "mesh": mesh}),
    "WeakForm.load": lambda: (
        WeakForm(zoo.poisson_1d_steep(), Mesh(zoo.poisson_1d_steep().geometry)).load,
        {},
    ),
    "WeakForm.to": lambda: (form.to, {"like": x}),
    "WeakForm.residual": lambda: (
        form.residual,
        {"jet": net.jet(form.x, form.wanted)},
    ),
    "WeakForm.element_norm": lambda: (form.element_norm, {"R": drawn(form.tests, 1)}),
    "Conservative": lambda: (Conservative, counts | {"partition": parts}),
    "Extended": lambda: (Extended, counts | {"partition": parts}),
    "Interfaces": lambda: (Interfaces, {"partition": parts, "count": 3}),
    "Interfaces.to": lambda: (Interfaces(parts, 3).to, {"like": x}),
    "Interfaces.sides": lambda: (
        Interfaces(parts, 3).sides,
        {"net": pieces, "wanted": Wanted((0,))},
    ),
    "Strong": lambda: (Strong, counts),
    "Variational": lambda: (
        Variational,
        {"problem": heat, "mesh": mesh, "num_boundary": 4, "num_initial": 4},
    ),
    "Variational.element_norm": lambda: (
        Variational(heat, mesh, 4, 4).element_norm,
        {"net": net},
    ),
    "JetFNN": lambda: (JetFNN, {"layer_sizes": [2, 5, 1]}),
    "JetFNN.jet": lambda: (net.jet, {"x": x, "wanted": Wanted.all(2)}),
    "LocallyAdaptive": lambda: (LocallyAdaptive, {"activation": tanh}),
    "SubdomainFNN": lambda: (
        SubdomainFNN,
        {"partition": parts, "layer_sizes": [2, 4, 1]},
    ),
    "SubdomainFNN.jet": lambda: (pieces.jet, {"x": x, "wanted": Wanted.all(2)}),
    "SubdomainFNN.traces": lambda: (
        pieces.traces,
        {"x": x, "index": parts.locate(x), "wanted": Wanted()},
    ),
    "sin": lambda: (sin, {"z": x}),
    "swish": lambda: (swish, {"z": x}),
    "tanh": lambda: (tanh, {"z": x}),
    "CPINN": lambda: (CPINN, {"cuts": [[0.4]]}),
    "CPINN.data": lambda: (CPINN([[0.4]]).data, {"problem": heat}),
    "XPINN": lambda: (XPINN, {"cuts": [[], [0.5]]}),
    "XPINN.data": lambda: (XPINN([[], [0.5]]).data, {"problem": heat}),
    "FEM": lambda: (FEM, {"elements": 4}),
    "FEM.mesh": lambda: (FEM(4).mesh, {"problem": heat}),
    "HPVPINN": lambda: (HPVPINN, {"elements": 2}),
    "HPVPINN.data": lambda: (weak.data, {"problem": heat}),
    "HPVPINN.net": lambda: (weak.net, random),
    "HPVPINN.optimizer": lambda: (weak.optimizer, making(weak)),
    "HPVPINN.callbacks": lambda: (weak.callbacks, {"seed": 0}),
    "VPINN": lambda: (VPINN, {}),
    "HardPINN": lambda: (HardPINN, {}),
    "Vanilla": lambda: (Vanilla, {}),
    "Vanilla.data": lambda: (vanilla.data, {"problem": heat}),
    "Vanilla.net": lambda: (vanilla.net, random),
    "Vanilla.optimizer": lambda: (vanilla.optimizer, making(vanilla)),
    "Vanilla.callbacks": lambda: (vanilla.callbacks, {"seed": 0}),
    "History": lambda: (
        History,
        {"seconds": drawn(3), "loss": drawn(3), "error": drawn(3)},
    ),
    "Race": lambda: (Race, {"solutions": {}}),
    "Race.table": lambda: (raced().table, {}),
    "Race.plot": lambda: (raced().plot, {}),
    "race": lambda: (
        race,
        {"problem": heat, "methods": {"FEM": FEM(4)}, "seconds": 0.1, "seeds": [0]},
    ),
    "Solution": lambda: (
        solve,
        {"problem": heat, "method": weak, "iterations": 1},
    ),
    "Solution.predict": lambda: (solved().predict, {"x": x}),
    "Solution.error": lambda: (solved().error, {"x": x}),
    "Solution.flux_jump": lambda: (solved().flux_jump, {}),
    "Solution.mass_defect": lambda: (solved().mass_defect, {}),
    "Solution.save": lambda: (solved().save, {"path": KEPT / "again.pt"}),
    "march": lambda: (
        march,
        {"problem": heat, "method": vanilla, "slabs": 2, "iterations": 1},
    ),
    "load": lambda: (load, {"path": kept(), "problem": heat, "method": FEM(4)}),
    "Solution.plot": lambda: (solved().plot, {}),
    "Solution.animate": lambda: (solved().animate, {"frames": 1}),
    "solve": lambda: (solve, {"problem": heat, "method": FEM(4)}),
    "flux_jump": lambda: (
        flux_jump,
        {"problem": heat, "net": pieces, "partition": parts},
    ),
    "mass_defect": lambda: (mass_defect, {"problem": heat, "net": constant}),
    "relative_error": lambda: (
        relative_error,
        {"problem": heat, "net": constant, "x": x},
    ),
    "test_points": lambda: (test_points, {"problem": heat, "count": 9}),
    "BoxFeatures": lambda: (BoxFeatures, {"lower": [0.0], "upper": [30.0]}),
    "FourierFeatures": lambda: (FourierFeatures, {"dim": 2, "count": 3}),
    "HardConstraint": lambda: (
        HardConstraint,
        {"lift": constant, "distance": constant},
    ),
    "PeriodicFeatures": lambda: (PeriodicFeatures, {"axis": 0, "period": 2.0}),
}
