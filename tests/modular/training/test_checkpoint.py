"""Checkpoints: calls in a loop, other runs, and plans that do not fit."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from modular import DGL, Greedy, Processes, Trainer
from tests.modular.nets import adam, batch, distance, partition, trainer, weights


def data() -> list:
    return [batch(seed=s) for s in range(2)]


@pytest.mark.parametrize("method", [DGL(), Greedy()], ids=lambda m: m.name)
def test_a_loop_of_calls_trains_in_every_call(method, tmp_path) -> None:
    path = tmp_path / "run.pt"
    looped, plain = trainer(method), trainer(method)
    for epoch in range(3):
        looped.fit(data(), 1, checkpoint=path)
        plain.fit(data(), 1)
        assert len(looped.history) == (epoch + 1) * method.phases(4)
    assert distance(weights(looped), weights(plain)) == 0


def test_a_loop_of_calls_in_processes_does_too(tmp_path) -> None:
    path, plain = tmp_path / "run.pt", trainer(DGL())
    chance = torch.Generator().manual_seed(7)
    spread = Trainer(
        partition(),
        DGL(),
        optimizer=adam,
        transport=Processes(2, timeout=40),
        generator=chance,
    )
    for _ in range(2):
        spread.fit(data(), 1, checkpoint=path)
        plain.fit(data(), 1)
    assert len(spread.history) == 2
    assert distance(weights(spread), weights(plain)) == 0


def test_training_goes_on_from_the_trainer_where_the_file_is_behind(tmp_path) -> None:
    path = tmp_path / "run.pt"
    one, plain = trainer(DGL()), trainer(DGL())
    one.fit(data(), 1, checkpoint=path)
    one.fit(data(), 1)
    one.fit(data(), 1, checkpoint=path)
    plain.fit(data(), 3)
    assert distance(weights(one), weights(plain)) == 0
    again = trainer(DGL())
    again.fit(data(), 3, checkpoint=path)
    assert distance(weights(again), weights(plain)) == 0


class Counted(list):
    """A loader that knows how often it was asked for."""

    passes = 0

    def __iter__(self):
        self.passes += 1
        return super().__iter__()


def test_a_file_that_is_behind_costs_no_epoch(tmp_path) -> None:
    path, one = tmp_path / "run.pt", trainer(DGL())
    one.fit(data(), 1, checkpoint=path)
    one.fit(data(), 2)
    seconds, loader = one.history.seconds, Counted(data())
    one.fit(loader, 1, checkpoint=path)
    assert loader.passes == 1
    assert one.steps == 4 * len(data())
    assert torch.equal(one.history.seconds[:3], seconds)


def test_what_was_changed_between_calls_is_not_undone(tmp_path) -> None:
    path, one = tmp_path / "run.pt", trainer(DGL())
    one.fit(data(), 1, checkpoint=path)
    with torch.no_grad():
        one.partition.blocks[0].net[0][0].weight.zero_()
    history = one.fit(data(), 0, checkpoint=path)
    assert len(history) == 1
    assert not one.partition.blocks[0].net[0][0].weight.any()


def test_the_file_of_another_run_is_not_overwritten(tmp_path) -> None:
    path, other = tmp_path / "run.pt", trainer(DGL())
    other.fit([batch(seed=9)], 1, checkpoint=path)
    before = path.read_bytes()
    one = trainer(DGL())
    one.fit(data(), 1)
    with pytest.raises(ValueError, match=r"holds another run: its losses are \[\["):
        one.fit(data(), 1, checkpoint=path)
    assert path.read_bytes() == before


def test_another_kind_of_loader_is_refused(tmp_path) -> None:
    path, own = tmp_path / "run.pt", torch.Generator().manual_seed(0)
    samples = TensorDataset(*batch())
    loader = DataLoader(samples, batch_size=6, shuffle=True, generator=own)
    trainer(DGL()).fit(loader, 1, checkpoint=path)
    text = r"the loader has 0 generators but the checkpoint has \d: expected the same"
    with pytest.raises(ValueError, match=text):
        trainer(DGL()).fit(data(), 2, checkpoint=path)


def test_a_file_that_knows_more_than_is_asked_for_is_refused(tmp_path) -> None:
    path = tmp_path / "run.pt"
    trainer(DGL()).fit(data(), 3, checkpoint=path)
    text = r"has trained phases \[0, 0, 0\], but the plan is \[0\]: .*one call of fit"
    with pytest.raises(ValueError, match=text):
        trainer(DGL()).fit(data(), 1, checkpoint=path)
