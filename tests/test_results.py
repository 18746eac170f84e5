"""Figures that are quoted are the figures that were measured."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.pinn_race import code
from tests.benchmarks.tables import PLACE, README, RESULTS, TABLES, render

RECORDS = sorted(RESULTS.glob("*.json"))


def test_the_readme_quotes_the_stored_results() -> None:
    text = README.read_text()
    assert render(text) == text, "python tests/benchmarks/tables.py writes the tables"


def test_every_table_is_in_the_readme() -> None:
    places = {place[2] for place in PLACE.finditer(README.read_text())}
    assert places == set(TABLES)


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.stem)
def test_a_record_says_where_when_and_how_it_was_made(path: Path) -> None:
    machine = json.loads(path.read_text())["machine"]
    assert {"date", "python", "versions", "cpu", "threads", "gpu"} <= set(machine)
    assert "/" not in machine["cpu"]


def test_the_readmes_race_runs() -> None:
    short = code().replace("seconds=20, seeds=(0, 1, 2)", "seconds=0.05, seeds=(0,)")
    assert short != code()
    names: dict = {}
    exec(compile(short, "README.md", "exec"), names)
    assert len(names["result"].table().splitlines()) == 2 + 5
