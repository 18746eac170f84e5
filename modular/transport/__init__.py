"""How modules reach each other: in one process, in several, or asleep for a clock."""

from modular.transport.base import Transport
from modular.transport.calibrated import Calibrated
from modular.transport.in_process import InProcess
from modular.transport.processes import Processes
from modular.transport.rank import Rank

__all__ = ["Calibrated", "InProcess", "Processes", "Rank", "Transport"]
