"""Ranks that Python starts compute what one process does, and none is left."""

import multiprocessing
import os

import pytest
import torch
from torch import nn

from modular.pipeline import Chimera, OneFOneB, launch
from tests.modular.pipeline.test_virtual import batch, parts, whole_gradient

LOSS = nn.CrossEntropyLoss()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def test_four_processes_have_the_gradient_of_one_and_end() -> None:
    stages, (x, y) = parts(4), batch(16)
    before = [p.clone() for stage in stages for p in stage.parameters()]
    found = launch(Chimera().schedule(4, 8), stages, LOSS, x, y)
    assert abs(found.loss - LOSS(nn.Sequential(*stages)(x), y)) < 1e-12
    assert sorted(found.gradients) == [(pipe, s) for pipe in (0, 1) for s in range(4)]
    for pipe in (0, 1):
        own = [g for s in range(4) for g in found.gradients[pipe, s]]
        for g, expected in zip(own, whole_gradient(stages, x, y), strict=True):
            torch.testing.assert_close(g, expected, rtol=0, atol=1e-12)
    for s in range(4):
        pairs = zip(found.gradients[0, s], found.gradients[1, s], strict=True)
        assert all(torch.equal(g, h) for g, h in pairs)
    assert len(set(found.processes) - {os.getpid()}) == 4
    assert not any(map(alive, found.processes))
    assert not multiprocessing.active_children()
    after = [p for stage in stages for p in stage.parameters()]
    assert all(map(torch.equal, before, after)) and all(p.grad is None for p in after)


class Breaks(nn.Module):
    def forward(self, h: torch.Tensor) -> torch.Tensor:
        if h.requires_grad:  # on its rank, not when shapes are looked at
            raise ArithmeticError("broken on purpose")
        return h


def test_a_rank_that_raises_is_named() -> None:
    stages, (x, y) = [parts(1)[0], Breaks()], batch(8)
    with pytest.raises(RuntimeError, match=r"(?s)rank 1 of 2: .*broken on purpose"):
        launch(OneFOneB().schedule(2, 4), stages, LOSS, x, y, timeout=20)
    assert not multiprocessing.active_children()


def test_what_does_not_fit_is_refused_before_anything_starts() -> None:
    stages, (x, y) = parts(2), batch(8)
    schedule = OneFOneB().schedule(2, 4)
    wrong = {0: schedule[0][::-1], 1: schedule[1]}
    with pytest.raises(ValueError, match="comes before rank 0, slot"):
        launch(wrong, stages, LOSS, x, y)
    with pytest.raises(ValueError, match="there are 1 stages: expected 2"):
        launch(schedule, stages[:1], LOSS, x, y)
    with pytest.raises(ValueError, match="x has 6 rows: expected a multiple of 4"):
        launch(schedule, stages, LOSS, x[:6], y[:6])
    with pytest.raises(ValueError, match="timeout is 0"):
        launch(schedule, stages, LOSS, x, y, timeout=0)
    with pytest.raises(TypeError, match="expected stages and a loss that can be pickl"):
        launch(schedule, stages, lambda scores, y: scores.mean(), x, y)
