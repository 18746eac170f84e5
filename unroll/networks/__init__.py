"""Networks unrolled from algorithms: a file per method, one base for all."""

from unroll.networks.adaptive import ALISTAAT
from unroll.networks.alista import ALISTA, TiLISTA
from unroll.networks.base import Unrolled
from unroll.networks.coupled import LISTACP, LISTACPSS
from unroll.networks.gated import AGLISTA, GLISTA
from unroll.networks.hyper import HyperLISTA, HyperSearch
from unroll.networks.lamp import LAMP
from unroll.networks.lista import LISTA, LISTASS
from unroll.networks.lvamp import LVAMP
from unroll.networks.neural import NAALISTA
from unroll.networks.positive import Positive
from unroll.networks.ridge import RidgeALISTA
from unroll.networks.step import StepLISTA
from unroll.networks.tista import TISTA

__all__ = [
    "AGLISTA",
    "ALISTA",
    "ALISTAAT",
    "GLISTA",
    "HyperLISTA",
    "HyperSearch",
    "LAMP",
    "LISTA",
    "LISTACP",
    "LISTACPSS",
    "LISTASS",
    "LVAMP",
    "NAALISTA",
    "Positive",
    "RidgeALISTA",
    "StepLISTA",
    "TISTA",
    "TiLISTA",
    "Unrolled",
]
