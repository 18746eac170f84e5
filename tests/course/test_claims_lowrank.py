"""What chapter 15 says of the stored runs is what was measured, with every seed."""

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
