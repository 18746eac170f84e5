"""What is taken out leaves the rest as it was; what is counted is there."""

import pytest
import torch
from torch import nn

from modular.compact import (
    LSQ,
    STE,
    BinaryConv2d,
    BinaryLinear,
    Movement,
    distill,
    quantize_weights,
    separable_ratio,
    shrink,
    size_report,
)


def net(*sizes: int, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(a, b), act()]
    return nn.Sequential(*layers[:-1]).double()


def test_a_smaller_network_computes_what_the_masked_one_does() -> None:
    torch.manual_seed(0)
    model, x = net(9, 12, 7, 3), torch.randn(20, 9, dtype=torch.float64)
    small = shrink(model, share=0.5)
    assert [m.out_features for m in small if isinstance(m, nn.Linear)] == [6, 4, 3]
    h = x
    for layer in model:  # the neurons that went, at zero
        h = layer(h)
        if isinstance(layer, nn.Linear) and layer.out_features > 3:
            strength = layer.weight.square().sum(1).sqrt()
            gone = strength.argsort()[: int(0.5 * len(strength))]
            h = h.index_fill(1, gone, 0.0)
    assert (small(x) - h).abs().max() < 1e-12
    assert shrink(model, 0.99)[0].out_features == 1
    assert torch.equal(shrink(model, 0.0)(x), model(x))


def test_shrinking_refuses_what_it_cannot_keep() -> None:
    with pytest.raises(ValueError, match=r"Sigmoid\(\) makes 0.5 of 0"):
        shrink(net(3, 4, 2, act=nn.Sigmoid), 0.5)
    with pytest.raises(TypeError, match="BatchNorm1d.* has weights"):
        shrink(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), 0.5)
    with pytest.raises(ValueError, match="share is 1"):
        shrink(net(3, 4, 2), 1)
    with pytest.raises(TypeError, match="has no nn.Linear"):
        shrink(nn.Sequential(nn.ReLU()), 0.5)


def test_movement_is_the_sum_of_weight_times_fall() -> None:
    torch.manual_seed(0)
    model = net(6, 5, 2)
    layers = [model[0], model[2]]
    movement, optimizer = Movement(layers), torch.optim.SGD(model.parameters(), 0.1)
    expected = [torch.zeros_like(layer.weight) for layer in layers]
    x = torch.randn(30, 6, dtype=torch.float64)
    for _ in range(5):
        optimizer.zero_grad()
        (model(x) - x[:, :2]).square().mean().backward()
        for score, layer in zip(expected, layers, strict=True):
            score -= layer.weight.detach() * layer.weight.grad
        movement.see()
        optimizer.step()
    every = torch.cat([score.flatten() for score in expected])
    gone = every.argsort()[: int(0.4 * len(every))]
    weights = torch.cat([layer.weight.detach().flatten() for layer in layers])
    weights[gone] = 0
    movement.prune(0.4)
    found = torch.cat([layer.weight.detach().flatten() for layer in layers])
    assert torch.equal(found, weights)
    optimizer.zero_grad()
    model(x).square().mean().backward()
    movement.see()  # and goes on
    movement.prune(0.6)
    assert sum(int((layer.weight == 0).sum()) for layer in layers) == int(0.6 * 40)


def test_what_movement_refuses() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="weight of layer 0 has no gradient"):
        Movement([layer]).see()
    with pytest.raises(ValueError, match="no step was seen"):
        Movement([layer]).prune(0.5)
    with pytest.raises(ValueError, match="share is -0.5"):
        Movement([layer]).prune(-0.5)
    with pytest.raises(ValueError, match="layers is empty"):
        Movement([])


def test_distillation_is_its_formula_and_matches_logits_when_hot() -> None:
    g = torch.Generator().manual_seed(0)
    student = torch.randn(6, 4, generator=g, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(6, 4, generator=g, dtype=torch.float64, requires_grad=True)
    p, q = (teacher / 3).softmax(1), (student / 3).softmax(1)
    exact = 9 * (p * (p / q).log()).sum(1).mean()
    assert (distill(student, teacher, 3.0) - exact).abs() < 1e-12
    (gradient,) = torch.autograd.grad(distill(student, teacher, 1e4), student)
    centred = (student - student.mean(1, keepdim=True)) - (
        teacher - teacher.mean(1, keepdim=True)
    )
    assert (gradient - centred / (4 * 6)).abs().max() < 1e-4 * centred.abs().max()
    distill(student, teacher).backward()
    assert teacher.grad is None
    with pytest.raises(
        ValueError, match=r"student has shape \(6, 4\) and teacher \(6,"
    ):
        distill(student, teacher[:, :3])
    with pytest.raises(ValueError, match="temperature is 0"):
        distill(student, teacher, 0)


def test_sizes_count_bits() -> None:
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)).float()
    assert size_report(model).bytes == 4 * (16 * 8 + 8 + 8 * 4 + 4)
    quantize_weights(model, STE(2))
    found = size_report(model)
    assert found.bytes == (128 + 32) * 2 / 8 + 4 * (8 + 4) + 2 * 4
    assert found.layers[0] == ("0.bias", 8, 32)
    assert ("0.weight", 128, 2) in found.layers
    assert found.nonzero == sum(
        int((t != 0).sum()) for m in (model[0], model[2]) for t in (m.weight, m.bias)
    )
    learned = quantize_weights(nn.Linear(16, 8, bias=False).float(), LSQ(4))
    assert size_report(learned).bytes == 128 / 2 + 4
    binary = nn.Sequential(BinaryLinear(16, 8, bias=False), BinaryConv2d(1, 2, 3))
    bits = (128 / 8 + 4 * 8) + (18 / 8 + 4 * 2 + 4 * 2)
    assert size_report(binary.float()).bytes == bits
    other = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2).float())
    assert size_report(other).parameters == 8 + 2 + 2  # another parametrisation's own
    tied = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    tied[1].weight = tied[0].weight
    with pytest.raises(ValueError, match=r"1\.weight is 0's, too"):
        size_report(tied)
    masked = nn.Linear(4, 2).float()
    nn.utils.prune.l1_unstructured(masked, "weight", amount=6)
    pruned = size_report(masked)
    assert pruned.parameters == 10 and pruned.nonzero == 4
    assert {name for name, _, _ in pruned.layers} == {"weight", "bias"}


def test_a_separable_convolution_has_that_share_of_the_weights() -> None:
    full = nn.Conv2d(5, 7, 3, bias=False).weight.numel()
    deep = nn.Conv2d(5, 5, 3, groups=5, bias=False).weight.numel()
    wide = nn.Conv2d(5, 7, 1, bias=False).weight.numel()
    assert (deep + wide) / full == pytest.approx(separable_ratio(7, 3), abs=1e-12)
    with pytest.raises(ValueError, match="kernel is 0"):
        separable_ratio(7, 0)
