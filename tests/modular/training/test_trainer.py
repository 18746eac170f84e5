"""The loop: exact resume, interrupts, errors that say where and what to try."""

import math

import pytest
import torch
from torch import nn

from modular import DGL, Backprop, Goodness, Greedy, Partition, Sim, Trainer
from tests.modular.nets import adam, batch, distance, partition, sgd, trainer, weights


def test_the_history_has_a_row_per_epoch() -> None:
    one, data = trainer(DGL()), [batch(seed=s) for s in range(3)]
    history = one.fit(data, epochs=2, validation=data)
    again = one.fit(data, epochs=1)
    assert len(history) == 2
    assert len(again) == len(one.history) == 3
    assert history.loss.shape == history.accuracy.shape == (2, 4)
    assert torch.equal(history.validation[-1].isnan(), torch.zeros(4).bool())
    assert again.validation[-1].isnan().all()
    assert (history.seconds > 0).all()
    assert (history.saved_bytes > 0).all()
    assert ((history.accuracy >= 0) & (history.accuracy <= 1)).all()


def test_the_loss_in_the_history_is_the_mean_over_samples() -> None:
    one = trainer(DGL(), optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    data = [batch(rows=12), batch(rows=4, seed=1)]
    history = one.fit(data, epochs=1)
    net, h = one.partition, torch.cat([x for x, _ in data])
    y = torch.cat([y for _, y in data])
    for k, (block, state) in enumerate(net.states(h)):
        scores = block.head(state)
        loss = nn.functional.cross_entropy(scores, y)
        assert math.isclose(history.loss[0, k], loss.item(), rel_tol=1e-12)
        right = (scores.argmax(dim=1) == y).double().mean()
        assert math.isclose(history.accuracy[0, k], right.item(), rel_tol=1e-12)
    assert torch.allclose(one.evaluate(data).double(), history.accuracy[0])


def test_nan_stands_where_there_is_nothing_to_tell() -> None:
    data = [batch()]
    history = trainer(Backprop()).fit(data, epochs=1, validation=data)
    assert history.loss.isnan().tolist() == [[True, True, True, False]]
    assert history.validation.isnan().tolist() == [[True, True, True, False]]
    history = trainer(DGL(Sim())).fit(data, epochs=1, validation=data)
    assert history.loss.isnan().tolist() == [[False] * 4]
    assert history.accuracy.isnan().tolist() == [[True, True, True, False]]


def test_resuming_restores_dropout_and_shuffling(tmp_path) -> None:
    def run(epochs: int, path=None, seed: int = 0) -> Trainer:
        stages = [nn.Sequential(nn.Linear(5, 5), nn.Dropout(0.5)) for _ in range(3)]
        torch.manual_seed(seed)
        for stage in stages:
            stage[0].reset_parameters()
        data = torch.utils.data.TensorDataset(*batch(rows=20))
        loader = torch.utils.data.DataLoader(data, 4, shuffle=True)  # global generator
        net = Partition(stages, 3, sample=data.tensors[0])
        one = Trainer(net, DGL(), optimizer=adam)
        one.fit(loader, epochs, checkpoint=path)
        return one

    unbroken = run(4)
    run(2, tmp_path / "run.pt")
    resumed = run(4, tmp_path / "run.pt", seed=99)
    assert distance(weights(unbroken), weights(resumed)) == 0
    assert torch.equal(unbroken.history.loss, resumed.history.loss)


def test_a_finished_checkpoint_trains_no_further(tmp_path) -> None:
    one, path = trainer(DGL()), tmp_path / "run.pt"
    one.fit([batch()], epochs=2, checkpoint=path)
    other = trainer(DGL())
    history = other.fit([batch()], epochs=2, checkpoint=path)
    assert distance(weights(one), weights(other)) == 0
    assert len(history) == 2
    assert not list(tmp_path.glob("*.part"))


def test_a_checkpoint_of_something_else_is_refused(tmp_path) -> None:
    path = tmp_path / "run.pt"
    trainer(Greedy()).fit([batch()], epochs=2, checkpoint=path)
    with pytest.raises(ValueError, match="belongs to Credit.*sequential.*on 4 modules"):
        trainer(DGL()).fit([batch()], epochs=2, checkpoint=path)
    with pytest.raises(ValueError, match="on 2: expected the same"):
        trainer(Greedy(), modules=2).fit([batch()], epochs=2, checkpoint=path)
    with pytest.raises(
        ValueError, match=r"has trained phases \[0, 0, 1, 1, 2, 2, 3, 3\]"
    ):
        trainer(Greedy()).fit([batch()], epochs=3, checkpoint=path)


def test_an_interrupt_returns_what_there_is(tmp_path) -> None:
    class Interrupted(list):
        calls = 0

        def __iter__(self):
            yield from super().__iter__()
            Interrupted.calls += 1
            if Interrupted.calls == 3:
                raise KeyboardInterrupt

    path, data = tmp_path / "run.pt", [batch(seed=s) for s in range(3)]
    one = trainer(DGL())
    history = one.fit(Interrupted(data), epochs=5, checkpoint=path)
    assert len(history) == 2
    resumed, unbroken = trainer(DGL()), trainer(DGL())
    resumed.fit(data, epochs=5, checkpoint=path)
    unbroken.fit(data, epochs=5)
    assert distance(weights(resumed), weights(unbroken)) == 0


def test_a_loss_that_explodes_stops_with_module_and_step() -> None:
    one = trainer(DGL())
    one.step(batch())
    with torch.no_grad():
        one.partition.blocks[2].head.predict[0].bias[0] = float("inf")
    text = r"loss of module 2 .Pred\(\). in step 1 is nan: try a smaller learning rate"
    with pytest.raises(FloatingPointError, match=text):
        one.fit([batch()], epochs=1)


def test_a_batch_of_one_with_batch_norm_is_refused() -> None:
    one = trainer(DGL(), norm=True)
    text = "the batch has 1 row but block 0 holds a BatchNorm1d .'net.0.1'."
    with pytest.raises(ValueError, match=text):
        one.step(batch(rows=1))
    trainer(DGL()).step(batch(rows=1))


def images(size: int) -> Trainer:
    model = [nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten()]
    model.append(nn.Linear(2 * (size - 2) ** 2, 3))
    net = Partition(model, cuts=[3], sample=torch.randn(2, 1, size, size))
    return Trainer(net, DGL(), optimizer=sgd)


def test_one_image_has_a_variance_and_one_pixel_has_none() -> None:
    y = torch.tensor([1])
    assert images(5).step((torch.randn(1, 1, 5, 5), y)).isfinite().all()
    text = "block 0 holds a BatchNorm2d .'net.1'., whose variance needs at least 2 val"
    with pytest.raises(ValueError, match=text):
        images(3).step((torch.randn(1, 1, 3, 3), y))


def test_a_resting_batch_norm_needs_no_variance() -> None:
    one = trainer(DGL(), norm=True)
    one.partition.freeze(0, 1, 2, 3)
    assert one.step(batch(rows=1)).isfinite().all()


@pytest.mark.parametrize(
    ("act", "error", "text"),
    [
        (lambda t: t.fit([], epochs=1), ValueError, "the loader has 0 batches"),
        (lambda t: t.evaluate([]), ValueError, "the loader has 0 batches"),
        (
            lambda t: t.fit([batch()], epochs=-1),
            ValueError,
            "epochs is -1: expected at",
        ),
        (
            lambda t: t.fit([batch()], epochs=1.5),
            TypeError,
            "epochs is 1.5: expected an",
        ),
        (lambda t: t.step(batch(), phase=1), ValueError, "phase is 1: expected 0 to 0"),
        (
            lambda t: t.fit([batch()], epochs=1, phases=[0, 4]),
            ValueError,
            "phase is 4: expected 0 to 0",
        ),
        (lambda t: t.step(batch(inputs=4)), ValueError, r"expected \(batch, 5\)"),
        (
            lambda t: t.step(batch(classes=9)),
            ValueError,
            "label [3-8]: expected 0 to 2",
        ),
    ],
)
def test_trainers_refuse(act, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        act(trainer(DGL()))


def test_a_block_without_parameters_has_nothing_to_learn() -> None:
    stages = [nn.Linear(5, 6), nn.Flatten(), nn.Linear(6, 3)]
    net = Partition(stages, 3, sample=torch.zeros(1, 5))
    net.blocks[1].head.requires_grad_(False)
    before = net.blocks[1].head.predict[0].weight.clone()
    one = Trainer(net, DGL(), optimizer=sgd)
    losses = one.step(batch())
    assert losses.isfinite().all()
    assert torch.equal(one.partition.blocks[1].head.predict[0].weight, before)


def test_progress_is_a_bar(capsys) -> None:
    trainer(DGL()).fit([batch()], epochs=2, progress=True)
    assert "2/2" in capsys.readouterr().err


def test_goodness_enters_with_its_own_rows() -> None:
    one = trainer(DGL(Goodness()))
    one.step(batch(rows=12))
    assert one.workers[0].h_out is None, "the graph is freed"
    assert one.evaluate([batch()]).isnan().tolist() == [True, True, True, False]


def test_float32_networks_train_in_float32() -> None:
    net = partition().float()
    x, y = batch()
    for block in net.blocks:
        assert block.like.dtype == torch.float32
    one = Trainer(net, DGL(), optimizer=adam)
    assert one.step((x.float(), y)).isfinite().all()
    with pytest.raises(TypeError, match="x has dtype torch.float64 but the partition"):
        one.step((x, y))
