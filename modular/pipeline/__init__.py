"""Pipelines: a model spread over ranks, and the order in which they work.

>>> from modular.pipeline import Chimera, Cost, OneFOneB, simulate
>>> for scheme in (OneFOneB(), Chimera(), Chimera(pairs=2)):
...     found = simulate(scheme.schedule(ranks=8, micros=8), Cost(1, 1))
...     print(found.makespan, f"{float(found.bubble[0]):.2f}", max(found.peak))
30 0.47 8
22 0.27 8
18 0.11 8
"""

from modular.pipeline.chimera import Chimera
from modular.pipeline.coarsen import coarsen
from modular.pipeline.cost import Cost, Network
from modular.pipeline.from_torch import from_torch
from modular.pipeline.gems import GEMS
from modular.pipeline.gpipe import GPipe
from modular.pipeline.interleaved import Interleaved
from modular.pipeline.launch import Launched, launch
from modular.pipeline.merak import Merak
from modular.pipeline.one_f_one_b import OneFOneB
from modular.pipeline.plan import Plan, cut, plan, split_spec
from modular.pipeline.ranks import Ranks
from modular.pipeline.recompute import Recompute, recompute_plan
from modular.pipeline.replay import check
from modular.pipeline.schedule import Op, Schedule
from modular.pipeline.scheme import Scheme
from modular.pipeline.simulate import Simulation, simulate
from modular.pipeline.virtual import Step, Virtual
from modular.pipeline.zero_bubble import ZeroBubble

__all__ = [
    "Chimera",
    "Cost",
    "GEMS",
    "GPipe",
    "Interleaved",
    "Launched",
    "Merak",
    "Network",
    "OneFOneB",
    "Op",
    "Plan",
    "Ranks",
    "Recompute",
    "Schedule",
    "Scheme",
    "Simulation",
    "Step",
    "Virtual",
    "ZeroBubble",
    "check",
    "coarsen",
    "cut",
    "from_torch",
    "launch",
    "plan",
    "recompute_plan",
    "simulate",
    "split_spec",
]
