"""Where a problem lives: meshes, partitions, and test functions on their elements."""

from pinn.domains.basis import (
    Rule,
    Tests,
    gauss_legendre,
    gauss_lobatto,
    legendre,
    lobatto,
)
from pinn.domains.mesh import Mesh
from pinn.domains.partition import Interface, Partition
from pinn.domains.triangulation import Triangulation

__all__ = [
    "Interface",
    "Mesh",
    "Partition",
    "Rule",
    "Tests",
    "Triangulation",
    "gauss_legendre",
    "gauss_lobatto",
    "legendre",
    "lobatto",
]
