"""Several processes: bitwise the same, bounded, and never a silent hang."""

import os
import re
import signal
import time
from functools import partial

import pytest
import torch
from torch import nn

from modular import (
    DGL,
    Backprop,
    Calibrated,
    InProcess,
    Interlocking,
    Options,
    Partition,
    Processes,
    Trainer,
    audit,
)
from modular.transport import Rank
from tests.modular.nets import (
    adam,
    batch,
    distance,
    partition,
    trainer,
    weights,
)


def loader() -> torch.utils.data.DataLoader:
    pairs = torch.utils.data.TensorDataset(*batch(rows=30))
    order = torch.Generator().manual_seed(2)
    return torch.utils.data.DataLoader(pairs, 10, shuffle=True, generator=order)


def spread(method, ranks: int, **options) -> Trainer:
    chance = torch.Generator().manual_seed(7)
    transport = Processes(ranks, timeout=40, **options)
    return Trainer(
        partition(norm=True),
        method,
        optimizer=adam,
        transport=transport,
        generator=chance,
    )


@pytest.mark.parametrize(
    ("method", "ranks"),
    [
        (DGL(), 1),
        (DGL(), 4),
        (Interlocking(2), 4),
        (Interlocking(3), 2),
        (Backprop(), 2),
    ],
    ids=lambda v: getattr(v, "name", v),
)
def test_processes_give_bitwise_the_weights_of_one(method, ranks: int) -> None:
    here, there = trainer(method, norm=True), spread(method, ranks)
    expected = here.fit(loader(), epochs=2, validation=[batch(seed=5)])
    found = there.fit(loader(), epochs=2, validation=[batch(seed=5)])
    assert distance(weights(here), weights(there)) == 0
    for name, column in found.state_dict().items():
        if name not in ("seconds", "saved_bytes"):
            one, other = column, expected.state_dict()[name]
            torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


class Drops(nn.Module):
    """Dropout as a function: torch's global generator, and no layer to be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.linear(h), 0.5, self.training)


class Recurrent(nn.Module):
    """An LSTM with dropout between its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 6, 2, batch_first=True, dropout=0.5)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.lstm(h[:, None])[0][:, -1]


@pytest.mark.parametrize("kind", [Drops, Recurrent])
def test_chance_of_any_kind_is_the_same_in_processes(kind) -> None:
    def run(transport) -> Trainer:
        torch.manual_seed(0)
        stages = [nn.Linear(5, 6), kind(), kind(), nn.Linear(6, 3)]
        one = Trainer(
            Partition(stages, cuts=[2], sample=batch()[0]),
            DGL(),
            optimizer=adam,
            transport=transport,
            generator=torch.Generator().manual_seed(1),
        )
        one.fit([batch()] * 3, epochs=2)
        return one

    here, there = run(InProcess()), run(Processes(2, timeout=40))
    assert distance(weights(here), weights(there)) == 0


def bits(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return -nn.functional.cross_entropy(scores, target, reduction="none")


def test_options_reach_the_processes() -> None:
    options = Options(
        scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5),
        clip=0.1,
        autocast=torch.bfloat16,
        metric=bits,
    )
    runs = []
    for transport in (InProcess(), Processes(2, timeout=40)):
        chance = torch.Generator().manual_seed(7)
        one = Trainer(
            partition().float(),
            Interlocking(2),
            optimizer=adam,
            transport=transport,
            generator=chance,
            options=options,
        )
        x, y = batch()
        one.fit([(x.float(), y)] * 3, epochs=3)
        runs.append(one)
    here, there = runs
    assert distance(weights(here), weights(there)) == 0
    assert torch.equal(here.history.accuracy, there.history.accuracy)
    assert there.workers[3].optimizer.param_groups[0]["lr"] == 1e-2 / 8
    assert (there.history.accuracy < 0).all()


def test_autocast_of_the_caller_does_not_reach_processes() -> None:
    one = spread(DGL(), 2)
    text = "inside torch.autocast.*expected .*options=Options.autocast"
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        pytest.raises(RuntimeError, match=text),
    ):
        one.fit([batch()], epochs=1)


def test_the_size_of_the_buffer_changes_no_weight() -> None:
    runs = [spread(DGL(), 4, queue=size) for size in (1, 50)]
    for one in runs:
        one.fit(loader(), epochs=2)
    assert distance(*map(weights, runs)) == 0


def test_training_goes_on_in_processes_where_it_stopped() -> None:
    data = loader()
    here, there = trainer(DGL(), norm=True), spread(DGL(), 2)
    here.fit(loader(), epochs=3)
    there.fit(data, epochs=1)
    there.fit(data, epochs=2)
    assert distance(weights(here), weights(there)) == 0


class Deadly(nn.Linear):
    """Kills its process after some forward passes."""

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        if self.training and self.calls >= 6:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(h)


class Sleepy(nn.Linear):
    """Does not answer."""

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        if self.training:
            time.sleep(60)
        return super().forward(h)


def three(middle: type[nn.Module], timeout: float) -> Trainer:
    stages = [nn.Linear(5, 6), middle(6, 6), nn.Linear(6, 3)]
    net = Partition(stages, 3, sample=torch.zeros(1, 5))
    transport = Processes(3, timeout=timeout)
    return Trainer(net, DGL(), optimizer=adam, transport=transport)


def test_a_killed_rank_ends_the_others_and_is_named() -> None:
    one = three(Deadly, timeout=30)
    before, start = weights(one), time.monotonic()
    with pytest.raises(RuntimeError, match="rank 1 of 3 died .SIGKILL.|lost rank 1"):
        one.fit([batch()] * 20, epochs=1)
    assert time.monotonic() - start < 60
    assert distance(before, weights(one)) == 0


def test_a_rank_that_does_not_answer_is_named_after_the_time_out() -> None:
    text = r"lost rank 1 in step \d+, at the state for module \d .time-out 2 s."
    with pytest.raises(RuntimeError, match=text):
        three(Sleepy, timeout=2).fit([batch()] * 20, epochs=1)


def test_an_error_in_a_rank_arrives_with_its_text() -> None:
    one = spread(DGL(), 2)
    x, y = batch()
    with pytest.raises(
        RuntimeError, match="rank . of 2: (.|\n)*label 7: expected 0 to 2"
    ):
        one.fit([(x, torch.full_like(y, 7))], epochs=1)


def test_calibrated_stages_follow_the_schedule_not_the_cores() -> None:
    costs = Calibrated(0.01, 0.02)
    one = spread(DGL(), 4, stand_in=costs)
    before = weights(one)
    one.fit([batch()] * 5, epochs=1)
    measured = audit.Timeline.traced(one)
    assert distance(before, weights(one)) == 0, "nothing is computed"
    events = list(one.method.schedule(4))
    assert len(measured.events) == 5 * len(events)
    lengths = measured.end - measured.start
    least = torch.tensor([costs.seconds(e) for e in measured.events])
    assert (lengths >= 0.99 * least).all()
    spans = list(
        zip(measured.events, measured.step, measured.start, measured.end, strict=True)
    )
    ends = {(e.kind, e.module, int(s)): end for e, s, _, end in spans}
    for event, step, start, _ in spans:
        if event.kind == "forward" and event.module > 0:
            assert start >= ends["forward", event.module - 1, int(step)]


def test_a_rank_that_never_came_is_missed_after_the_time_out(monkeypatch) -> None:
    here = {"RANK": "0", "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1"}
    for name, value in (here | {"MASTER_PORT": "0"}).items():  # 0: any that is free
        monkeypatch.setenv(name, value)
    text = "rank 0 waited 1 s for a process that is missing: expected 3, .*torchrun"
    with pytest.raises(ConnectionError, match=text):
        Rank.attached(timeout=1)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: spread(DGL(), 5), ValueError, "ranks is 5 but there are 4 modules"),
        (lambda: Processes(0), ValueError, "ranks is 0: expected at least 1"),
        (
            lambda: Processes(2, timeout=0),
            ValueError,
            "timeout is 0: expected a positive",
        ),
        (lambda: Processes(2, queue=0), ValueError, "queue is 0: expected at least 1"),
        (lambda: Rank.attached(), RuntimeError, "RANK is not set: .*torchrun"),
        (lambda: spread(DGL(), 2).step(batch()), RuntimeError, "use Trainer.fit"),
        (
            lambda: Trainer(
                partition(),
                DGL(),
                optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
                transport=Processes(2),
            ).fit([batch()], epochs=1),
            TypeError,
            "lambda.*expected a partition, method, optimizer",
        ),
        (
            lambda: audit.isolation(spread(DGL(), 2), batch()),
            TypeError,
            "Processes.*expected InProcess",
        ),
    ],
)
def test_processes_refuse(make, error: type, text: str, monkeypatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(error, match=re.compile(text, re.DOTALL)):
        make()
