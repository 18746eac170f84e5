"""How to call every public name of the family; read by tests/test_docs.py."""

import torch

import unroll.ode as o

AT = {"t": torch.tensor(0.5), "h": torch.tensor(0.1), "x": torch.ones(3, 2)}
STAGES = {"steps": 9, "budget": 4, "stages": 2}
COUNTS = {"steps": 9, "checkpoints": 3}
SOME = {"rejected": 1, "looks": 40}

Y = torch.ones(2, 3, 2)


def decay(t, x):
    return -x


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, t, x):
        return self.layer(x)


def watched():
    """``SNOpt.step`` after a backward solve."""
    field = Line()
    snopt = o.SNOpt(field)
    t = torch.linspace(0, 1, 4)
    o.odeint(
        field, torch.ones(3, 2), t, adjoint=o.Discrete(watch=snopt)
    ).sum().backward()
    return snopt.step, {}


CALLS = {
    "Tableau": lambda: (o.Tableau, {"a": ((),), "b": (1.0,), "order": 1}),
    "Embedded": lambda: (
        o.Embedded,
        {"a": ((),), "b": (1.0,), "order": 1, "error": (0.0, 0.0)},
    ),
    "Adaptive": lambda: (o.Adaptive, {}),
    "Steps": lambda: (o.Steps, {"t": torch.linspace(0, 1, 5)} | SOME),
    "Online": lambda: (o.Online, {"checkpoints": 3}),
    "online": lambda: (o.online, COUNTS),
    "Split": lambda: (o.Split, {"explicit": decay, "implicit": decay}),
    "IMEX": lambda: (
        o.IMEX,
        {
            "explicit": ((),),
            "a": ((0.0,),),
            "explicit_b": (1.0,),
            "b": (1.0,),
            "order": 1,
        },
    ),
    "Adaptive.steps": lambda: (
        o.Adaptive(rtol=1e-3).steps,
        {"field": decay, "x0": torch.ones(3, 2), "t": torch.linspace(0, 1, 2)},
    ),
    "Embedded.attempt": lambda: (
        o.BOSH3.attempt,
        AT | {"field": decay, "first": -torch.ones(3, 2)},
    ),
    "Online.before": lambda: (o.Online(3).before, {"step": 0}),
    "Online.reversal": lambda: (o.Online(3).reversal, {"steps": 1}),
    "Horizon.times": lambda: (
        o.Horizon(1.0, 0.1).times,
        {"steps": 4, "like": torch.ones(3, 2)},
    ),
    "Horizon.step": lambda: (
        o.Horizon(1.0, 0.1).step,
        {"field": decay, "x": torch.ones(3, 2), "by_x": torch.ones(3, 2)},
    ),
    "SNOpt.step": watched,
    "Horizon": lambda: (o.Horizon, {"time": 1.0, "price": 0.1}),
    "SNOpt": lambda: (o.SNOpt, {"field": torch.nn.Linear(2, 2)}),
    "gauss_newton": lambda: (
        o.gauss_newton,
        {"field": Line(), "x0": torch.ones(3, 2), "t": torch.linspace(0, 1, 4), "y": Y},
    ),
    "DIRK": lambda: (o.DIRK, {"a": ((1.0,),), "b": (1.0,), "order": 1}),
    "odeint": lambda: (
        o.odeint,
        {"field": decay, "x0": torch.ones(3, 2), "t": torch.linspace(0, 1, 4)},
    ),
    "Through": lambda: (o.Through, {}),
    "Discrete": lambda: (o.Discrete, {}),
    "Continuous": lambda: (o.Continuous, {}),
    "revolve": lambda: (o.revolve, COUNTS),
    "extra_steps": lambda: (o.extra_steps, COUNTS),
    "store_all": lambda: (o.store_all, {"steps": 9}),
    "cams": lambda: (o.cams, STAGES),
    "cams_extra_steps": lambda: (o.cams_extra_steps, STAGES),
    "StoreStages": lambda: (o.StoreStages, {"step": 0}),
    "FreeStages": lambda: (o.FreeStages, {"step": 0}),
    "Store": lambda: (o.Store, {"step": 0}),
    "Restore": lambda: (o.Restore, {"step": 0}),
    "Free": lambda: (o.Free, {"step": 0}),
    "Reverse": lambda: (o.Reverse, {"step": 0}),
    "Advance": lambda: (o.Advance, {"start": 0, "stop": 1}),
}
