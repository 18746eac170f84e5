"""Write the result tables from the stored records: nobody types a figure.

A table stands between ``<!-- results: NAME -->`` and ``<!-- end -->`` and is made from
``results/NAME.json``; of NAME.PART, too. All tables are on the documentation's results
page, three of them in the README. Runs last in ``make bench``; a test compares both.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # this folder shadows the packages

from tests.benchmarks import tables_course, tables_modular, tables_pinn, tables_unroll
from tests.benchmarks.record import where

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"
README = ROOT / "README.md"
PAGE = ROOT / "course" / "site" / "results.md"
PLACE = re.compile(r"(<!-- results: ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)

TABLES: dict[str, Callable[[dict], str]] = {
    "solvers": tables_unroll.solvers,
    "lista": tables_unroll.lista,
    "lista.shifts": tables_unroll.shifts,
    "modular": tables_modular.modular,
    "modular.memory": tables_modular.memory,
    "modular.unlocking": tables_modular.unlocking,
    "modular.kernel": tables_modular.kernel,
    "pinn": tables_pinn.errors,
    "pinn.speed": tables_pinn.speeds,
    "pinn_race": lambda record: f"{record['table']}\n\n{where(record)}.",
    "robust": tables_course.robust,
    "mutation": tables_course.mutation,
}


def render(text: str) -> str:
    """Return a page with its tables made anew."""

    def table(place: re.Match) -> str:
        name = place[2]
        record = json.loads((RESULTS / f"{name.partition('.')[0]}.json").read_text())
        return f"{place[1]}{TABLES[name](record)}\n{place[3]}"

    return PLACE.sub(table, text)


if __name__ == "__main__":
    for page in (README, PAGE):
        page.write_text(render(page.read_text()))
        print(f"{page.relative_to(ROOT)}: tables written")
