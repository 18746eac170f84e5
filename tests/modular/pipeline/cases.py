"""How to call every public name of the family; read by tests/test_docs.py."""

import torch
import torch.distributed as dist
from torch import nn

import modular.pipeline as p
from modular.profile import Profile, profile

SIZE = {"ranks": 4, "micros": 4}
PAIR = {0: [p.Op("forward", 0, 0, 0), p.Op("backward", 0, 0, 0)]}
SCHEMES = [
    p.GPipe(),
    p.OneFOneB(),
    p.Interleaved(2),
    p.ZeroBubble(),
    p.GEMS(),
    p.Chimera(),
    p.Chimera(pairs=2),
    p.Merak(),
    p.Merak(shift=False),
    p.Merak(keep_last=False, shift=False),
]


def made() -> p.Schedule:
    """Return a small schedule."""
    return p.OneFOneB().schedule(**SIZE)


x = torch.rand(8, 3)


def spread() -> dict:
    """Return what an executor needs."""
    stages = [nn.Linear(3, 3) for _ in range(4)]
    return {"schedule": made(), "stages": stages, "loss": nn.MSELoss()}


def profiled() -> Profile:
    """Return what three layers cost."""
    return profile([nn.Linear(3, 3) for _ in range(3)], x)


def two() -> dict:
    """Return what two processes need."""
    stages = [nn.Linear(3, 3), nn.Linear(3, 3)]
    schedule = p.OneFOneB().schedule(2, 4)
    return {
        "schedule": schedule,
        "stages": stages,
        "loss": nn.MSELoss(),
        "x": x,
        "y": x,
    }


def again() -> dict:
    """Return what a plan of recomputation needs."""
    return {"costs": profiled(), "cuts": [1], "budget": 1e6}


def alone() -> dict:
    """Return what an executor on one real rank needs."""
    if not dist.is_initialized():
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    schedule = p.OneFOneB().schedule(1, 4)
    stages = [nn.Linear(3, 3)]
    return {"schedule": schedule, "stages": stages, "loss": nn.MSELoss(), "sample": x}


CALLS = {
    "Op": lambda: (p.Op, {"kind": "forward", "pipe": 0, "stage": 0, "micro": 0}),
    "Schedule": lambda: (p.Schedule, vars(made())),
    "Schedule.of": lambda: (p.Schedule.of, {"ops": PAIR}),
    "Schedule.op": lambda: (made().op, {"index": 0}),
    "Schedule.place": lambda: (made().place, {"index": 0}),
    "Schedule.owners": lambda: (made().owners, {}),
    "Schedule.homes": lambda: (made().homes, {}),
    "Scheme": lambda: (type(p.GPipe()), {}),
    "Scheme.schedule": lambda: (p.GPipe().schedule, SIZE),
    "GPipe": lambda: (p.GPipe, {}),
    "OneFOneB": lambda: (p.OneFOneB, {}),
    "Interleaved": lambda: (p.Interleaved, {"stages": 2}),
    "ZeroBubble": lambda: (p.ZeroBubble, {}),
    "GEMS": lambda: (p.GEMS, {}),
    "Chimera": lambda: (p.Chimera, {"pairs": 2}),
    "Merak": lambda: (p.Merak, {}),
    "check": lambda: (p.check, {"schedule": PAIR}),
    "from_torch": lambda: (p.from_torch, {"order": [["0F0", None, "0B0"]]}),
    "Cost": lambda: (p.Cost, {"forward": 1}),
    "Network": lambda: (p.Network, {"alpha": 1}),
    "Ranks": lambda: (p.Ranks, alone()),
    "Ranks.parameters": lambda: (p.Ranks(**alone()).parameters, {}),
    "Ranks.step": lambda: (p.Ranks(**alone()).step, {"x": x, "y": x}),
    "Ranks.join": lambda: (alone() and p.Ranks.join, {}),
    "launch": lambda: (p.launch, two()),
    "Launched": lambda: (p.launch, two()),
    "plan": lambda: (p.plan, {"costs": profiled(), "stages": 2}),
    "Plan": lambda: (p.plan, {"costs": profiled(), "stages": 2}),
    "cut": lambda: (p.cut, {"layers": [nn.Tanh(), nn.Tanh()], "cuts": [1]}),
    "split_spec": lambda: (p.split_spec, {"names": ["0", "1"], "cuts": [1]}),
    "recompute_plan": lambda: (p.recompute_plan, again()),
    "Recompute": lambda: (p.recompute_plan, again()),
    "coarsen": lambda: (p.coarsen, {"cost": p.Cost(), "parts": 3, "micros": 4}),
    "Virtual": lambda: (p.Virtual, spread()),
    "Virtual.step": lambda: (p.Virtual(**spread()).step, {"x": x, "y": x}),
    "Step": lambda: (p.Virtual(**spread()).step, {"x": x, "y": x}),
    "simulate": lambda: (p.simulate, {"schedule": PAIR, "cost": p.Cost()}),
    "Simulation": lambda: (p.simulate, {"schedule": PAIR, "cost": p.Cost()}),
}
