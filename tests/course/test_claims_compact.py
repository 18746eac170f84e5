"""What chapter 47 says of its stored run is what was measured."""

from course.kit import stored

PROBLEMS = ("digits", "pair_sum")


def twin(rows: dict, name: str) -> dict:
    """The widest network of floats that is no larger than a row."""
    small = [row for key, row in rows.items() if key.startswith("small")]
    return max(
        (row for row in small if row["bytes"] <= rows[name]["bytes"]),
        key=lambda row: row["bytes"],
    )


def test_bits_beat_rounding_too_late_and_small_networks_of_their_bytes() -> None:
    record = stored("compact")
    for problem in PROBLEMS:
        rows, late = record[problem], record[f"{problem}, rounded after"]
        for bits in ("8 bits", "4 bits", "3 bits", "2 bits"):
            assert twin(rows, bits)["accuracy"] < rows[bits]["accuracy"]
        assert late["2"]["accuracy"] < rows["2 bits"]["range"][0] - 20
        ratio = rows["float"]["bytes"] / rows["2 bits"]["bytes"]
        assert 12.5 < ratio < 14.5


def test_the_step_decides_and_what_else_the_chapter_says() -> None:
    record = stored("compact")
    for problem in PROBLEMS:
        rows, late = record[problem], record[f"{problem}, rounded after"]
        low, high = rows["float"]["range"]
        for bits in ("8 bits", "4 bits", "3 bits"):
            assert low <= rows[bits]["accuracy"] <= high
        assert rows["float"]["accuracy"] - rows["2 bits"]["accuracy"] < 7
        assert rows["2 bits, STE"]["range"][1] < rows["2 bits"]["range"][0]
        same = rows["2 bits, three levels"]  # what the fourth level is worth
        assert rows["2 bits, STE"]["range"][1] < same["range"][0]
        assert rows["2 bits"]["accuracy"] - same["accuracy"] < 3
        assert rows["pruned by size"]["accuracy"] < rows["4 bits"]["accuracy"]
        assert (
            rows["pruned by movement"]["accuracy"] < rows["pruned by size"]["accuracy"]
        )
        assert late["8"]["accuracy"] > rows["float"]["accuracy"] - 1
    digits, sums = (record[problem] for problem in PROBLEMS)
    gap = {k: sums["2 bits"]["accuracy"] - sums[k]["accuracy"] for k in sums}
    assert 2 < gap["2 bits, three levels"] and gap["2 bits, STE"] > 50
    assert digits["2 bits"]["accuracy"] >= digits["float"]["range"][0]
    for name in ("2 bits", "2 bits, three levels"):
        assert digits[name]["accuracy"] >= digits["float"]["range"][0]
    assert sums["2 bits, STE"]["accuracy"] < 20
    assert digits["float"]["accuracy"] - digits["1 bit"]["accuracy"] < 4
    assert sums["float"]["accuracy"] - sums["1 bit"]["accuracy"] > 20
    for problem in PROBLEMS:
        late = record[f"{problem}, rounded after"]
        assert late["2"]["accuracy"] < late["1"]["accuracy"] - 5
    most = max(record["setting"]["rates"])
    every = [row["rate"] for rows in (digits, sums) for row in rows.values()]
    assert every.count(most) > len(every) / 2


def test_large_first_helps_in_three_of_four_and_a_teacher_clearly_in_one() -> None:
    record, gains = stored("compact"), {"neurons out": [], "taught": []}
    for problem in PROBLEMS:
        for name, row in record[problem].items():
            word, _, wide = name.partition(", ")
            if word in gains:
                alone = record[problem][f"small, {wide}"]["accuracy"]
                gains[word].append(row["accuracy"] - alone)
    assert sum(gain > 1 for gain in gains["neurons out"]) == 3
    assert sum(gain > 10 for gain in gains["neurons out"]) == 1
    assert sum(gain > 2 for gain in gains["taught"]) == 1 and len(gains["taught"]) == 4


def test_files_are_small_and_seconds_depend_on_the_network() -> None:
    record = stored("compact")
    rows = list(record["int8"].values())
    smaller = [row["file"][0] / row["file"][1] for row in rows]
    assert smaller == sorted(smaller) and 2.5 < smaller[0] < 3 and smaller[-1] > 3.9
    faster = [row["batch 1"]["faster"] for row in rows]
    assert faster == sorted(faster) and faster[0] < 1 / 3 and faster[-1] > 3.5
    assert 2.3 < rows[-1]["batch 64"]["faster"] < 2.7  # "two and a half times"
    for problem in PROBLEMS:
        pairs = record["int8, accuracy"][problem]["float_and_int8"]
        assert max(abs(a - b) for a, b in pairs) < 1
