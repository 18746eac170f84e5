"""What chapter 15 and its results say of stored runs is what was measured."""

from statistics import median

from course.kit import stored

RECORD = stored("lowrank")
ROWS = RECORD["rows"]["lowrank"] | RECORD["rows"]["pursuit"]
PARTS = RECORD["rows"]["parts"]


def test_all_seeds_are_there() -> None:
    assert RECORD["setting"]["seeds"] == [0, 1, 2]


def test_lrpca_reaches_its_error_in_a_minute_of_training_and_on_another_size() -> None:
    assert max(ROWS["200: LRPCA"]["error"]) <= 1e-4
    assert max(ROWS["200: LRPCA"]["training_seconds"]) <= 60
    assert max(ROWS["400: LRPCA"]["error"]) <= 1e-4
    assert max(ROWS["200: LRPCA"]["error"]) < min(ROWS["200: tuned"]["error"])


def test_a_fixed_weight_takes_hundreds_and_a_growing_one_as_many_as_layers() -> None:
    end, near = ROWS["200: PCP, fixed, end"], ROWS["200: PCP, growing, as near"]
    assert min(end["iterations"]) > 400
    assert max(end["error"]) < min(ROWS["200: LRPCA"]["error"])
    assert max(near["iterations"]) <= 2 * RECORD["setting"]["depth"]
    for own, other in zip(near["error"], ROWS["200: LRPCA"]["error"], strict=True):
        assert own <= other
    assert min(near["seconds"]) > max(ROWS["200: LRPCA"]["seconds"])


def test_parts_are_better_at_equal_depth_and_worse_at_convergence() -> None:
    learned = PARTS["DeepNMF"]["ratio_db"]
    assert max(learned) < min(PARTS["8 updates"]["ratio_db"])
    assert min(learned) > max(PARTS["500 updates"]["ratio_db"])


def test_what_the_results_page_says_of_clips_blurs_and_labels() -> None:
    rows = stored("structured")["rows"]

    def values(kind: str, key: str) -> dict[str, float]:
        return {name: median(row[key]) for name, row in rows[kind].items()}

    error = values("clips", "error")
    assert 0.4 < error["network"] / error["parent"] < 0.6, "halves the error"
    assert 4 * error["PCP"] < error["network"] < error["median over time"]
    image, kernel = values("blurs", "psnr"), values("blurs", "kernel_error")
    assert abs(image["network"] - image["parent, long"]) < 0.5 < image["network"]
    assert 3 * kernel["network"] < kernel["parent, long"] < kernel["parent"]
    right = values("labels", "right")
    assert 0 < right["network"] - right["parent"] < 0.01, "training adds little"
    assert right["network, another's picture"] < right["network"] - 0.2
