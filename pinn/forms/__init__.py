"""The forms of a balance law: what a ``deepxde.Model`` is given as its data.

The strong form is the vanilla PINN; conservative (cPINN) and extended (XPINN) forms
couple subdomains; the variational form is the VPINN and hp-VPINN, made from a weak
form; finite elements are the yardstick, and adapt meshes.
"""

from pinn.forms.adapt import Adapted, adapt
from pinn.forms.collocation import Collocation
from pinn.forms.cpinn import Conservative
from pinn.forms.fem import FEMSolution, fem
from pinn.forms.first_order import first_order
from pinn.forms.interfaces import Interfaces
from pinn.forms.mean import Mean
from pinn.forms.strong import Strong
from pinn.forms.vpinn import Variational
from pinn.forms.weak_form import WeakForm
from pinn.forms.xpinn import Extended

__all__ = [
    "Adapted",
    "Collocation",
    "Conservative",
    "Extended",
    "FEMSolution",
    "Interfaces",
    "Mean",
    "Strong",
    "Variational",
    "WeakForm",
    "adapt",
    "fem",
    "first_order",
]
