"""``prox.support_select``: the one definition that the networks share."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.autograd import gradcheck

from unroll import soft_threshold, support_select

# small integers make many ties
vectors = arrays("int64", (3, 7), elements=st.integers(-4, 4)).map(
    lambda array: torch.tensor(array, dtype=torch.float64)
)


def by_definition(v, theta, keep):
    """Entry by entry: passes if above theta and fewer than keep are larger."""
    out = soft_threshold(v, theta)
    for i in range(v.shape[0]):
        for j in range(v.shape[1]):
            larger = int((v[i].abs() > v[i, j].abs()).sum())
            if v[i, j].abs() > theta and larger < keep:
                out[i, j] = v[i, j]
    return out


@given(vectors, st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.integers(0, 9))
def test_is_its_definition_with_ties_and_zeros(v, theta, keep):
    assert torch.equal(support_select(v, theta, keep), by_definition(v, theta, keep))


@given(vectors, st.floats(0, 4), st.integers(0, 7), st.permutations(range(7)))
def test_the_order_of_the_atoms_does_not_matter(v, theta, keep, order):
    permuted = support_select(v[:, order], theta, keep)
    assert torch.equal(permuted, support_select(v, theta, keep)[:, order])


@given(vectors, st.floats(0, 4))
def test_the_two_ends_are_soft_and_hard_thresholds(v, theta):
    assert torch.equal(support_select(v, theta, 0), soft_threshold(v, theta))
    hard = torch.where(v.abs() > theta, v, torch.zeros_like(v))
    assert torch.equal(support_select(v, theta, 7), hard)
    assert torch.equal(support_select(v, theta, 10_000), hard)


def test_ties_at_the_cut_pass_together():
    v = torch.tensor([[3.0, -2.0, 2.0, 1.5]])
    expected = torch.tensor([[3.0, -2.0, 2.0, 0.5]])
    assert torch.equal(support_select(v, 1.0, 2), expected)


def test_what_only_equals_the_threshold_does_not_pass():
    assert not support_select(torch.tensor([[1.0, -1.0]]), 1.0, 2).any()


def test_nothing_below_the_threshold_passes():
    v = torch.tensor([[0.9, 0.8, 0.1]])
    assert not support_select(v, 1.0, 3).any()


def test_each_sample_may_have_its_own_count(generator):
    v = torch.randn(5, 9, generator=generator)
    keep = torch.tensor([[0], [1], [4], [9], [30]])
    together = support_select(v, 0.3, keep)
    for i in range(5):
        alone = support_select(v[i : i + 1], 0.3, int(keep[i]))
        assert torch.equal(together[i : i + 1], alone)


def test_the_mask_is_a_constant_for_the_gradient():
    """An entry that passes sees 1 and gives theta nothing; others are shrunk."""
    v = torch.tensor([[3.0, -2.0, 1.5, 0.2]], requires_grad=True)
    theta = torch.tensor(1.0, requires_grad=True)
    weights = torch.tensor([[1.0, 10.0, 100.0, 1000.0]])
    (weights * support_select(v, theta, 1)).sum().backward()
    assert v.grad.tolist() == [[1.0, 10.0, 100.0, 0.0]]
    assert theta.grad.item() == 10.0 - 100.0


def test_gradients_in_v_and_theta(generator):
    v = torch.randn(4, 9, generator=generator).requires_grad_()
    theta = torch.full((4, 1), 0.4).requires_grad_()
    for keep in (0, 3, torch.tensor([[0], [2], [5], [9]])):
        assert gradcheck(lambda v, t, keep=keep: support_select(v, t, keep), (v, theta))


def test_dtype_follows_the_input():
    assert support_select(torch.ones(2, 3, dtype=torch.float32), 0.5, 1).dtype == (
        torch.float32
    )


def test_nan_in_the_input_stays_visible():
    x = support_select(torch.tensor([[float("nan"), 2.0]]), 1.0, 1)
    assert x[0, 0].isnan()


def test_compiles_without_a_graph_break():
    compiled = torch.compile(support_select, backend="eager", fullgraph=True)
    v = torch.tensor([[2.0, -0.5, 3.0]])
    assert compiled(v, 1.0, 1).tolist() == [[1.0, 0.0, 3.0]]


@pytest.mark.parametrize(
    ("theta", "keep", "error", "shown"),
    [
        (-0.25, 1, ValueError, r"theta is -0\.25"),
        (torch.tensor([float("nan")]), 1, ValueError, "theta is nan"),
        (1.0, -1, ValueError, "keep is -1: expected a count >= 0"),
        (1.0, torch.tensor([[1], [-3]]), ValueError, "keep is -3"),
        (1.0, 1.5, TypeError, "keep is of type float"),
        (1.0, True, TypeError, "keep is of type bool"),
        (1.0, torch.tensor([[1.0]]), TypeError, r"keep is of type torch\.float"),
    ],
)
def test_refuses_what_does_not_count(theta, keep, error, shown):
    with pytest.raises(error, match=shown):
        support_select(torch.zeros(2, 2), theta, keep)
