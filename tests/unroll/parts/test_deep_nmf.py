"""DeepNMF: multiplicative updates before training, never negative after it."""

import copy
import pickle

import pytest
import torch
from torch.autograd import gradcheck

from unroll import Recipe, train
from unroll.parts import DeepNMF, multiplicative_updates
from unroll.problems import Mixtures


def sampled(batch=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    problem = Mixtures.random(10, 4, generator)
    return problem, *problem.sample(batch, generator)


def disturbed(A, size=0.3, **weights):
    generator = torch.Generator().manual_seed(5)
    net = DeepNMF(A, depth=5, **weights)
    with torch.no_grad():
        for p in net.parameters():
            p += size * torch.randn(p.shape, generator=generator)
    return net


def test_equals_multiplicative_updates_at_every_depth_before_training():
    problem, b, _ = sampled()
    iterates = DeepNMF(problem.A, depth=6).iterates(b)
    for k in range(7):
        expected = multiplicative_updates(problem.A, b, iterations=k)
        torch.testing.assert_close(iterates[k], expected, rtol=0, atol=1e-12)


def test_with_penalties_it_lowers_the_penalised_cost_layer_by_layer():
    problem, b, _ = sampled()
    l1, l2 = 0.7, 0.4
    x = DeepNMF(problem.A, depth=40, l1=l1, l2=l2).iterates(b)
    fit = 0.5 * (b - x @ problem.A.T).square().sum(dim=-1)
    cost = fit + l1 * x.sum(dim=-1) + l2 / 2 * x.square().sum(dim=-1)
    assert (cost[1:] <= cost[:-1] + 1e-12).all()
    slope = (x[-1] @ problem.A.T - b) @ problem.A + l1 + l2 * x[-1]
    assert (slope > -0.2).all(), "no entry wants to grow"


def test_stays_non_negative_whatever_it_has_learned():
    problem, b, _ = sampled()
    net = disturbed(problem.A, size=1.0)
    assert any((p < 0).any() for p in net.parameters())
    x = net.iterates(b)
    assert (x >= 0).all() and x.isfinite().all() and x[-1].any()


def test_negative_entries_of_its_matrices_count_as_zero():
    problem, b, _ = sampled()
    net = disturbed(problem.A, size=1.0)
    other = copy.deepcopy(net)
    with torch.no_grad():
        for p in other.parameters():
            p.clamp_(min=0)
    assert torch.equal(net(b), other(b))


def test_a_layer_is_its_equation():
    problem, b, _ = sampled()
    net = disturbed(problem.A, l1=0.3, l2=0.2)
    x, layer = net(b, depth=2), net.layers[2]
    top = b @ layer.pull.relu()
    expected = x * top / (x @ layer.gram.relu() + 0.2 * x + 0.3)
    torch.testing.assert_close(net(b, depth=3), expected, rtol=0, atol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    problem, b, _ = sampled(batch=3)
    net = disturbed(problem.A, size=0.05)
    layer = net.layers[1]

    def found(pull, gram, b):
        new = {"layers.1.pull": pull, "layers.1.gram": gram}
        return torch.func.functional_call(net, new, (b,))

    start = (layer.pull, layer.gram, b)
    assert gradcheck(found, tuple(v.detach().clone().requires_grad_() for v in start))


def test_training_beats_as_many_updates():
    problem, _, _ = sampled()
    b, x = problem.sample(1000, torch.Generator().manual_seed(9))
    net = DeepNMF(problem.A, depth=4)
    before = (net(b) - x).square().mean().item()
    recipe = Recipe(steps=120, batch=64, validation=100, lr_matrices=0.02)
    train(net, problem, recipe, generator=torch.Generator().manual_seed(0))
    assert (net(b) - x).square().mean().item() < 0.7 * before


def test_survives_copy_pickle_save_vmap_and_export():
    problem, b, _ = sampled()
    net = disturbed(problem.A, l1=0.1)
    expected = net(b)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(b), expected)
    other = DeepNMF(sampled(seed=1)[0].A, depth=5)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(b), expected) and other.l1 == 0.1
    with torch.no_grad():
        mapped = torch.func.vmap(lambda row: net(row[None])[0])(b)
        torch.testing.assert_close(mapped, expected)
        exported = torch.export.export(net, (b,)).module()
        torch.testing.assert_close(exported(b), expected)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"A": -torch.ones(3, 2)}, r"A\[0, 0\] is -1.0: expected entries >= 0"),
        ({"l1": -0.1}, "l1 is -0.1"),
        ({"l2": float("nan")}, "l2 is nan"),
        ({"depth": 0}, "depth is 0"),
    ],
)
def test_refuses_by_name(change, shown):
    with pytest.raises(ValueError, match=shown):
        DeepNMF(**({"A": torch.ones(3, 2)} | change))


def test_refuses_samples_that_are_negative():
    with pytest.raises(ValueError, match=r"b\[0, 1\] is -2.0: expected entries >= 0"):
        DeepNMF(torch.ones(2, 2))(torch.tensor([[1.0, -2.0]]))
