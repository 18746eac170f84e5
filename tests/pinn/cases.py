"""What the tests of the package share: every problem of the zoo, with its meshes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pinn import JetFNN, Mesh, Problem, zoo
from tests.pinn.calls import CALLS

__all__ = ["CALLS", "CASES", "Case", "rough", "seeded", "smooth", "smooth_points"]


@dataclass(frozen=True)
class Case:
    """A problem, and where its solution is smooth enough to be integrated exactly."""

    name: str
    elements: object
    degree: int
    points: int
    strong: float = 1e-10
    weak: float = 1e-12

    @property
    def problem(self) -> Problem:
        return getattr(zoo, self.name)()

    def mesh(self, problem: Problem) -> Mesh:
        return Mesh(problem.geometry, self.elements, degree=self.degree)


def graded(*half: float) -> list[float]:
    """Edges on both sides of zero."""
    return [-e for e in reversed(half)] + [0.0, *half]


LAYER = graded(0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.3, 0.6, 1.0)

CASES = [
    Case("burgers", [LAYER, [0.05, 0.2, 0.35, 0.5]], degree=4, points=24),
    Case(
        "poisson_1d_steep", [np.linspace(-1, 1, 81)], degree=6, points=24, strong=1e-8
    ),
    Case("poisson_2d_steep", [12, 4], degree=3, points=24),
    Case("helmholtz_2d", 4, degree=5, points=16),
    Case("advection", [4, 3], degree=4, points=14),
    Case("heat", 3, degree=4, points=14),
    # Where two fronts have formed; the kink at the ends is smooth by t = 0.2.
    Case("allen_cahn", [[0.2, 0.3, 0.4], [0.2, 0.4]], 3, points=24, strong=1e-8),
    Case("kovasznay", 3, degree=3, points=18),
    # Inside the fan, where the solution is smooth.
    Case("buckley_leverett", [[0.1, 0.2, 0.3], [0.3, 0.4, 0.5]], 3, points=24),
    # Away from the corner.
    Case("l_shape", [[-1, -0.6, -0.3], [-1, -0.6, -0.3]], degree=3, points=24),
]


def smooth_points(case: Case, count: int = 200) -> Tensor:
    """Random points in the case's elements."""
    mesh = case.mesh(case.problem)
    generator = torch.Generator().manual_seed(3)
    which = torch.randint(len(mesh), (count,), generator=generator)
    share = torch.rand(count, mesh.lower.shape[1], generator=generator).double()
    lower, upper = mesh.lower[which], mesh.upper[which]
    return lower + (upper - lower) * share


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(sizes: tuple = (2, 10, 10, 1)) -> JetFNN:
    """A network as it starts."""
    return JetFNN(sizes, generator=seeded())


def rough(net: torch.nn.Module) -> torch.nn.Module:
    """Move every parameter, the biases too."""
    generator = seeded(1)
    with torch.no_grad():
        for p in net.parameters():
            p += 0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return net
