"""Problems with known solutions, each one call away.

Every problem carries its conditions as DeepXDE objects, its solution as a function that
torch can differentiate and, where one is known, a hard constraint. All quantities are
dimensionless. The accuracy of a solution is stated where it is not round-off.
"""

from pinn.zoo.elliptic import (
    helmholtz_2d,
    kovasznay,
    l_shape,
    poisson_1d_steep,
    poisson_2d_steep,
)
from pinn.zoo.evolution import (
    advection,
    allen_cahn,
    buckley_leverett,
    burgers,
    heat,
)

__all__ = [
    "advection",
    "allen_cahn",
    "buckley_leverett",
    "burgers",
    "heat",
    "helmholtz_2d",
    "kovasznay",
    "l_shape",
    "poisson_1d_steep",
    "poisson_2d_steep",
]
