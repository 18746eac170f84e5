"""Run the README's race of five methods, and draw its figure and its table.

    python -m tests.benchmarks.pinn.race

The code is the README's own, between ``<!-- race -->`` and ``<!-- end race -->``, so
that what is shown is what was run. Writes ``results/pinn_race.json`` and
``course/site/images/race.png``. Takes about eight minutes.
"""

import re

import torch

from tests.benchmarks import record

CODE = re.compile(r"<!-- race -->\n```python\n(.*?)```\n<!-- end race -->", re.DOTALL)
FIGURE = record.ROOT / "course" / "site" / "images" / "race.png"


def code() -> str:
    """Return the lines that the README shows."""
    (found,) = CODE.findall((record.ROOT / "README.md").read_text())
    return found


def main() -> None:
    """Race, store, draw."""
    torch.set_num_threads(1)
    names: dict = {}
    exec(compile(code(), "README.md", "exec"), names)
    result = names["result"]
    result.plot().savefig(FIGURE, dpi=150, bbox_inches="tight")
    machine = record.machine(("torch", "deepxde", "scikit-fem"))
    record.write("pinn_race", {"machine": machine, "table": result.table()})
    print(result.table())


if __name__ == "__main__":
    main()
