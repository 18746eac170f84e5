"""Checkpoints: calls in a loop, other runs, plans that do not fit, broken files."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from modular import DGL, Greedy, Options, Processes, Trainer
from tests.modular.nets import (
    adam,
    batch,
    distance,
    partition,
    sgd,
    trainer,
    weights,
)


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
    one = trainer(DGL())
    before = weights(one)
    with pytest.raises(ValueError, match=text):
        one.fit(data(), 2, checkpoint=path)
    assert distance(weights(one), before) == 0, "refused before anything was taken"


def test_a_file_that_knows_more_than_is_asked_for_is_refused(tmp_path) -> None:
    path = tmp_path / "run.pt"
    trainer(DGL()).fit(data(), 3, checkpoint=path)
    text = r"has trained phases \[0, 0, 0\], but the plan is \[0\]: .*one call of fit"
    with pytest.raises(ValueError, match=text):
        trainer(DGL()).fit(data(), 1, checkpoint=path)


def without(name: str):
    def change(state: dict) -> dict:
        return {key: value for key, value in state.items() if key != name}

    return change


def older(state: dict) -> dict:
    """Return what was written before a history knew of phases."""
    history = {k: v for k, v in state["history"].items() if k != "phase"}
    return state | {"history": history}


def plain(state: dict) -> dict:
    """Return what was written before modules said how they step."""
    return state | {
        "modules": {k: without("settings")(v) for k, v in state["modules"].items()}
    }


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (older, r"lacks history\['phase'\]"),
        (plain, r"lacks modules\[0\]\['settings'\]"),
        (without("steps"), "lacks 'steps'"),
        (without("loader"), "lacks 'loader'"),
        (lambda state: state | {"history": 3}, r"lacks history\['loss'\], history"),
        (lambda state: state | {"modules": 4}, r"lacks modules\[0\]"),
        (
            lambda state: state["modules"][0]["block"],
            "lacks 'method', 'steps', 'history'",
        ),
        (lambda state: torch.zeros(3), "lacks 'method'"),
    ],
)
def test_what_an_older_or_another_program_wrote_is_refused(
    change, missing: str, tmp_path
) -> None:
    path = tmp_path / "run.pt"
    trainer(DGL()).fit(data(), 1, checkpoint=path)
    torch.save(change(torch.load(path)), path)
    one = trainer(DGL())
    before = weights(one)
    text = missing + ".*: another program or an earlier version wrote it; expected ano"
    with pytest.raises(ValueError, match=text):
        one.fit(data(), 2, checkpoint=path)
    assert distance(weights(one), before) == 0


@pytest.mark.parametrize("kind", ["half", "text", "nothing", "a module"])
def test_what_cannot_be_read_is_refused_in_one_sentence(kind: str, tmp_path) -> None:
    path = tmp_path / "run.pt"
    trainer(DGL()).fit(data(), 1, checkpoint=path)
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "text": b"abc"}.get(kind, b""))
    if kind == "a module":
        torch.save(nn.Linear(2, 2), path)
    text = r"run.pt' cannot be read \(\w+: [^\n]*\): expected a file that fit wrote"
    with pytest.raises(ValueError, match=text):
        trainer(DGL()).fit(data(), 2, checkpoint=path)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (
            {"width": 7},
            r"module 0, has net.0.0.weight of shape \(6, 5\) but .*\(7, 5\)",
        ),
        ({"norm": True}, r"net.0.1.weight of shape None but this trainer \(6,\)"),
        (
            {"head": "mlp"},
            r"has head.predict.0.weight of shape \(3, 6\) but .*\(6, 6\)",
        ),
        ({"optimizer": sgd}, "has optimizer Adam but this trainer SGD: expected the"),
        (
            {"optimizer": partial(torch.optim.Adam, lr=1e-3)},
            "optimizer's lr 0.01 but this trainer 0.001",
        ),
    ],
)
def test_other_layers_and_other_steps_are_refused(other, text: str, tmp_path) -> None:
    path = tmp_path / "run.pt"
    trainer(DGL()).fit(data(), 1, checkpoint=path)
    one = trainer(DGL(), **other)
    before = weights(one)
    with pytest.raises(ValueError, match=text):
        one.fit(data(), 2, checkpoint=path)
    assert distance(weights(one), before) == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (Options(clip=1.0), "has clip None but this trainer 1.0"),
        (
            Options(autocast=torch.bfloat16),
            "has autocast None but this trainer torch.bf",
        ),
        (
            Options(partial(torch.optim.lr_scheduler.StepLR, step_size=1)),
            "has scheduler NoneType but this trainer StepLR",
        ),
    ],
)
def test_other_options_are_refused(options: Options, text: str, tmp_path) -> None:
    path = tmp_path / "run.pt"
    trainer(DGL()).fit(data(), 1, checkpoint=path)
    one = Trainer(partition(), DGL(), optimizer=adam, options=options)
    with pytest.raises(ValueError, match=text):
        one.fit(data(), 2, checkpoint=path)


def test_a_folder_that_is_not_there_is_refused_before_training(tmp_path) -> None:
    loader = Counted(data())
    with pytest.raises(ValueError, match="there is no folder 'no': expected a file in"):
        trainer(DGL()).fit(loader, 1, checkpoint=tmp_path / "no" / "run.pt")
    assert loader.passes == 0
