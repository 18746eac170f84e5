"""What chapter 41 says of the stored runs is what was measured."""

from statistics import median

from course.kit import stored

RECORD = stored("pipeline")
CLOCKS = {name: part for name, part in RECORD.items() if name.startswith("clock")}
OURS = [name for name in CLOCKS["clock 4 x 8"] if "torch" not in name]


def times(part: dict, name: str) -> tuple[float, float]:
    return median(part[name]["seconds"]), part[name]["simulated"]


def test_four_and_eight_processes_and_several_steps() -> None:
    assert set(CLOCKS) == {"clock 4 x 8", "clock 8 x 16"}
    for part in CLOCKS.values():
        assert len(part) == 7 and len(OURS) == 5
        assert all(len(row["seconds"]) >= 5 for row in part.values())
        assert all(row["over"] == round(row["over"], 4) for row in part.values())


def test_the_simulation_is_right_about_our_processes_and_near_for_torchs() -> None:
    for part in CLOCKS.values():
        for name in part:
            measured, simulated = times(part, name)
            near = 0.1 if name in OURS else 0.15
            assert abs(measured / simulated - 1) < near, name


def test_the_work_alone_predicts_no_row() -> None:
    for key, part in CLOCKS.items():
        micros = int(key.split()[-1])
        work = 3 * micros * RECORD["setting"]["forward"]
        assert min(times(part, name)[0] for name in part) > 1.1 * work


def test_chimera_gains_what_is_simulated_and_not_what_equal_times_promise() -> None:
    for key, part in CLOCKS.items():
        ranks, _, micros = key.split()[1:]
        D, N = int(ranks), int(micros)
        (base, plan), (ours, other) = (
            times(part, name) for name in ("1F1B", "Chimera, concatenated")
        )
        assert abs(base / ours - plan / other) < 0.03
        assert base / ours < 2 * (N + D - 1) / (2 * N + D - 2) - 0.03


def test_what_idles_least_with_backwards_of_twice_a_forward() -> None:
    """Section 5."""
    for side in RECORD["table"].values():
        idle = {name: row["idle"] for name, row in side.items()}
        assert max(idle, key=idle.get) == "Chimera, concatenated"
        torchs = [value for name, value in idle.items() if "torch" in name]
        assert max(torchs) < min(v for name, v in idle.items() if "torch" not in name)
        assert {side[name]["copies"] for name in side if "torch" in name} == {1}
