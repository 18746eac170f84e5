import io

import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import LAM, disturbed, problem


def chambolle_pock(state, b, A, *, tau, sigma):
    """One step of Chambolle and Pock 2011, algorithm 1, for the Lasso."""
    x, y, z = state  # code, dual, extrapolated code
    y = (y + sigma * (z @ A.T - b)) / (1 + sigma)
    x_next = u.soft_threshold(x - tau * y @ A, tau * LAM)
    return x_next, y, 2 * x_next - x


def start(b):
    return b.new_zeros(len(b), 16), torch.zeros_like(b), b.new_zeros(len(b), 16)


def unrolled(A, depth, **options):
    step = 0.99 / torch.linalg.matrix_norm(A, 2).item()
    constants = {"tau": u.Positive(step), "sigma": u.Positive(step)}
    return u.Unrolled.from_step(
        chambolle_pock, constants, depth, A=A, start=start, **options
    )


def test_an_algorithm_that_is_not_in_the_library_reaches_its_solution():
    A, b, _ = problem()
    expected = u.fista(A, b, LAM, tol=1e-20, iterations=50_000, restart=True).x
    x = unrolled(A, 3000, tied=True)(b)
    torch.testing.assert_close(x, expected, rtol=0, atol=1e-8)


def test_from_step_is_the_step_repeated():
    A, b, _ = problem()
    net = disturbed(unrolled(A, 4), 0.3)
    state, expected = start(b), [start(b)[0]]
    for layer in net.layers:
        state = chambolle_pock(state, b, A, tau=layer.tau(), sigma=layer.sigma())
        expected.append(state[0])
    assert torch.equal(net.iterates(b), torch.stack(expected))
    assert set(net.constants()) == {"tau", "sigma"}
    assert net.constants()["tau"].shape == (4,)


def test_tied_layers_learn_one_copy_and_untied_ones_their_own():
    A, b, x = problem()
    tied, untied = unrolled(A, 5, tied=True), unrolled(A, 5)
    assert torch.equal(tied.iterates(b), untied.iterates(b))
    assert len(list(tied.parameters())) == 2
    assert len(list(untied.parameters())) == 10
    for net in (tied, untied):
        (net(b) - x).square().sum().backward()
    both = zip(*(layer.parameters() for layer in untied.layers), strict=True)
    for one, copies in zip(tied.parameters(), both, strict=True):
        total = torch.stack([copy.grad for copy in copies]).sum()
        torch.testing.assert_close(one.grad, total, rtol=1e-10, atol=0)


def test_from_step_networks_are_saved_and_moved_like_others():
    A, b, _ = problem()
    net, file = disturbed(unrolled(A, 4), 0.3), io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = unrolled(A, 4)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(b), net(b))
    assert net.float()(b.float()).dtype == torch.float32


def test_a_free_constant_may_be_a_tensor_and_negative():
    A, b, _ = problem()

    def shifted(x, b, A, *, shift):
        return x + shift

    net = u.Unrolled.from_step(shifted, {"shift": -torch.ones(16)}, 3, A=A)
    assert torch.equal(net(b), torch.full((6, 16), -3.0))
    assert net.constants() == {}, "only scalars are shown over depth"


def test_a_constant_cannot_take_the_name_of_a_method():
    with pytest.raises(KeyError, match="attribute 'forward' already exists"):
        u.Unrolled.from_step(lambda x: x, {"forward": 1.0}, 2, A=torch.eye(2))


@pytest.mark.parametrize("value", [1e-12, 1e-3, 0.7, 5.0, 80.0, 1e4])
def test_positive_starts_where_it_was_put(value):
    assert u.Positive(value)().item() == pytest.approx(value, rel=1e-14)


def test_positive_recovers_from_far_below_zero():
    """A clamp would have no gradient there: thresholds would stay dead."""
    theta = u.Positive(1.0)
    with torch.no_grad():
        theta.raw.fill_(-5.0)
    theta().backward()
    assert 0 < theta() < 0.01 and theta.raw.grad > 0


@pytest.mark.parametrize("value", [0.0, -0.5, float("nan"), float("inf")])
def test_positive_refuses_the_rest(value):
    with pytest.raises(ValueError, match=f"value is {value}: expected a positive"):
        u.Positive(value)


def test_networks_compile():
    A, b, _ = problem()
    for net in (u.LISTA(A, 3), u.ALISTA(A, 3)):
        compiled = torch.compile(net, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(b), net(b))
