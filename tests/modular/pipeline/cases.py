"""How to call every public name of the family; read by tests/test_docs.py."""

import modular.pipeline as p

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
    "simulate": lambda: (p.simulate, {"schedule": PAIR, "cost": p.Cost()}),
    "Simulation": lambda: (p.simulate, {"schedule": PAIR, "cost": p.Cost()}),
}
