"""Write the result tables from the stored records: nobody types a figure.

A table stands between ``<!-- results: NAME -->`` and ``<!-- end -->`` and is made from
``results/NAME.json``; of NAME.PART, too. All tables are on the documentation's results
page, three of them in the README, one where administrators read. Runs last in
``make bench``; a test compares both.
"""

import json
import re
from collections.abc import Callable

from tests.benchmarks.course import tables as course
from tests.benchmarks.modular import communication_tables as communication
from tests.benchmarks.modular import (
    compact_tables,
    curvature_tables,
    memory_tables,
    sparse_tables,
    tables_cuts,
    tables_lifted,
    tables_multilevel,
)
from tests.benchmarks.modular import tables as modular
from tests.benchmarks.pinn import elements_table, examples_table, long_tables
from tests.benchmarks.pinn import tables as pinn
from tests.benchmarks.record import RESULTS, ROOT, where
from tests.benchmarks.unroll import lowrank_tables as lowrank
from tests.benchmarks.unroll import ode_tables, structured_tables, tables_images
from tests.benchmarks.unroll import tables as unroll

README = ROOT / "README.md"
PAGE = ROOT / "course" / "site" / "results.md"
ADMINISTRATOR = ROOT / "course" / "instructor" / "administrator.md"
PLACE = re.compile(r"(<!-- results: ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)

TABLES: dict[str, Callable[[dict], str]] = {
    "solvers": unroll.solvers,
    "lista": unroll.lista,
    "published": unroll.published,
    "lista.shifts": unroll.shifts,
    "equilibrium": unroll.equilibrium,
    "bayes": unroll.bayes,
    "ode": unroll.ode,
    "ode.adaptive": ode_tables.adaptive,
    "ode.race": ode_tables.race,
    "ode.horizon": ode_tables.horizon,
    "lowrank": lowrank.lowrank,
    "lowrank.parts": lowrank.parts,
    "images": tables_images.images,
    "structured": structured_tables.structured,
    "modular": modular.modular,
    "modular.memory": modular.memory,
    "modular.unlocking": modular.unlocking,
    "modular.kernel": modular.kernel,
    "pipeline": modular.pipeline,
    "pipeline.gpt": tables_cuts.gpt,
    "pipeline.cuts": tables_cuts.cuts,
    "communication": communication.messages,
    "communication.batches": communication.batches,
    "lifted": tables_lifted.lifted,
    "lifted.bregman": tables_lifted.bregman,
    "lifted.unfolded": tables_lifted.unfolded,
    "lifted.law": tables_lifted.law,
    "multilevel": tables_multilevel.multilevel,
    "curvature": curvature_tables.curvature,
    "curvature.race": curvature_tables.race,
    "memory": memory_tables.memory,
    "memory.held": memory_tables.held,
    "sparse": sparse_tables.sparse,
    "sparse.noise": sparse_tables.noise,
    "compact": compact_tables.frontier,
    "compact.int8": compact_tables.int8,
    "pinn": pinn.errors,
    "pinn.speed": pinn.speeds,
    "pinn_examples": examples_table.examples,
    "pinn_fem": elements_table.cavity,
    "pinn_fem.dimension": elements_table.dimension,
    "pinn_fem.meshes": elements_table.meshes,
    "pinn_march": long_tables.march,
    "pinn_adapt": long_tables.adapt,
    "pinn_inverse": pinn.inverse,
    "pinn_race": lambda record: f"{record['table']}\n\n{where(record)}.",
    "robust": course.robust,
    "mutation": course.mutation,
    "load": course.load,
}


def render(text: str) -> str:
    """Return a page with its tables made anew."""

    def table(place: re.Match) -> str:
        name = place[2]
        record = json.loads((RESULTS / f"{name.partition('.')[0]}.json").read_text())
        return f"{place[1]}{TABLES[name](record)}\n{place[3]}"

    return PLACE.sub(table, text)


if __name__ == "__main__":
    for page in (README, PAGE, ADMINISTRATOR):
        page.write_text(render(page.read_text()))
        print(f"{page.relative_to(ROOT)}: tables written")
