"""LRPCA: its parent before training, what training does, and what it refuses."""

import copy
import pickle

import pytest
import torch

from unroll.lowrank import LRPCA, fit, fit_tail, scaled_gradient
from unroll.lowrank.scaled_gradient import scaled_step
from unroll.problems import Clip, LowRankPlusSparse

START = {"threshold": 2.0, "decay": 0.6, "step": 0.8}
SIZE = (30, 25)


def sampled(batch=3, seed=0, size=SIZE):
    problem = LowRankPlusSparse(size, 2, dtype=torch.float64)
    return problem.sample(batch, torch.Generator().manual_seed(seed))


def untrained(depth=6):
    return LRPCA(2, depth, dtype=torch.float64, **START)


def disturbed(seed=0):
    generator = torch.Generator().manual_seed(seed)
    net = untrained()
    with torch.no_grad():
        for p in net.parameters():
            p += 0.1 * torch.randn(p.shape, dtype=p.dtype, generator=generator)
    return net


def relative(X, L):
    return torch.linalg.matrix_norm(X - L) / torch.linalg.matrix_norm(L)


def by_hand(y, iterations, threshold, decay, step, rank=2):
    """One matrix, with inverses and no code of the library."""

    def shrink(v, theta):
        return v.sign() * (v.abs() - theta).relu()

    zeta = threshold * y.abs().mean()
    S = shrink(y, zeta)
    U, s, Vh = torch.linalg.svd(y - S)
    L, R = U[:, :rank] * s[:rank].sqrt(), Vh[:rank].T * s[:rank].sqrt()
    for k in range(1, iterations + 1):
        S = shrink(y - L @ R.T, decay**k * zeta)
        E = L @ R.T + S - y
        new_L = L - step * E @ R @ torch.linalg.inv(R.T @ R)
        R = R - step * E.T @ L @ torch.linalg.inv(L.T @ L)
        L = new_L
    return L @ R.T, S


@pytest.mark.parametrize("iterations", [0, 1, 5])
def test_scaled_gradient_is_the_algorithm_by_hand(iterations):
    Y, _ = sampled()
    L, S = scaled_gradient(Y, 2, iterations=iterations, **START)
    for i, y in enumerate(Y):
        low, sparse = by_hand(y, iterations, **START)
        torch.testing.assert_close(L[i], low, rtol=0, atol=1e-12)
        torch.testing.assert_close(S[i], sparse, rtol=0, atol=1e-12)


def test_equals_its_parent_at_every_depth_before_training_and_in_its_tail():
    Y, _ = sampled()
    iterates = untrained().iterates(Y, depth=9)
    assert iterates.shape == (10, 3, *SIZE)
    for k in range(10):
        L, S = scaled_gradient(Y, 2, iterations=k, **START)
        torch.testing.assert_close(iterates[k], L, rtol=0, atol=1e-12)
        found, sparse = untrained()(Y, depth=k)
        torch.testing.assert_close(found, L, rtol=0, atol=1e-12)
        torch.testing.assert_close(sparse, S, rtol=0, atol=1e-12)


def test_the_rate_does_not_depend_on_how_unlike_the_singular_values_are():
    """Tong, Ma and Chi 2021, theorem 1: 1 - 0.6 step, whatever the condition."""
    generator = torch.Generator().manual_seed(0)
    U, V = (
        torch.linalg.qr(torch.randn(20, 2, dtype=torch.float64, generator=generator))[0]
        for _ in range(2)
    )
    nothing_is_sparse, errors = torch.tensor(1e9, dtype=torch.float64), []
    for condition in (1.0, 1e4):
        sizes = torch.tensor([condition, 1.0], dtype=torch.float64)
        Y = ((U * sizes) @ V.T)[None]
        factors = (1.1 * U * sizes.sqrt())[None], (V * sizes.sqrt())[None]
        for _ in range(2):
            factors, S = scaled_step(Y, factors, nothing_is_sparse, 0.5)
            assert not S.any()
        errors.append(relative(factors[0] @ factors[1].mT, Y).item())
    assert 0 < errors[0] < 0.1 * 0.7**2
    assert abs(errors[0] - errors[1]) < 1e-6 * errors[0]


@pytest.mark.parametrize("unit", [1e-3, 1e4])
def test_another_unit_changes_nothing(unit):
    Y, _ = sampled()
    net = disturbed()
    torch.testing.assert_close(
        net(unit * Y)[0] / unit, net(Y)[0], rtol=1e-9, atol=1e-11
    )


def test_the_gradient_is_that_of_finite_differences():
    Y, L = sampled(batch=2)
    net = disturbed()

    def loss():
        return (net(Y, depth=8)[0] - L).square().sum()

    loss().backward()
    for name, p in net.named_parameters():
        with torch.no_grad():
            value, h = p.clone(), 1e-6
            p.copy_(value + h)
            above = loss()
            p.copy_(value - h)
            slope = (above - loss()) / (2 * h)
            p.copy_(value)
        assert abs(p.grad - slope) < 1e-5 * (1 + abs(slope)), name


def test_two_numbers_a_layer():
    net = LRPCA(3, depth=12)
    assert sum(p.numel() for p in net.layers.parameters()) == 24
    assert sum(p.numel() for p in net.parameters()) == 27  # and a start and a tail
    assert {k: len(v) for k, v in net.constants().items()} == {"zeta": 12, "step": 12}


def test_training_lowers_the_error_also_on_another_size():
    generator = torch.Generator().manual_seed(0)
    problem = LowRankPlusSparse((40, 40), 2, outliers=0.1)
    net = LRPCA(2, 8)
    Y, L = problem.sample(20, torch.Generator().manual_seed(1))
    large = LowRankPlusSparse((80, 80), 2, outliers=0.1)
    Y2, L2 = large.sample(5, torch.Generator().manual_seed(1))
    before = [relative(net(y)[0], x).median() for y, x in ((Y, L), (Y2, L2))]
    losses = fit(net, problem, steps=120, generator=generator)
    assert losses.shape == (120,)
    after = [relative(net(y)[0], x).median() for y, x in ((Y, L), (Y2, L2))]
    assert after[0] < 0.1 * before[0] and after[1] < 0.1 * before[1]


def test_training_truncates_and_the_tail_is_trained_alone():
    generator = torch.Generator().manual_seed(0)
    problem = LowRankPlusSparse((20, 20), 2)
    net = LRPCA(2, 4)
    tail = net.tail_step().item(), net.tail_decay().item()
    fit(net, problem, steps=8, generator=generator)
    assert (net.tail_step().item(), net.tail_decay().item()) == tail
    layers = [p.clone() for p in net.layers.parameters()]
    losses = fit_tail(net, problem, steps=5, layers=3, generator=generator)
    assert losses.shape == (5,)
    assert net.tail_step().item() != tail[0] and net.tail_decay().item() != tail[1]
    for before, after in zip(layers, net.layers.parameters(), strict=True):
        assert torch.equal(before, after)


def test_the_first_steps_of_training_move_the_first_layer_only():
    net = LRPCA(2, 4)
    before = [p.clone() for p in net.layers[1].parameters()]
    one = copy.deepcopy(net)
    problem = LowRankPlusSparse((20, 20), 2)
    fit(net, problem, steps=8, lr=1e-9, generator=torch.Generator().manual_seed(0))
    losses = fit(one, problem, steps=8, generator=torch.Generator().manual_seed(0))
    Y, L = problem.sample(1, torch.Generator().manual_seed(0))
    first = torch.log10(relative(LRPCA(2, 4)(Y, depth=1)[0], L)).detach()
    torch.testing.assert_close(losses[0], first[0])
    for p, q in zip(before, net.layers[1].parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_clips_are_trained_on_as_matrices():
    net = LRPCA(2, 3)
    losses = fit(net, Clip((8, 8), 10), steps=6, generator=torch.Generator())
    assert losses.isfinite().all()


def test_training_that_is_not_finite_says_where():
    class Broken:
        def sample(self, batch, generator):
            return torch.ones(1, 5, 5), torch.full((1, 5, 5), torch.inf)

    with pytest.raises(FloatingPointError, match="loss is nan at step 0, depth 1"):
        fit(LRPCA(2, 2), Broken(), steps=4)


def test_survives_copy_pickle_save_compile_and_export():
    Y, _ = sampled()
    net = disturbed()
    expected = net(Y)[0]
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(Y)[0], expected)
    other = untrained()
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(Y)[0], expected)
    exported = torch.export.export(net, (Y,)).module()
    torch.testing.assert_close(exported(Y)[0], expected)


def test_a_matrix_of_lower_rank_or_of_zeros_gives_finite_numbers():
    Y = torch.zeros(2, 6, 6, dtype=torch.float64)
    Y[1] = 1.0
    net = untrained()
    L, S = net(Y)
    assert L.isfinite().all() and S.isfinite().all() and not L[0].any()
    L.square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize(
    ("change", "kind", "shown"),
    [
        ({"rank": 0}, ValueError, "rank is 0"),
        ({"depth": 1.5}, TypeError, "depth is 1.5"),
        ({"threshold": -1.0}, ValueError, "threshold is -1.0"),
        ({"step": 0.0}, ValueError, "step is 0.0"),
        ({"decay": 1.0}, ValueError, "decay is 1"),
        ({"decay": 1.5}, ValueError, "decay is 1.5"),
    ],
)
def test_refuses_by_name(change, kind, shown):
    with pytest.raises(kind, match=shown):
        LRPCA(**({"rank": 1} | change))


ONES = torch.ones(1, 4, 5, dtype=torch.float64)


@pytest.mark.parametrize(
    ("Y", "kind", "shown"),
    [
        (ONES[0], ValueError, r"Y has shape \(4, 5\): expected \(batch, n1, n2\)"),
        (ONES[..., :1], ValueError, r"rank is 2 but Y has shape \(1, 4, 1\)"),
        (ONES * torch.inf, ValueError, r"Y\[0, 0, 0\] is inf: expected finite"),
        (ONES.bfloat16(), TypeError, "Y has dtype torch.bfloat16, too few digits"),
    ],
)
def test_refuses_what_it_cannot_split(Y, kind, shown):
    for split in (LRPCA(2), lambda Y: scaled_gradient(Y, 2)):
        with pytest.raises(kind, match=shown):
            split(Y)


def test_refuses_another_dtype():
    with pytest.raises(TypeError, match="float32 but the network torch.float64"):
        LRPCA(2, dtype=torch.float64)(ONES.float())


def test_refuses_training_by_name():
    problem = LowRankPlusSparse((6, 6), 1)
    with pytest.raises(ValueError, match="steps is 7: expected at least 8"):
        fit(LRPCA(1, 4), problem, steps=7)
    with pytest.raises(ValueError, match="lr is 0"):
        fit(LRPCA(1, 4), problem, lr=0.0)
    with pytest.raises(ValueError, match="layers is 0"):
        fit_tail(LRPCA(1, 4), problem, layers=0)
    with pytest.raises(ValueError, match="depth is -1"):
        LRPCA(1, 4)(torch.ones(1, 3, 3), depth=-1)
    with pytest.raises(ValueError, match="decay is 0"):
        scaled_gradient(torch.ones(1, 3, 3), 1, decay=0.0)
