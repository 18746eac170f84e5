"""Every discretisation is DeepXDE's: compile, train, callbacks, save, restore."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pinn import (
    Conservative,
    Extended,
    JetFNN,
    Mesh,
    Partition,
    Strong,
    SubdomainFNN,
    Variational,
    zoo,
)
from pinn._backend import dde
from pinn.forms.collocation import Collocation

HEAT = zoo.heat()
CUTS = Partition(HEAT.geometry, [[0.4]])
COUNTS = (60, 16, 16)


def smooth() -> torch.nn.Module:
    return JetFNN([2, 10, 1], generator=torch.Generator().manual_seed(0))


def plain() -> torch.nn.Module:
    torch.manual_seed(0)
    return dde.nn.FNN([2, 10, 1], "tanh", "Glorot normal")


def pieces() -> torch.nn.Module:
    generator = torch.Generator().manual_seed(0)
    return SubdomainFNN(CUTS, [2, 8, 1], generator=generator)


DATA: dict[str, tuple[Callable[[], Collocation], Callable[[], torch.nn.Module]]] = {
    "strong": (lambda: Strong(HEAT, *COUNTS), smooth),
    "strong, DeepXDE's FNN": (lambda: Strong(HEAT, *COUNTS), plain),
    "strong, hard": (lambda: Strong(HEAT, *COUNTS, hard=True), smooth),
    "cPINN": (lambda: Conservative(HEAT, CUTS, *COUNTS, num_interface=9), pieces),
    "XPINN": (lambda: Extended(HEAT, CUTS, *COUNTS, num_interface=9), pieces),
    "VPINN": (
        lambda: Variational(HEAT, Mesh(HEAT.geometry, 1, degree=4), 16, 16),
        smooth,
    ),
    "hp-VPINN": (
        lambda: Variational(HEAT, Mesh(HEAT.geometry, 2, degree=3), 16, 16, hats=True),
        smooth,
    ),
}
each = pytest.mark.parametrize("name", DATA)


def build(name: str) -> dde.Model:
    dde.config.set_random_seed(0)  # DeepXDE draws points of the boundary with numpy
    make_data, make_net = DATA[name]
    net = make_net()
    if name.endswith("hard"):
        net.apply_output_transform(HEAT.hard)
    return dde.Model(make_data(), net)


@each
def test_training_lowers_the_loss(name: str) -> None:
    model = build(name)
    model.compile("adam", lr=1e-2, metrics=["l2 relative error"], verbose=0)
    history, _ = model.train(iterations=60, display_every=30, verbose=0)
    losses = [loss.sum() for loss in history.loss_train]
    assert losses[-1] < 0.5 * losses[0]
    assert len(history.metrics_test) == 3


@each
def test_the_residual_vector_carries_the_loss(name: str) -> None:
    model = build(name)
    model.compile("adam", lr=1e-3, verbose=0)
    _, state = model.train(iterations=0, verbose=0)
    total = model.data.residual_vector(model.net).square().sum().item()
    assert total == pytest.approx(state.loss_train.sum(), rel=1e-12)
    count = len(state.loss_train)
    weights = [k + 1.0 for k in range(count)]
    weighted = model.data.residual_vector(model.net, weights).square().sum().item()
    assert weighted == pytest.approx((state.loss_train * weights).sum(), rel=1e-12)
    with pytest.raises(ValueError, match=f"loss_weights has {count + 1} entries"):
        model.data.residual_vector(model.net, [1.0] * (count + 1))


@each
def test_saving_and_restoring_goes_on_as_if_nothing_had_happened(
    name: str, tmp_path
) -> None:
    model = build(name)
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=5, verbose=0)
    path = model.save(str(tmp_path / "model"))
    model.train(iterations=5, verbose=0)
    other = build(name)
    other.compile("adam", lr=1e-3, verbose=0)
    other.restore(path)
    other.train(iterations=5, verbose=0)
    for a, b in zip(model.net.parameters(), other.net.parameters(), strict=True):
        assert torch.equal(a, b)


@each
def test_two_runs_are_the_same_run(name: str) -> None:
    ends = []
    for _ in range(2):
        model = build(name)
        model.compile("adam", lr=1e-3, verbose=0)
        model.train(iterations=3, verbose=0)
        ends.append(torch.cat([p.flatten() for p in model.net.parameters()]))
    assert torch.equal(*ends)


@each
def test_deepxdes_lbfgs_and_callbacks_work(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Callbacks are called between blocks. Of a thousand steps, as they are read from
    # the options when DeepXDE is imported: set_LBFGS_options does not change that.
    blocks = {"maxiter": 20, "iter_per_step": 10, "fun_per_step": 20}
    for option, number in blocks.items():
        monkeypatch.setitem(dde.optimizers.LBFGS_options, option, number)
    model = build(name)
    model.compile("L-BFGS", verbose=0)
    resampler = dde.callbacks.PDEPointResampler(period=1)
    timer = dde.callbacks.Timer(10)
    _, state = model.train(verbose=0, callbacks=[resampler, timer])
    assert 20 <= state.step < 30
    assert np.isfinite(state.loss_train).all()


@each
def test_prediction_is_an_array(name: str) -> None:
    model = build(name)
    model.compile("adam", lr=1e-3, verbose=0)
    assert model.predict(np.random.rand(7, 2)).shape == (7, 1)


@each
def test_a_loss_that_is_not_finite_stops_the_training(name: str) -> None:
    model = build(name)
    model.compile("adam", lr=1e-3, verbose=0)
    with torch.no_grad():
        next(model.net.parameters()).fill_(torch.nan)
    with pytest.raises(FloatingPointError, match=r"loss 0 \(residual 0\) is nan"):
        model.train(iterations=1, verbose=0)


def test_new_points_are_really_new_and_their_conditions_too() -> None:
    data = Strong(HEAT, *COUNTS, train_distribution="pseudo")
    net = smooth()
    like = next(net.parameters())
    before, inputs = data.points(like), data.train_x
    for _ in range(30):
        data.resample_train_points(True, True)
        points = torch.tensor(data.train_x).requires_grad_()
        found = data._condition_errors(points, HEAT.exact(points))
        assert max(e.abs().max() for e in found) < 1e-12, "values of other points"
    assert not torch.equal(before, data.points(like))
    assert not np.array_equal(inputs, data.train_x)


def test_a_grid_of_test_points_gives_test_losses() -> None:
    data = Strong(HEAT, *COUNTS, num_test=100)
    model = dde.Model(data, smooth())
    model.compile("adam", lr=1e-3, verbose=0)
    _, state = model.train(iterations=1, verbose=0)
    assert len(state.X_test) > 100 and state.loss_test[0] != state.loss_train[0]


def test_bad_input_is_refused() -> None:
    with pytest.raises(TypeError, match="problem is of type str"):
        Strong("heat")
    still = zoo.poisson_2d_steep()
    with pytest.raises(
        ValueError, match="num_initial is 5 but the problem has no time"
    ):
        Strong(still, 10, 10, 5)
    model = build("strong")
    model.compile("adam", lr=1e-3, loss=["MSE"] * 2, verbose=0)
    with pytest.raises(ValueError, match="loss has 2 entries but there are 3 losses"):
        model.train(iterations=1, verbose=0)
