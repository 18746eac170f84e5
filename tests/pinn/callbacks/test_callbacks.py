"""Points that follow the residual, weights that balance the losses."""

import numpy as np
import pytest
import torch

from pinn import (
    NTK,
    RAD,
    RAR,
    CausalWeights,
    GradientNorm,
    JetFNN,
    Mesh,
    ResidualAttention,
    SelfAdaptive,
    Strong,
    Variational,
    zoo,
)
from pinn._backend import dde

HEAT = zoo.heat()


def model_of(problem: object = HEAT, count: int = 200) -> dde.Model:
    dde.config.set_random_seed(0)
    net = JetFNN([problem.dim, 8, 1], generator=torch.Generator().manual_seed(0))
    model = dde.Model(Strong(problem, count, 20, 20), net)
    model.compile("adam", lr=1e-3, verbose=0)
    return model


def train(model: dde.Model, callback: object, iterations: int = 4) -> None:
    model.train(iterations=iterations, verbose=0, callbacks=[callback])


def residual(model: dde.Model, x: np.ndarray) -> torch.Tensor:
    return model.data.blocks(model.net, torch.as_tensor(x))[0].detach().abs().flatten()


def test_rar_adds_the_points_of_largest_residual() -> None:
    model = model_of()
    before = len(model.data.train_x_all)
    train(model, RAR(period=4, add=7, candidates=500))
    x = model.data.train_x_all
    assert len(x) == before + 7
    assert residual(model, x[:7]).min() > residual(model, x[7:]).quantile(0.9)


def test_rad_draws_from_the_density_of_the_residual() -> None:
    model = model_of(count=2000)
    train(model, RAD(period=4, k=2.0, c=0.0, candidates=20_000))
    x = model.data.train_x_all
    assert len(np.unique(x, axis=0)) == len(x), "drawn without repetition"
    uniform = np.random.default_rng(0).random((20_000, 2))
    r = residual(model, uniform).square()
    weighted = (r[:, None] * torch.as_tensor(uniform)).sum(0) / r.sum()
    assert np.allclose(x.mean(0), weighted, atol=0.03)
    assert not np.allclose(x.mean(0), 0.5, atol=0.03), "and that is not the middle"


def test_new_points_are_inside_an_l() -> None:
    problem = zoo.l_shape()
    net = JetFNN([2, 8, 1], generator=torch.Generator().manual_seed(0))
    model = dde.Model(Strong(problem, 100, 40), net)
    model.compile("adam", lr=1e-3, verbose=0)
    train(model, RAD(period=2, candidates=300))
    assert problem.geometry.inside(model.data.train_x_all).all()


def test_causal_weights_wait_for_earlier_times() -> None:
    model = model_of()
    train(model, CausalWeights(epsilon=0.5, slabs=8, period=2))
    weights = model.data.point_weights[:, 0]
    t = torch.as_tensor(model.data.train_x_all[:, 1])
    order = t.argsort()
    assert weights.max() == 1 and (weights[t < 1 / 8] == 1).all()
    assert (weights[order].diff() <= 1e-12).all(), "never more than earlier"
    slab = (t * 8).long().clamp(max=7)
    r2 = residual(model, model.data.train_x_all).square()
    first = r2[slab == 0].mean()
    assert weights[slab == 1][0].item() ** 2 == pytest.approx(
        torch.exp(-0.5 * first).item(), rel=1e-9
    )


def gradients(model: dde.Model) -> torch.Tensor:
    blocks = model.data.blocks(model.net, model.data.points(torch.zeros(1).double()))
    inputs = torch.as_tensor(model.data.train_x).requires_grad_()
    blocks += model.data._condition_errors(inputs, model.net(inputs))
    norms = []
    for block in blocks:
        model.net.zero_grad()
        block.square().mean().backward(retain_graph=True)
        norms.append(
            torch.cat([p.grad.flatten() for p in model.net.parameters()]).norm()
        )
    return torch.stack(norms)


def test_gradient_norms_are_equal_after_weighing() -> None:
    model = model_of()
    train(model, GradientNorm(period=3, momentum=0.0), iterations=3)
    weights = torch.tensor(model.loss_weights, dtype=torch.float64)
    pulls = gradients(model) * weights
    assert torch.allclose(pulls, pulls.mean().expand(3), rtol=1e-9)


def test_the_kernels_trace_is_estimated_without_bias() -> None:
    model = model_of(count=20)
    blocks = model.data.blocks(model.net, model.data.points(torch.zeros(1).double()))
    params = list(model.net.parameters())
    exact = sum(
        sum(g.square().sum() for g in torch.autograd.grad(
            r, params, retain_graph=True, allow_unused=True) if g is not None)
        for r in blocks[0].flatten()
    )  # fmt: skip
    estimates = torch.stack([NTK(probes=60, seed=k)._trace(blocks[0], params)
                             for k in range(5)])  # fmt: skip
    assert estimates.mean().item() == pytest.approx(exact.item(), rel=0.15)
    train(model, NTK(period=2))
    assert len(model.loss_weights) == 3 and min(model.loss_weights) >= 1


def test_momentum_mixes_old_weights_with_new_ones() -> None:
    model = model_of()
    callback = GradientNorm(period=1, momentum=0.9)
    callback.set_model(model)
    callback.on_train_begin()
    first = torch.tensor(model.loss_weights)
    model.loss_weights = (2 * first).tolist()
    callback._set(0.9)
    assert torch.allclose(torch.tensor(model.loss_weights), 1.9 * first, rtol=1e-9)


def test_self_adaptive_weights_climb_where_the_residual_is() -> None:
    model = model_of()
    train(model, SelfAdaptive(rate=0.5), iterations=1)
    r2 = residual(model, model.data.train_x_all).square()
    assert torch.allclose(model.data.point_weights[:, 0], 1 + 0.5 * r2, rtol=1e-9)


def test_residual_attention_is_bounded() -> None:
    model = model_of()
    callback = ResidualAttention(gamma=0.5, eta=0.1)
    train(model, callback, iterations=40)
    weights = model.data.point_weights
    assert weights.max() <= 0.1 / (1 - 0.5) + 1e-9
    assert weights.min() >= 0 and weights.std() > 0


def test_weights_enter_the_loss() -> None:
    model = model_of()
    plain = model.data.residual_vector(model.net).square().sum()
    model.data.point_weights = torch.full((len(model.data.train_x_all), 1), 2.0)
    heavy = model.data.residual_vector(model.net).square().sum()
    _, state = model.train(iterations=0, verbose=0)
    assert heavy.item() == pytest.approx(state.loss_train.sum(), rel=1e-12)
    assert heavy > 1.5 * plain
    model.data.resample_train_points()
    assert model.data.point_weights is None, "new points, new weights"


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda: RAR(period=0), ValueError, "period is 0"),
        (lambda: RAR(add=10, candidates=5), ValueError, "candidates is 5"),
        (lambda: RAD(c=-1.0), ValueError, "c is -1.0"),
        (lambda: RAD(k=0.0), ValueError, "k is 0.0"),
        (lambda: CausalWeights(epsilon=0.0), ValueError, "epsilon is 0.0"),
        (lambda: GradientNorm(momentum=1.0), ValueError, "momentum is 1.0"),
        (lambda: NTK(probes=2.5), TypeError, "probes is 2.5"),
        (lambda: SelfAdaptive(rate=-1.0), ValueError, "rate is -1.0"),
        (lambda: ResidualAttention(gamma=1.0), ValueError, "gamma is 1.0"),
    ],
)
def test_bad_input_is_refused(make, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_callbacks_that_do_not_fit_are_refused() -> None:
    still = zoo.poisson_2d_steep()
    model = dde.Model(Strong(still, 50, 20), JetFNN([2, 4, 1]))
    model.compile("adam", lr=1e-3, verbose=0)
    with pytest.raises(ValueError, match="the problem has no time"):
        train(model, CausalWeights())
    weak = dde.Model(Variational(HEAT, Mesh(HEAT.geometry, 1), 8, 8), JetFNN([2, 4, 1]))
    weak.compile("adam", lr=1e-3, verbose=0)
    with pytest.raises(ValueError, match="Variational has no residual at points"):
        train(weak, RAR(period=2))
    few = model_of()
    with pytest.raises(ValueError, match="candidates is 10 but there are 240 points"):
        train(few, RAD(period=1, candidates=10))


@pytest.mark.parametrize("make", [SelfAdaptive, ResidualAttention])
def test_weights_of_points_need_points(make: type) -> None:
    data = Variational(HEAT, Mesh(HEAT.geometry, 2, degree=2), 16, 16)
    net = JetFNN([2, 8, 1], generator=torch.Generator().manual_seed(0))
    model = dde.Model(data, net)
    model.compile("adam", lr=1e-3, verbose=0)
    message = f"Variational has no residual at points: {make.__name__} expects Strong"
    with pytest.raises(ValueError, match=message):
        train(model, make())
