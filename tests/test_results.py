"""Figures that are quoted are the figures that were measured."""

import argparse
import importlib.util
import json
import re
from pathlib import Path

import pytest
import torch

from course.commands import house
from pinn import jet_of, zoo
from tests.benchmarks.pinn.race import code
from tests.benchmarks.tables import (
    ADMINISTRATOR,
    PAGE,
    PLACE,
    README,
    RESULTS,
    TABLES,
    render,
)

RECORDS = sorted(RESULTS.glob("*.json"))


def test_make_bench_runs_every_script_and_writes_the_tables_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []
    monkeypatch.setattr(house, "_python", lambda _, name: started.append(name))
    house.bench(argparse.Namespace())
    names = [name.removeprefix("tests.benchmarks.") for name in started]
    assert names.pop() == "tables"
    assert {"unroll.lista", "modular.audit", "pinn.race", "course.robust"} <= {*names}
    assert all(importlib.util.find_spec(name) for name in started)
    peers = [name for name in names if "peers" in name]
    assert not peers, "they need a Python of their own"


@pytest.mark.parametrize("page", [README, PAGE, ADMINISTRATOR], ids=lambda p: p.name)
def test_a_page_quotes_the_stored_results(page: Path) -> None:
    text = page.read_text()
    assert render(text) == text, "python -m tests.benchmarks.tables writes the tables"


def test_every_table_is_on_the_results_page() -> None:
    places = [place[2] for place in PLACE.finditer(PAGE.read_text())]
    assert sorted(places) == sorted(TABLES)


def test_the_readme_has_one_table_a_part() -> None:
    places = [place[2] for place in PLACE.finditer(README.read_text())]
    assert places == ["lista", "modular", "pinn"]


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


def test_the_problem_of_the_reference_is_that_of_the_zoo() -> None:
    page = (PAGE.parent / "reference" / "pinn.md").read_text()
    (shown,) = re.findall(
        r"<!-- problem -->\n```python\n(.*?)```\n<!-- end problem -->", page, re.DOTALL
    )
    names: dict = {}
    exec(compile(shown, "pinn.md", "exec"), names)
    ours, zoos = names["burgers"], zoo.burgers()
    x = torch.rand(
        50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    jet = jet_of(zoos.exact, x, zoos.wanted)
    for mine, theirs in (
        (ours.exact(x), zoos.exact(x)),
        (ours.flux(x, jet.u, jet.p), zoos.flux(x, jet.u, jet.p)),
        (ours.hard.lift(x), zoos.hard.lift(x)),
        (ours.hard.distance(x), zoos.hard.distance(x)),
    ):
        torch.testing.assert_close(mine, theirs)
    assert list(map(type, ours.conditions)) == list(map(type, zoos.conditions))
