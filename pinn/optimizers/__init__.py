"""Second-order optimisers for small networks, in float64.

The quasi-Newton methods keep a dense inverse Hessian; Levenberg-Marquardt keeps the
Jacobian of the residuals, which ``jacobian.py`` computes.
"""

from pinn.optimizers.levenberg_marquardt import LevenbergMarquardt
from pinn.optimizers.ssbfgs import SSBFGS
from pinn.optimizers.ssbroyden import SSBroyden

__all__ = [
    "LevenbergMarquardt",
    "SSBFGS",
    "SSBroyden",
]
