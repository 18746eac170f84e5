import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import problem


def test_the_analytic_weight_gives_the_pseudo_inverse_for_nothing():
    A, b, _ = problem()
    net = u.HyperLISTA(A)
    free = net.own * (b @ net.W)
    torch.testing.assert_close(free, b @ torch.linalg.pinv(A).T, rtol=0, atol=1e-12)


def test_three_numbers_serve_any_depth():
    A, b, _ = problem()
    net = u.HyperLISTA(A, depth=3)
    longer = u.HyperLISTA(A, depth=9)
    longer.load_state_dict(net.state_dict())
    assert sum(p.numel() for p in net.parameters()) == 3
    assert torch.equal(longer.iterates(b)[:4], net.iterates(b))


def test_codes_scale_with_their_measurements():
    """Thresholds in proportion to the error: alone in the family."""
    A, b, _ = problem()
    net = u.HyperLISTA(A, 6)
    torch.testing.assert_close(net(5 * b), 5 * net(b), rtol=0, atol=1e-12)


def test_search_keeps_the_best_of_the_grid():
    A, b, x = problem()
    net = u.HyperLISTA(A, 6)
    grid = dict(c1=[0.05, 0.2, 0.4], c2=[0.0, 0.01], c3=[0.0, 1.0, 3.0])
    found = net.search(b, x, **grid)
    assert found.table.shape == (3, 2, 3)
    for i, c1 in enumerate(grid["c1"]):
        for j, c2 in enumerate(grid["c2"]):
            for k, c3 in enumerate(grid["c3"]):
                alone = u.HyperLISTA(A, 6, c1=c1, c2=c2, c3=c3)
                assert torch.equal(found.table[i, j, k], u.nmse_db(alone(b), x))
    best = u.HyperLISTA(A, 6, c1=found.c1, c2=found.c2, c3=found.c3)
    assert torch.equal(net(b), best(b))
    assert u.nmse_db(net(b), x) == found.table.min()
    assert "c2" in found.on_edge, "of two values each is an end"
    assert not net.search(b, x, c1=[0.2], c2=[0.0], c3=[1.0]).on_edge


def test_search_passes_over_what_diverges():
    A, b, x = problem()
    net = u.HyperLISTA(A, 40)
    found = net.search(b, x, c1=[0.2], c2=[1e30, 0.0], c3=[0.0])
    assert found.c2 == 0.0 and not found.table[0, 0, 0].isfinite()
    with pytest.raises(ValueError, match="all 1 triples diverge: expected smaller c2"):
        net.search(b, x, c1=[0.2], c2=[1e30], c3=[0.0])


def test_refuses_bad_numbers_and_grids():
    A, b, x = problem()
    with pytest.raises(ValueError, match=r"c2 is -0\.1: expected a finite number >= 0"):
        u.HyperLISTA(A, c2=-0.1)
    net = u.HyperLISTA(A)
    with pytest.raises(ValueError, match="c3 has no values to try"):
        net.search(b, x, c1=[1.0], c2=[0.0], c3=[])
    with pytest.raises(ValueError, match="x has 15 columns but A has 16 columns"):
        net.search(b, x[:, :15], c1=[1.0], c2=[0.0], c3=[0.0])
