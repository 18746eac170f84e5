"""Options of a trainer: metrics, schedules, clipping and mixed precision."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler

from modular import (
    DGL,
    Backprop,
    Greedy,
    Interlocking,
    Options,
    Partition,
    Pred,
    Trainer,
    audit,
)
from modular.training import accuracy
from tests.modular.nets import adam, batch, distance, draw, layers, sgd, weights


def trainer(method=None, options=None, optimizer=sgd, model=None, x=None) -> Trainer:
    torch.manual_seed(0)
    x = batch()[0] if x is None else x
    model = layers() if model is None else model
    chance = torch.Generator().manual_seed(7)
    heads = torch.Generator().manual_seed(5)
    net = Partition(model, 2, sample=x[:2], generator=heads)
    return Trainer(
        net,
        method or DGL(),
        optimizer=optimizer,
        options=options,
        generator=chance,
    )


# --- metrics --------------------------------------------------------------------------


def squares(scores: Tensor, target: Tensor) -> Tensor:
    return (scores - target).square().mean(dim=1)


def hits(scores: Tensor, target: Tensor) -> Tensor:
    return ((scores > 0) == (target > 0.5)).double().mean(dim=1)


def tokens() -> list[nn.Module]:
    torch.manual_seed(1)
    return [nn.Embedding(7, 6), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 4)]


def labels() -> Tensor:
    return (draw(10, 3, seed=1) > 0).double()


def words(classes: int) -> Tensor:
    return torch.arange(60).view(10, 6) % classes


MSE, BCE = functional.mse_loss, functional.binary_cross_entropy_with_logits
TASKS = {
    "regression": lambda: (
        layers(classes=1),
        draw(10, 5),
        draw(10, 1, seed=1),
        MSE,
        squares,
    ),
    "outputs": lambda: (layers(), draw(10, 5), draw(10, 3, seed=1), MSE, squares),
    "labels": lambda: (layers(), draw(10, 5), labels(), BCE, hits),
    "sequences": lambda: (
        tokens(),
        words(7),
        words(4),
        functional.cross_entropy,
        accuracy,
    ),
}
tasks = pytest.mark.parametrize("task", TASKS)


@tasks
def test_a_metric_is_its_mean_over_samples_after_every_module(task: str) -> None:
    model, x, y, loss, metric = TASKS[task]()
    one = trainer(DGL(Pred(loss)), Options(metric=metric), model=model, x=x)
    data = [(x[:7], y[:7]), (x[7:], y[7:])]
    found = one.evaluate(data)
    states = one.partition.eval().states(x)
    by_hand = torch.stack([metric(b.head(h), y).mean() for b, h in states])
    torch.testing.assert_close(found.double(), by_hand, rtol=1e-12, atol=0)
    still = trainer(
        DGL(Pred(loss)),
        Options(metric=metric),
        partial(torch.optim.SGD, lr=0.0),
        model=TASKS[task]()[0],
        x=x,
    )
    history = still.fit(data, 1, validation=data)
    torch.testing.assert_close(history.accuracy[0], by_hand, rtol=1e-12, atol=0)
    torch.testing.assert_close(history.validation[0], by_hand, rtol=1e-12, atol=0)


@tasks
def test_every_kind_of_target_trains_in_isolation(task: str) -> None:
    _, x, y, loss, metric = TASKS[task]()
    for method in (DGL(Pred(loss)), Interlocking(2, Pred(loss)), Backprop(Pred(loss))):
        one = trainer(method, Options(metric=metric), adam, TASKS[task]()[0], x)
        history = one.fit([(x, y)], epochs=40)
        assert history.loss[-1, -1] < history.loss[0, -1]
        assert audit.isolation(one, (x, y)).holds


def test_a_mean_of_the_batch_counts_by_its_rows() -> None:
    x, y = draw(10, 5), draw(10, 3, seed=1)
    data, loss = [(x[:7], y[:7]), (x[7:], y[7:])], DGL(Pred(functional.mse_loss))
    found = [
        trainer(loss, Options(metric=metric), x=x).evaluate(data)
        for metric in (squares, functional.mse_loss)
    ]
    torch.testing.assert_close(*found, rtol=1e-6, atol=0)


def test_what_is_no_label_is_not_judged_without_a_metric() -> None:
    x, y = draw(10, 5), draw(10, 3, seed=1)
    one = trainer(DGL(Pred(functional.mse_loss)), x=x)
    history = one.fit([(x, y)], 1, validation=[(x, y)])
    assert history.accuracy.isnan().all()
    assert history.validation.isnan().all()
    assert one.evaluate([(x, torch.zeros(10, 3))]).isnan().all()


def test_scores_of_sequences_are_compared_position_by_position() -> None:
    """As many positions as classes: torch would take one for the other."""
    x, y = torch.arange(16).view(4, 4) % 7, torch.arange(16).view(4, 4) % 4
    one = trainer(model=tokens(), x=x)
    loss = one.step((x, y))[-1]
    scores = trainer(model=tokens(), x=x).partition(x)
    flat = functional.cross_entropy(scores.view(16, 4), y.view(16))
    assert math.isclose(loss, flat.item(), rel_tol=1e-12)


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (lambda s, y: s, r"returned shape \(12, 3\): expected \(12,\)"),
        (lambda s, y: s[:5, 0], r"returned shape \(5,\): expected \(12,\)"),
    ],
)
def test_metrics_of_another_shape_are_refused(metric, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        trainer(options=Options(metric=metric)).evaluate([batch()])


# --- schedules ------------------------------------------------------------------------


def rates(one: Trainer) -> list[float]:
    return [w.optimizer.param_groups[0]["lr"] for w in one.workers.values()]


def test_learning_rates_follow_a_schedule_of_epochs() -> None:
    halved = partial(lr_scheduler.StepLR, step_size=2, gamma=0.5)
    one, seen = trainer(options=Options(scheduler=halved)), []
    for _ in range(5):
        one.fit([batch(), batch(seed=1)], epochs=1)
        seen.append(rates(one))
    assert seen == [[0.1] * 2, [0.05] * 2, [0.05] * 2, [0.025] * 2, [0.025] * 2]


def test_or_a_schedule_of_batches() -> None:
    halved = partial(lr_scheduler.StepLR, step_size=1, gamma=0.5)
    one = trainer(options=Options(scheduler=halved, per_batch=True))
    one.fit([batch(), batch(seed=1)], epochs=1)
    assert rates(one) == [0.025] * 2


def test_a_frozen_module_waits_with_its_schedule() -> None:
    halved = partial(lr_scheduler.StepLR, step_size=1, gamma=0.5)
    one = trainer(Greedy(), Options(scheduler=halved))
    one.fit([batch()], epochs=1, phases=[0])
    assert rates(one) == [0.05, 0.1]
    one.fit([batch()], epochs=2, phases=[1])
    assert rates(one) == [0.05, 0.025]


SCHEDULES = {
    "step": Options(partial(lr_scheduler.StepLR, step_size=2)),
    "milestones": Options(partial(lr_scheduler.MultiStepLR, milestones=[1, 3])),
    "cosine": Options(partial(lr_scheduler.CosineAnnealingLR, T_max=4)),
    "one cycle": Options(
        partial(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=8), per_batch=True
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_checkpoints_keep_the_schedule(name: str, tmp_path) -> None:
    data, options = [batch(), batch(seed=1)], SCHEDULES[name]
    unbroken, stopped, resumed = (trainer(options=options) for _ in range(3))
    unbroken.fit(data, epochs=4)
    stopped.fit(data, epochs=2, checkpoint=tmp_path / "run.pt")
    resumed.fit(data, epochs=4, checkpoint=tmp_path / "run.pt")
    assert distance(weights(unbroken), weights(resumed)) == 0
    assert rates(unbroken) == rates(resumed)


# --- clipping -------------------------------------------------------------------------


def test_gradients_are_clipped_module_by_module() -> None:
    one, free = trainer(options=Options(clip=0.05)), trainer()
    before = [
        [p.detach().clone() for p in b.parameters()] for b in free.partition.blocks
    ]
    one.step(batch())
    free.step(batch())
    for old, clipped, plain in zip(
        before, one.partition.blocks, free.partition.blocks, strict=True
    ):
        moves = [
            torch.cat(
                [(p - q).flatten() for p, q in zip(old, b.parameters(), strict=True)]
            )
            for b in (clipped, plain)
        ]
        norm = moves[1].norm() / 0.1
        assert norm > 0.05, "there is something to clip"
        expected = moves[1] * (0.05 / (norm + 1e-6))  # torch's own 1e-6
        torch.testing.assert_close(moves[0], expected, rtol=1e-12, atol=1e-15)


def test_short_gradients_are_left_alone() -> None:
    one, free = trainer(options=Options(clip=1e6)), trainer()
    for run in (one, free):
        run.step(batch())
    assert distance(weights(one), weights(free)) == 0


class Broken(torch.autograd.Function):
    """A right value with a gradient that is not a number."""

    @staticmethod
    def forward(ctx, h: Tensor) -> Tensor:
        return h.clone()

    @staticmethod
    def backward(ctx, g: Tensor) -> Tensor:
        return g * float("nan")


class Breaks(nn.Module):
    def forward(self, h: Tensor) -> Tensor:
        return Broken.apply(h)


def test_a_gradient_that_is_no_number_stops_with_module_and_step() -> None:
    model = [nn.Linear(5, 4), Breaks(), nn.Linear(4, 4), nn.Linear(4, 3)]
    one = trainer(options=Options(clip=1.0), model=model)
    text = "the gradient of module 0 in step 0 has the norm nan: try a smaller"
    with pytest.raises(FloatingPointError, match=text):
        one.step(batch())


# --- mixed precision ------------------------------------------------------------------


def low(**options) -> Options:
    return Options(autocast=torch.bfloat16, **options)


def single() -> list[nn.Module]:
    return [stage.float() for stage in layers()]


def test_mixed_precision_is_autocast_around_forward_and_loss() -> None:
    x, y = batch()
    x = x.float()
    one = trainer(options=low(), model=single(), x=x)
    net = trainer(model=single(), x=x).partition
    steps = [sgd(block.parameters()) for block in net.blocks]
    for _ in range(5):
        one.step((x, y))
        h = x
        for block, step in zip(net.blocks, steps, strict=True):
            step.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                out = block.net(h)
                assert out.dtype == torch.bfloat16
            out = out.float()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = functional.cross_entropy(block.head(out), y)
            loss.backward()
            step.step()
            h = out.detach()
    expected = [p for block in net.blocks for p in block.net.parameters()]
    assert distance(weights(one), expected) == 0


def test_messages_keep_their_dtype() -> None:
    x, y = batch()
    one = trainer(Interlocking(2), low(), model=single(), x=x.float())
    seen = []
    for verb in ("send_state", "send_credit"):
        send = getattr(one.transport, verb)

        def watch(*message, send=send) -> None:
            seen.append(message[-1].dtype)
            send(*message)

        setattr(one.transport, verb, watch)
    one.step((x.float(), y))
    assert seen == [torch.float32] * 2


@pytest.mark.parametrize("cached", [True, False])
def test_autocast_around_all_of_fit_sees_weights_as_they_are(cached: bool) -> None:
    """torch casts a weight once within autocast and uses that copy ever after."""
    x, y = batch()
    data = [(x.float(), y)]
    around, each = (trainer(model=single(), x=x.float()) for _ in range(2))
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=cached):
        around.fit(data, epochs=6)
    for _ in range(6):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            each.step(data[0])
    assert distance(weights(around), weights(each)) == 0
    assert around.history.loss[-1, -1] < around.history.loss[0, -1]


def test_within_autocast_predictions_are_those_of_the_weights_just_learned() -> None:
    x, y = batch()
    loss = partial(functional.cross_entropy, reduction="none")
    one = trainer(options=Options(metric=loss), model=single(), x=x.float())
    data = [(x.float(), y)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        one.step(data[0])
        within = one.evaluate(data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        after = one.evaluate(data)
    assert torch.equal(within, after)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Options(clip=0), ValueError, "clip is 0: expected a positive number"),
        (
            lambda: Options(metric="r2"),
            TypeError,
            "metric is 'r2': expected",
        ),
        (
            lambda: Options(scheduler=3),
            TypeError,
            "scheduler is 3: expected",
        ),
        (
            lambda: Options(autocast=torch.float16),
            ValueError,
            "autocast is torch.float16: expected torch.bfloat16 .gradients in float16",
        ),
        (
            lambda: trainer(options=Options(lr_scheduler.ReduceLROnPlateau)),
            TypeError,
            "scheduler makes a ReduceLROnPlateau: expected a schedule that follows the",
        ),
        (
            lambda: trainer(options=Options(lambda optimizer: 3)),
            TypeError,
            "scheduler makes a int: expected a schedule",
        ),
        (
            lambda: trainer(options={"clip": 1.0}),
            TypeError,
            "options is .*: expected a Options, as Options",
        ),
    ],
)
def test_options_refuse(make, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        make()
