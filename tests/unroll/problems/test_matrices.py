"""Matrices of low rank with wrong entries, and clips."""

import pytest
import torch

from unroll.problems import Clip, LowRankPlusSparse


def drawn(problem, batch, seed=0):
    return problem.sample(batch, torch.Generator().manual_seed(seed))


def test_the_matrix_is_of_that_rank_and_the_outliers_as_many_and_as_large():
    problem = LowRankPlusSparse((60, 50), 3, outliers=0.2, size_of_outliers=2.0)
    Y, L = drawn(problem, 40)
    assert (torch.linalg.matrix_rank(L, rtol=1e-4) == 3).all()
    S, unit = Y - L, L.abs().mean(dim=(1, 2))
    wrong = S != 0
    assert abs(wrong.double().mean() - 0.2) < 0.01
    assert (S.abs().amax(dim=(1, 2)) <= 2 * unit * 1.001).all()
    mean = S.abs().sum(dim=(1, 2)) / wrong.sum(dim=(1, 2)) / unit
    assert abs(mean.mean() - 1.0) < 0.05  # uniform up to 2
    variance = L.square().mean()
    assert abs(variance * 60 * 50 / 3 - 1) < 0.1


def test_a_clip_is_its_background_but_for_bright_squares():
    clip, background = drawn(Clip((20, 24), 15, things=2, side=5), 8)
    assert (torch.linalg.matrix_rank(background.flatten(2), rtol=1e-5) == 2).all()
    moved = clip != background
    assert moved.sum(dim=(2, 3)).max() <= 2 * 25
    assert moved.sum(dim=(2, 3)).min() >= 25
    assert (clip[moved] >= 0.9).all() and (clip[moved] <= 1.2).all()
    assert moved.any(dim=1).sum(dim=(1, 2)).float().mean() > 2 * 25, "they move"


@pytest.mark.parametrize("problem", [LowRankPlusSparse((6, 7), 2), Clip((6, 7), 5)])
def test_a_seed_gives_one_batch(problem):
    for one, other in zip(drawn(problem, 3), drawn(problem, 3), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(drawn(problem, 3)[0], drawn(problem, 3, seed=1)[0])


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: LowRankPlusSparse((6, 4), 5), "rank is 5: expected at most 4"),
        (lambda: LowRankPlusSparse((0, 4), 1), "rows is 0"),
        (lambda: LowRankPlusSparse((6, 4), 1, outliers=1.5), "outliers is 1.5"),
        (lambda: LowRankPlusSparse((6, 4), 1, size_of_outliers=0.0), "outliers is 0.0"),
        (lambda: Clip((6, 4), 0), "frames is 0"),
        (lambda: Clip((6, 4), 3, side=5), "side is 5: expected at most 4"),
        (lambda: Clip((6, 4), 3).sample(0), "batch is 0"),
        (lambda: LowRankPlusSparse((6, 4), 1).sample(0), "batch is 0"),
    ],
)
def test_refuses_by_name(make, shown):
    with pytest.raises(ValueError, match=shown):
        make()
