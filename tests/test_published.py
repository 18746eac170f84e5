"""The table of published cells: all of them, by the recipe of today, marked."""

import json
import math
from dataclasses import asdict, replace

import pytest
import torch

import unroll as u
from tests.benchmarks.record import RESULTS
from tests.benchmarks.unroll import tables
from tests.benchmarks.unroll.published import (
    BUDGET,
    CELLS,
    FINISH,
    NETWORKS,
    NON_ZEROS,
    SLACK,
    finishes,
    ridge,
)
from unroll.training.recipe import fitted

RECORD = json.loads((RESULTS / "published.json").read_text())
ROWS = RECORD["rows"]
DONE = {name: row for name, row in ROWS.items() if "ratio_db" in row}


def test_every_cell_of_the_logs_is_there_whether_it_was_run_or_not():
    assert list(ROWS) == list(CELLS) and len(CELLS) == 4 * 9
    assert {name: row["published_db"] for name, row in ROWS.items()} == {
        name: cell[-1] for name, cell in CELLS.items()
    }


def test_all_cells_were_run_with_the_recipe_that_is_the_default_today():
    assert RECORD["setting"]["recipe"] == asdict(u.Recipe())
    assert RECORD["setting"]["finish"] == asdict(FINISH)
    for name, row in DONE.items():
        steps = u.Recipe().steps + row.get("finish_steps", 0)
        assert row["samples"] == steps * u.Recipe().batch
        network, n, *_ = CELLS[name]
        finished = FINISH.steps if finishes(network, n) else 0
        assert "before" in row or row.get("finish_steps", 0) == finished


def test_only_cells_whose_defaults_have_changed_are_of_the_recipe_before():
    before = {name for name, row in DONE.items() if "before" in row}
    assert all(CELLS[name][1] > 500 for name in before)


@pytest.mark.parametrize("name", [name for name in DONE if "before" not in DONE[name]])
def test_a_row_made_before_clipping_followed_from_the_network_has_its_default(name):
    network, n, depth, *_ = CELLS[name]
    A = u.SparseCoding.gaussian(10, n // 25, torch.Generator().manual_seed(0)).A
    net = NETWORKS[network](A, depth, weight=u.analytic_weight(A))
    stored = fitted(u.Recipe(**ROWS[name]["recipe"]), net)
    if not any("astray" in remark for remark in ROWS[name]["remarks"]):
        stored = replace(stored, rollback=fitted(u.Recipe(), net).rollback)
    assert stored == fitted(u.Recipe(), net)
    assert (stored.clip == math.inf) == finishes(network, n)


@pytest.mark.parametrize("name", DONE)
def test_the_ridge_follows_from_the_cell_or_the_row_is_an_older_one(name):
    _, n, _, snr, _ = CELLS[name]
    assert DONE[name]["ridge"] in (round(ridge(250, n, NON_ZEROS, snr), 4), 0.0)


def test_the_ridge_is_noise_over_error_two_thirds_of_the_way_to_the_oracle():
    """Noise over density at the start, ``n (m - s) / (s m)`` at the oracle."""
    for snr in (20, 40):
        noise = 0.2 * 10 ** (-snr / 10)
        start, end = noise / 0.1, 10 * 200 / 250
        between = start ** (1 / 3) * end ** (2 / 3)
        assert ridge(250, 500, 50, snr) == pytest.approx(between)


@pytest.mark.parametrize("name", DONE)
def test_a_cell_is_reached_if_it_is_as_good_as_published_in_ten_minutes(name):
    row = DONE[name]
    close = row["ratio_db"] <= row["published_db"] + SLACK
    assert row["reached"] == (close and row["seconds"] <= BUDGET)


@pytest.mark.parametrize(
    ("measured", "shown"),
    [
        ({}, "not run (-20.0)"),
        ({"ratio_db": -21.04, "seconds": 9.6, "reached": True}, "-21.0 (-20.0), 10 s"),
        (
            {"ratio_db": -21.04, "seconds": 9.6, "reached": True, "ridge": 0.0},
            "-21.0 (-20.0), 10 s\\*",
        ),
        (
            {"ratio_db": -18.5, "seconds": 9.6, "reached": False, "before": "clipped"},
            "-18.5 (-20.0), 10 s\\*\\*, **1.5 missing**",
        ),
        (
            {"ratio_db": -18.5, "seconds": 9.6, "reached": False},
            "-18.5 (-20.0), 10 s, **1.5 missing**",
        ),
        (
            {"ratio_db": -21.0, "seconds": 700.0, "reached": False},
            "-21.0 (-20.0), 700 s, **too slow**",
        ),
    ],
)
def test_what_is_missing_is_marked(measured, shown):
    row = {"published_db": -20.0, "samples": 100, "ridge": 1.0} | measured
    rows = {f"{net} n=500 K=4": row for net in ("ALISTA", "AGLISTA")}
    table = tables.published(RECORD | {"rows": rows})
    assert table.splitlines()[2] == f"| n=500 K=4 | {shown} | {shown} |"
    reached = 2 * measured.get("reached", False)
    assert f"{reached} of the 2 cells are within 0.3 dB or better" in table
