"""Second-order optimisers for small networks, in float64.

The quasi-Newton methods keep a dense inverse Hessian; Levenberg-Marquardt keeps the
normal equations of the residuals, from the Jacobian that ``jacobian.py`` streams, and
chooses its damping by one of the rules of ``trust_region.py``.
"""

from pinn.optimizers.levenberg_marquardt import LevenbergMarquardt
from pinn.optimizers.ssbfgs import SSBFGS
from pinn.optimizers.ssbroyden import SSBroyden
from pinn.optimizers.trust_region import GainRatio, TargetRatio

__all__ = [
    "GainRatio",
    "LevenbergMarquardt",
    "SSBFGS",
    "SSBroyden",
    "TargetRatio",
]
