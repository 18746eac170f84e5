"""CORONA: proximal gradient before training, row-wise shrinkage, gradients."""

import copy
import pickle

import pytest
import torch
from torch.nn.functional import conv2d

from unroll.lowrank import CORONA
from unroll.penalties import GroupL21, NuclearNorm
from unroll.problems import Clip

LAM_L, LAM_S = 0.8, 0.15
START = {"lam_L": LAM_L, "lam_S": LAM_S, "dtype": torch.float64}


def clips():
    clip, _ = Clip((6, 7), 8).sample(2, torch.Generator().manual_seed(0))
    return clip.double()


def disturbed(seed=0):
    generator = torch.Generator().manual_seed(seed)
    net = CORONA(depth=4, **START)
    with torch.no_grad():
        for p in net.parameters():
            p += 0.05 * torch.randn(p.shape, dtype=p.dtype, generator=generator)
    return net


def test_equals_the_proximal_gradient_method_at_every_depth_before_training():
    D = clips()
    matrix = D.flatten(2).mT  # pixels x frames
    L = S = torch.zeros_like(matrix)
    net, costs = CORONA(depth=6, **START), []
    for k in range(7):
        for found, expected in zip(net(D, depth=k), (L, S), strict=True):
            expected = expected.mT.reshape(D.shape)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        nuclear, rows = NuclearNorm(), GroupL21(8)
        cost = 0.5 * (matrix - L - S).square().sum(dim=(1, 2))
        costs.append(cost + LAM_L * nuclear.value(L) + LAM_S * rows.value(S))
        rest = matrix - L - S
        L = nuclear.prox(L + rest / 2, LAM_L / 2)
        S = rows.prox(S + rest / 2, LAM_S / 2)
    costs = torch.stack(costs)
    assert (costs[1:] < costs[:-1]).all(), "the step is at most 1 / ||[I I]||^2"
    assert L.any() and S.any()


def test_whole_rows_are_zero_and_kept_rows_keep_their_direction():
    D, lam = clips(), 2.0
    net = CORONA(depth=1, **(START | {"lam_S": lam}))
    S = net(D)[1].flatten(2)  # (batch, frames, pixels)
    zero = (S == 0).all(dim=1)
    assert zero.any() and not zero.all()
    assert torch.equal((S == 0).any(dim=1), zero), "no single entry is zero"
    length = D.flatten(2).norm(dim=1, keepdim=True) / 2
    expected = (1 - lam / 2 / length).relu() * D.flatten(2) / 2
    torch.testing.assert_close(S, expected, rtol=0, atol=1e-12)


def test_a_layer_is_its_equation_with_kernels_that_are_no_deltas():
    D, net = clips(), disturbed()
    L, S = net(D, depth=2)
    layer = net.layers[2]
    mixed = [
        sum(
            conv2d(X.reshape(-1, 1, 6, 7), layer.kernels[i, j][None, None], padding=1)
            for j, X in enumerate((D, L, S))
        ).reshape(2, 8, 42)
        for i in range(2)
    ]
    low = NuclearNorm().prox(mixed[0], layer.theta_L())
    length = mixed[1].norm(dim=1, keepdim=True)
    sparse = (1 - layer.theta_S() / length).relu() * mixed[1]
    found = net(D, depth=3)
    torch.testing.assert_close(found[0].flatten(2), low, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[1].flatten(2), sparse, rtol=0, atol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    D, net = clips(), disturbed()
    weights = torch.randn(2, *D.shape, dtype=D.dtype, generator=torch.Generator())

    def loss():
        L, S = net(D)
        return (L * weights[0]).sum() + (S * weights[1]).sum()

    loss().backward()
    for name, p in net.named_parameters():
        flat, slope = p.data.view(-1), p.grad.view(-1)[0]
        value, h = flat[0].item(), 1e-6
        with torch.no_grad():
            flat[0] = value + h
            above = loss()
            flat[0] = value - h
            expected = (above - loss()) / (2 * h)
            flat[0] = value
        assert abs(slope - expected) < 1e-4 * (1 + abs(expected)), name


def test_training_lowers_its_error():
    generator = torch.Generator().manual_seed(0)
    problem = Clip((10, 10), 10, things=1)
    net = CORONA(depth=3)
    adam = torch.optim.Adam(net.parameters(), lr=2e-2)
    test = problem.sample(16, torch.Generator().manual_seed(1))

    def error(clip, background):
        return (net(clip)[0] - background).norm() / background.norm()

    before = error(*test).item()
    for _ in range(60):
        adam.zero_grad()
        error(*problem.sample(8, generator)).backward()
        adam.step()
    assert error(*test).item() < 0.8 * before


def test_survives_copy_pickle_save_and_export():
    D, net = clips(), disturbed()
    expected = net(D)[1]
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(D)[1], expected)
    other = CORONA(depth=4, **START)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(D)[1], expected)
    with torch.no_grad():
        exported = torch.export.export(net, (D,)).module()
        torch.testing.assert_close(exported(D)[1], expected)


@pytest.mark.parametrize(
    ("change", "kind", "shown"),
    [
        ({"depth": 0}, ValueError, "depth is 0"),
        ({"size": 4}, ValueError, "size is 4: expected an odd number"),
        ({"size": 0}, ValueError, "size is 0"),
        ({"lam_L": 0.0}, ValueError, "lam_L is 0.0"),
        ({"lam_S": -1.0}, ValueError, "lam_S is -1.0"),
    ],
)
def test_refuses_by_name(change, kind, shown):
    with pytest.raises(kind, match=shown):
        CORONA(**change)


CLIP = torch.ones(1, 4, 5, 6, dtype=torch.float64)


@pytest.mark.parametrize(
    ("D", "kind", "shown"),
    [
        (CLIP[0], ValueError, r"D has shape \(4, 5, 6\): expected \(batch, frames"),
        (CLIP.float(), TypeError, "D has dtype torch.float32 but the network torch.fl"),
        (CLIP.to(torch.complex64), TypeError, "D has dtype torch.complex64: expected"),
        (CLIP * torch.nan, ValueError, r"D\[0, 0, 0, 0\] is nan: expected finite"),
    ],
)
def test_refuses_what_is_no_clip(D, kind, shown):
    with pytest.raises(kind, match=shown):
        CORONA(dtype=torch.float64)(D)


def test_refuses_more_layers_than_it_has():
    with pytest.raises(ValueError, match="depth is 6: expected at most 5"):
        CORONA()(CLIP, depth=6)
