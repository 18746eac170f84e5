"""Gradients that must not change do not; those that do, by as much as predicted."""

import copy
import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from modular.memory import (
    BitAllocator,
    Groupwise,
    Identity,
    LinearQuantizer,
    SigmaController,
    compressed_activations,
    predicted_sigma,
)
from modular.meter import SavedTensors


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 64, 5),
    )


def images(seed: int = 1) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(16, 2, 8, 8, generator=g)


def gradients(
    model: nn.Module, x: Tensor, kept: compressed_activations | None = None
) -> list[Tensor]:
    model.zero_grad()
    if kept is None:
        loss = model(x).square().mean()
    else:
        with kept:
            loss = model(x).square().mean()
    loss.backward()
    return [p.grad.clone() for p in model.parameters()]


def test_the_identity_is_plain_training_bitwise() -> None:
    model, x = network(), images()
    plain = gradients(model, x)
    same = gradients(model, x, compressed_activations(model, Identity()))
    assert all(torch.equal(a, b) for a, b in zip(plain, same, strict=True))


def test_only_the_weight_that_reads_an_activation_hears_of_its_error() -> None:
    """Biases, outputs, masks and all that flows back are bitwise what they were."""
    model, x = network(), images()
    plain = gradients(model, x)
    flow: dict[str, list[Tensor]] = {"plain": [], "kept": []}
    for name, kept in (
        ("plain", None),
        ("kept", compressed_activations(model, LinearQuantizer(0.05))),
    ):
        hooks = [
            m.register_full_backward_hook(lambda m, i, o, n=name: flow[n].append(o[0]))
            for m in model
        ]
        rough = gradients(model, x, kept)
        for hook in hooks:
            hook.remove()
    assert len(flow["plain"]) == 6
    pairs = zip(flow["plain"], flow["kept"], strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    changed = [not torch.equal(a, b) for a, b in zip(plain, rough, strict=True)]
    assert changed == [False, False, True, False, True, False]  # the data are exact


def test_the_error_of_a_gradient_is_within_the_hard_bound() -> None:
    torch.manual_seed(0)
    layer, bound = nn.Linear(30, 7, bias=False), 0.03
    h = torch.randn(50, 30).relu().requires_grad_()
    dy = torch.randn(50, 7)
    layer(h).backward(dy)
    exact = layer.weight.grad.clone()
    layer.zero_grad()
    with compressed_activations(layer, LinearQuantizer(bound), least=0):
        y = layer(h)
    y.backward(dy)
    most = bound * dy.abs().sum(0)[:, None]
    assert ((layer.weight.grad - exact).abs() <= most * (1 + 1e-12)).all()
    assert (layer.weight.grad - exact).abs().max() > 0.01 * most.max()


@pytest.mark.parametrize("bound", [1e-3, 1e-2])
def test_the_noise_of_a_gradient_is_the_predicted_one(bound: float) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 4, 3, bias=False)  # no edges: each weight sees every place
    h = torch.randn(32, 6, 14, 14).relu().requires_grad_()
    dy = torch.randn(32, 4, 12, 12) * torch.tensor([1.0, 2.0, 0.5, 3.0])[:, None, None]
    layer(h).backward(dy)
    exact = layer.weight.grad.clone()
    errors = []
    for shift in torch.rand(60):  # other grids: each is an independent draw
        layer.zero_grad()
        moved = (h + shift * bound * (h > 0)).detach().requires_grad_()
        with compressed_activations(layer, LinearQuantizer(bound)):
            y = layer(moved)
        y.backward(dy)
        straight = torch.nn.grad.conv2d_weight(moved, exact.shape, dy)
        errors.append(layer.weight.grad - straight)
    measured = torch.stack(errors).square().mean((0, 2, 3, 4)).sqrt()
    predicted = predicted_sigma(bound, h, dy)
    assert ((measured / predicted - 1).abs() < 0.1).all()


def test_what_is_saved_twice_is_kept_once() -> None:
    """By a ReLU and by the layer after it."""
    model, x = network(), images()
    with compressed_activations(model, Identity()) as kept:
        loss = model(x).square().mean()
    maps = 2 * 16 * 8 * 64 * 8
    assert kept.plain == kept.now == kept.peak == maps
    own = [*model.parameters(), x]
    with SavedTensors(exclude=own) as meter:
        other = model(x).square().mean()
    assert kept.peak <= meter.peak < kept.peak + 4000
    loss.backward()
    del loss, other
    gc.collect()
    assert kept.now == 0


def test_an_address_that_is_used_again_is_another_tensor() -> None:
    """The plain tensor is gone while its encoding is kept: its place may be taken."""
    model = nn.Sequential(*[nn.Linear(40, 40), nn.ReLU()] * 1).requires_grad_()
    g = torch.Generator().manual_seed(0)
    weights = [torch.randn(40, 40, generator=g).requires_grad_() for _ in range(12)]
    h = torch.randn(64, 40, generator=g)

    def run() -> Tensor:
        out = h
        for w in weights:
            out = (out @ w).relu() / 6
        return out.square().sum()

    exact = torch.autograd.grad(run(), weights)
    with compressed_activations(model, Identity(), least=0):
        loss = run()
    found = torch.autograd.grad(loss, weights)
    assert all(torch.equal(a, b) for a, b in zip(exact, found, strict=True))


def test_two_views_of_the_same_numbers_are_told_apart() -> None:
    """A square matrix and its transpose: the same storage, start and size."""
    g = torch.Generator().manual_seed(0)
    h, a, b = (torch.randn(40, 40, generator=g).requires_grad_() for _ in range(3))

    def run() -> Tensor:
        x = h * 1.0
        return (x @ a + x.t() @ b + x[:, ::2].square().sum()).sin().sum()

    exact = torch.autograd.grad(run(), (h, a, b))
    with compressed_activations(nn.Linear(1, 1), Identity(), least=0):
        loss = run()
    found = torch.autograd.grad(loss, (h, a, b))
    assert all(torch.equal(one, other) for one, other in zip(exact, found, strict=True))


def trained(make: Callable[[nn.Module], object] | None) -> tuple[list[float], list]:
    model, x = network(), images()
    target = x.mean((2, 3)) @ torch.ones(2, 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    codec = make(model) if make else Identity()
    losses, peaks = [], []
    for _ in range(12):
        optimizer.zero_grad()
        with compressed_activations(model, codec) as kept:
            loss = (model(x) - target).square().mean()
        loss.backward()
        if isinstance(codec, SigmaController):
            codec.step()
        optimizer.step()
        losses.append(loss.item())
        peaks.append(kept.peak)
    return losses, peaks


def test_the_controller_learns_as_well_in_less_room() -> None:
    exact, whole = trained(None)
    steered, peaks = trained(lambda model: SigmaController(model, share=0.05))
    assert peaks[0] == whole[0]  # the first step is exact
    assert max(peaks[1:]) < whole[0] / 2
    assert steered[0] == exact[0]
    assert steered[-1] < 0.8 * steered[0]
    assert abs(steered[-1] - exact[-1]) < 0.02 * exact[-1]


def test_the_controller_s_bounds_are_its_equation() -> None:
    model, x = network(), images()
    controller, share = SigmaController(model, share=0.03), 0.03
    seen = {}
    layer = model[2]
    layer.register_forward_hook(lambda m, i, o: seen.update(x=i[0].detach()))
    layer.register_full_backward_hook(lambda m, i, o: seen.update(dy=o[0]))
    with compressed_activations(model, controller):
        loss = model(x).square().mean()
    loss.backward()
    controller.step()
    sigma = predicted_sigma(1.0, seen["x"], seen["dy"]).max()
    expected = share * layer.weight.grad.abs().mean() / sigma
    assert controller.bounds[0] == pytest.approx(expected.item(), rel=1e-12)
    assert list(controller.bounds) == [0, 1]
    with pytest.raises(RuntimeError, match="no backward pass was seen"):
        controller.step()
    controller.remove()
    loss = model(x).sum().backward()
    with pytest.raises(RuntimeError, match="no backward pass was seen"):
        controller.step()
    with pytest.raises(ValueError, match="share is 0"):
        SigmaController(model, share=0)
    with pytest.raises(ValueError, match="has no nn.Linear"):
        SigmaController(nn.ReLU())


def test_bounds_hold_for_a_period_and_come_from_one_backward_pass() -> None:
    """Noise of the steps between does not add up, and a late bound is a fresh one."""
    model, x = network(), images()
    rare = SigmaController(model, share=0.03, period=3)
    seen = []
    for count in range(4):
        if count == 3:  # another batch: the bounds are those of this one alone
            x = images(seed=5)
        model.zero_grad()
        with compressed_activations(model, rare):
            loss = model(x).square().mean()
        loss.backward()
        rare.step()
        seen.append(rare.bounds)
    assert seen[0] == seen[1] == seen[2] != seen[3]
    fresh = SigmaController(model, share=0.03)
    with compressed_activations(model, fresh):
        loss = model(x).square().mean()
    model.zero_grad()
    loss.backward()
    fresh.step()
    assert seen[3] == pytest.approx(fresh.bounds, rel=0.01)  # the gradient has noise
    with pytest.raises(ValueError, match="period is 0"):
        SigmaController(model, period=0)


def test_each_activation_gets_its_bits() -> None:
    model, x = network(), images()
    size = 16 * 8 * 64
    bits = BitAllocator([size, size], [5.0, 1.0], 6 * size)
    with compressed_activations(model, bits) as kept:
        model(x).square().mean()
    each = [Groupwise(b).encode(torch.rand(size)) for b in bits.bits]
    assert bits.bits == (4, 2)
    counted = sum(Groupwise(b).count(k) for b, k in zip(bits.bits, each, strict=True))
    assert kept.peak == counted


def test_an_activation_that_is_not_finite_is_named() -> None:
    model = copy.deepcopy(network())
    model[0].bias.data[0] = torch.inf
    with pytest.raises(ValueError, match="is inf: expected finite"):
        with compressed_activations(model, LinearQuantizer(0.1)):
            model(images())


def test_a_weight_that_is_computed_is_refused() -> None:
    """It would be kept as an activation is, and every earlier gradient would change."""
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(40, 40)))
    with pytest.raises(
        ValueError, match=r"0\.weight is computed from other parameters"
    ):
        compressed_activations(model, LinearQuantizer(0.1))


class Twice(nn.Module):
    """One layer that is used twice, and one that reads the same input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.other = (nn.Linear(40, 40) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).relu()
        return self.again(self.again(h).relu()) + 30 * self.other(h)


def test_the_most_sensitive_reader_decides_and_uses_add_up() -> None:
    torch.manual_seed(0)
    model, x = Twice(), torch.randn(64, 40)
    controller, seen = SigmaController(model, share=0.02), []

    def watch(layer: nn.Module, inputs: tuple, y: Tensor) -> None:
        h = inputs[0].detach()
        y.register_hook(lambda dy: seen.append((layer, h, dy)))

    for layer in (model.again, model.other):
        layer.register_forward_hook(watch)
    with compressed_activations(model, controller):
        loss = model(x).square().mean()
    loss.backward()
    controller.step()
    squares: dict[nn.Module, Tensor] = {}
    for layer, h, dy in seen:
        square = predicted_sigma(1.0, h, dy).square()
        squares[layer] = squares.get(layer, 0) + square
    allowed = [
        0.02 * layer.weight.grad.abs().mean() / squares[layer].max().sqrt()
        for layer in (model.again, model.other)
    ]
    assert controller.bounds[0] == pytest.approx(min(allowed).item(), rel=1e-12)
    assert controller.bounds[1] == pytest.approx(allowed[0].item(), rel=1e-12)
    assert len(seen) == 3 and allowed[0] != allowed[1]
