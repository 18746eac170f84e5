"""What chapter 36 says of its stored runs is what was measured."""

from statistics import median

from course.kit import stored

RECORD = stored("pinn_fem")
EXAMPLES = stored("pinn_examples")["rows"]


def networks(name: str) -> float:
    """Return the smallest median error of our networks on an example."""
    ways = {w: runs for w, runs in EXAMPLES[name].items() if w not in OTHERS}
    kept = [runs.values() for runs in ways.values() if "error" in runs["0"]]
    return min(median(run["error"] for run in runs) for runs in kept)


OTHERS = ("FEM", "DeepXDE's own")
AHEAD = [
    name
    for name, rungs in RECORD["meshes"].items()
    if networks(name) < min(rung["error"] for rung in rungs)
]


def test_the_cavity_is_nearer_by_elements_in_a_twentieth_of_the_time() -> None:
    """Chapter 36, the cold open and section 2."""
    rows = RECORD["cavity"]
    nets = [row for name, row in rows.items() if name.startswith("network")]
    assert len(nets) == 3
    for net in nets:
        assert 20 * rows["elements 8"]["seconds"] < net["seconds"]
        assert rows["elements 8"]["ghia_rms"] < net["ghia_rms"] / 3
    assert rows["elements 32"]["ghia_largest"] < 0.01


def test_where_the_elements_stand_decides() -> None:
    """Chapter 36, section 3."""
    rows = stored("pinn_adapt")["networks"]
    for name, row in rows.items():
        if name.startswith("adapted:"):
            assert row["error"] < 1e-3
        elif not name.startswith("adapted"):
            assert row["error"] > 0.5, name
    assert len(rows) == 12


def test_one_network_is_lost_in_a_long_time_and_says_nothing() -> None:
    """Chapter 36, section 4."""
    long = stored("pinn_march")
    assert long["oscillator_30"]["one"]["error"] < 1e-4
    lost = long["oscillator_100"]["one"]
    assert lost["error"] > 0.9 and lost["loss"] < 1e-8
    for row in (long["oscillator_30"], long["oscillator_100"]):
        slabs = [run for seed, run in row.items() if seed.isdigit()]
        assert max(run["error"] for run in slabs) < 1e-4
        assert 100 * row["without"]["error"] < min(run["error"] for run in slabs)
        assert row["without"]["cpu_seconds"] < 0.1


def test_polynomials_are_the_rival_where_meshes_end() -> None:
    """Chapter 36, section 6."""
    best = {}
    for what in ("5, sum", "5, hill", "5, product", "10, sum", "10, hill"):
        runs = [r for n, r in RECORD["dimension"].items() if n.startswith(f"{what},")]
        rows = [r for n, r in RECORD["polynomials"].items() if n.startswith(f"{what},")]
        assert len(runs) == 3
        least = min(rows, key=lambda row: row["error"])
        best[what] = median(r["error"] for r in runs) / least["error"]
        if what.startswith("5"):
            assert 3 * least["seconds"] < min(run["seconds"] for run in runs)
    assert best["5, sum"] > 100 and best["10, sum"] > 3
    assert 1.5 < best["5, hill"] < 4 and best["5, product"] > 2
    assert best["10, hill"] < 0.7


def test_elements_are_ahead_in_most_examples_and_often_at_once() -> None:
    """Chapter 36, the claim and the signature result."""
    assert len(RECORD["meshes"]) == 14
    assert len(AHEAD) <= 4 and {"diffusion"} <= {*AHEAD}
    quick = 0
    for name, rungs in RECORD["meshes"].items():
        if name not in AHEAD:
            used = 0.0
            for rung in rungs:
                used += rung["seconds"]
                if rung["error"] <= networks(name):
                    break
            quick += used < 1.5
    assert quick > 6


def test_the_wave_fails_in_every_network() -> None:
    """Chapter 36, when it fails."""
    assert networks("wave") > 0.5
