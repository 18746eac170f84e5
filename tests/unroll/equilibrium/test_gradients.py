"""Gradients of a fixed point against dense linear algebra, in float64."""

import copy
import pickle

import pytest
import torch
from torch import Tensor

from unroll.equilibrium import (
    IFT,
    Anderson,
    Broyden,
    ContractiveLayer,
    Equilibrium,
    JacobianFree,
    NeumannPhantom,
    Picard,
    Through,
    UnrolledPhantom,
)

n, d, batch = 4, 3, 5
TIGHT = Anderson(tol=1e-14)
APPROXIMATE = [
    IFT(TIGHT),
    JacobianFree(),
    NeumannPhantom(4, 0.6),
    UnrolledPhantom(4, 0.6),
]
EACH = pytest.mark.parametrize("gradient", APPROXIMATE, ids=lambda g: type(g).__name__)


@pytest.fixture
def layer() -> ContractiveLayer:
    generator = torch.Generator().manual_seed(0)
    return ContractiveLayer(n, d, bound=0.9, generator=generator).double()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(batch, d, generator=torch.Generator().manual_seed(1)).double()


@pytest.fixture
def v() -> Tensor:
    return torch.randn(batch, n, generator=torch.Generator().manual_seed(2)).double()


def fixed(layer: ContractiveLayer, x: Tensor, gradient) -> Tensor:
    return Equilibrium(layer, TIGHT, gradient)(torch.zeros(batch, n).double(), x)


def by_parameters(layer: ContractiveLayer, z: Tensor, v: Tensor) -> Tensor:
    found = torch.autograd.grad(z, list(layer.parameters()), v)
    return torch.cat([g.flatten() for g in found])


def dense(layer: ContractiveLayer, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``z*``, ``J`` and ``B`` of the whole batch as one system."""
    with torch.no_grad():
        z = fixed(layer, x, Through())
    J = torch.autograd.functional.jacobian(lambda z: layer(z, x), z)
    J = J.reshape(batch * n, batch * n)
    names = [name for name, _ in layer.named_parameters()]

    def of(*values: Tensor) -> Tensor:
        return torch.func.functional_call(
            layer, dict(zip(names, values, strict=True)), (z, x)
        )

    parts = torch.autograd.functional.jacobian(of, tuple(layer.parameters()))
    B = torch.cat([part.reshape(batch * n, -1) for part in parts], dim=1)
    return z, J, B


def neumann(J: Tensor, k: int, damping: float) -> Tensor:
    """Return ``A = lambda sum (lambda J + (1 - lambda) I)^t`` as a matrix."""
    identity = torch.eye(len(J), dtype=J.dtype)
    M = damping * J + (1 - damping) * identity
    return damping * sum(torch.linalg.matrix_power(M, t) for t in range(k))


def test_ift_is_the_dense_solve(layer, x, v) -> None:
    _, J, B = dense(layer, x)
    identity = torch.eye(len(J), dtype=J.dtype)
    exact = torch.linalg.solve((identity - J).T, v.flatten()) @ B
    ours = by_parameters(layer, fixed(layer, x, IFT(TIGHT)), v)
    assert torch.cosine_similarity(ours, exact, dim=0) >= 1 - 1e-10
    torch.testing.assert_close(ours, exact, rtol=1e-10, atol=1e-11)


def test_ift_agrees_with_finite_differences(layer, x, v) -> None:
    ours = by_parameters(layer, fixed(layer, x, IFT(TIGHT)), v)
    theta = torch.nn.utils.parameters_to_vector(layer.parameters()).detach()

    def loss(theta: Tensor) -> float:
        other = copy.deepcopy(layer)
        torch.nn.utils.vector_to_parameters(theta, other.parameters())
        with torch.no_grad():
            return (fixed(other, x, IFT()) * v).sum().item()

    for i in range(0, len(theta), 3):
        h = torch.zeros_like(theta)
        h[i] = 1e-5
        slope = (loss(theta + h) - loss(theta - h)) / 2e-5
        assert ours[i].item() == pytest.approx(slope, abs=1e-7)


def test_through_tends_to_ift(layer, x, v) -> None:
    exact = by_parameters(layer, fixed(layer, x, IFT(TIGHT)), v)
    net = Equilibrium(layer, Picard(tol=1e-14, iterations=600), Through())
    through = by_parameters(layer, net(torch.zeros(batch, n).double(), x), v)
    torch.testing.assert_close(through, exact, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("solver", [Anderson(tol=1e-12), Broyden(tol=1e-12)])
def test_through_a_solver_with_a_memory_some_samples_rest(layer, x, v, solver) -> None:
    """Their changes are 0, which must not make the gradients of others unknown."""
    z0 = torch.zeros(batch, n, dtype=torch.float64)
    z0[0] = fixed(layer, x, IFT()).detach()[0]
    through = by_parameters(layer, Equilibrium(layer, solver, Through())(z0, x), v)
    assert through.isfinite().all()
    others = v.clone()
    others[0] = 0  # the first rests where it starts, and does not learn
    exact = by_parameters(layer, fixed(layer, x, IFT(TIGHT)), others)
    torch.testing.assert_close(through, exact, rtol=1e-4, atol=1e-5)


def test_through_is_autograd_of_the_loop(layer, x, v) -> None:
    net = Equilibrium(layer, Picard(tol=1e-15, iterations=4), Through())
    z = torch.zeros(batch, n).double()
    ours = by_parameters(layer, net(z, x), v)
    for _ in range(3):
        z = layer(z, x)
    torch.testing.assert_close(ours, by_parameters(layer, z, v), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("k", "damping"), [(1, 1.0), (1, 0.5), (5, 0.5), (9, 0.8)])
def test_phantoms_are_the_series_and_each_other(layer, x, v, k, damping) -> None:
    _, J, B = dense(layer, x)
    series = v.flatten() @ neumann(J, k, damping) @ B
    one = by_parameters(layer, fixed(layer, x, NeumannPhantom(k, damping)), v)
    other = by_parameters(layer, fixed(layer, x, UnrolledPhantom(k, damping)), v)
    torch.testing.assert_close(one, series, rtol=0, atol=1e-11)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("phantom", [NeumannPhantom, UnrolledPhantom])
def test_a_phantom_of_one_number_has_a_closed_form(phantom) -> None:
    """``z = a z + 1``: the series of ``1 / (1 - a)`` is geometric."""
    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    for k, damping in ((1, 0.3), (4, 0.9), (12, 0.2)):
        z = phantom(k, damping)(lambda z: a * z + 1, TIGHT, torch.zeros(1, 1).double())
        (ours,) = torch.autograd.grad(z.sum(), a)
        q = damping * 0.7 + 1 - damping
        expected = (1 - q**k) / (1 - 0.7) * (1 / (1 - 0.7))
        assert ours.item() == pytest.approx(expected, rel=1e-11)


def test_one_undamped_term_is_jacobian_free(layer, x, v) -> None:
    free = by_parameters(layer, fixed(layer, x, JacobianFree()), v)
    one = by_parameters(layer, fixed(layer, x, NeumannPhantom(1, 1.0)), v)
    assert torch.equal(free, one)
    _, _, B = dense(layer, x)
    torch.testing.assert_close(free, v.flatten() @ B, rtol=0, atol=1e-12)


def test_the_error_of_a_phantom_is_a_power() -> None:
    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        J = torch.randn(5, 5, generator=generator, dtype=torch.float64)
        k = int(torch.randint(1, 9, (), generator=generator))
        damping = 0.1 + 0.9 * torch.rand((), generator=generator).item()
        identity = torch.eye(5, dtype=torch.float64)
        E = (identity - J) @ neumann(J, k, damping) - identity
        M = damping * J + (1 - damping) * identity
        power = torch.linalg.matrix_power(M, k)
        torch.testing.assert_close(E, -power, rtol=1e-10, atol=1e-10)


def test_a_phantom_within_the_bound_never_points_uphill() -> None:
    """``|E| <= (sigma_min(B) / sigma_max(B))^2`` implies ``<ghat, g> >= 0``."""
    generator = torch.Generator().manual_seed(4)
    cases, size, wide = 4000, 4, 9  # B of full row rank: more parameters than states
    J = torch.randn(cases, size, size, generator=generator, dtype=torch.float64)
    scale = 1.2 * torch.rand(cases, 1, 1, generator=generator, dtype=torch.float64)
    J = scale * J / torch.linalg.matrix_norm(J, ord=2)[:, None, None]
    B = torch.randn(cases, size, wide, generator=generator, dtype=torch.float64)
    v = torch.randn(cases, 1, size, generator=generator, dtype=torch.float64)
    identity = torch.eye(size, dtype=torch.float64)
    g = v @ torch.linalg.inv(identity - J) @ B
    within = 0
    for k in (1, 2, 5, 10):
        M = 0.5 * J + 0.5 * identity
        A = 0.5 * sum(torch.linalg.matrix_power(M, t) for t in range(k))
        E = torch.linalg.matrix_norm((identity - J) @ A - identity, ord=2)
        sigma = torch.linalg.svdvals(B)
        holds = (sigma[:, -1] / sigma[:, 0]).square() >= E
        inner = ((v @ A @ B) * g).sum(dim=(1, 2))
        assert (inner[holds] >= -1e-12).all()
        within += int(holds.sum())
    assert within > 1000


@EACH
def test_the_value_is_the_solvers(layer, x, gradient) -> None:
    z0 = torch.zeros(batch, n).double()
    net = Equilibrium(layer, TIGHT, gradient)
    assert torch.equal(net(z0, x), net.solve(z0, x).z)


@EACH
def test_a_second_derivative_is_refused_by_name(layer, x, gradient) -> None:
    z = fixed(layer, x, gradient)
    name = type(gradient).__name__
    with pytest.raises(RuntimeError, match=f"{name} knows first derivatives only"):
        torch.autograd.grad(z.sum(), layer.U, create_graph=True)


def test_through_has_second_derivatives() -> None:
    a = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    solver = Picard(tol=1e-15, iterations=200)
    z = Through()(lambda z: a * z + 1, solver, torch.zeros(1, 1).double())
    (first,) = torch.autograd.grad(z.sum(), a, create_graph=True)
    (second,) = torch.autograd.grad(first, a)
    assert first.item() == pytest.approx(4, abs=1e-9)  # 1 / (1 - a)^2
    assert second.item() == pytest.approx(16, abs=1e-9)  # 2 / (1 - a)^3


@EACH
def test_the_input_is_differentiated_and_the_start_is_not(
    layer, x, v, gradient
) -> None:
    x, z0 = x.clone().requires_grad_(), torch.zeros(batch, n).double().requires_grad_()
    z = Equilibrium(layer, TIGHT, gradient)(z0, x)
    by_x, by_start = torch.autograd.grad(z, (x, z0), v, allow_unused=True)
    assert by_start is None
    if isinstance(gradient, IFT):
        h = torch.zeros_like(x)
        h[2, 1] = 1e-6
        up, down = (fixed(layer, (x + s * h).detach(), IFT()) for s in (1, -1))
        slope = ((up - down) * v).sum().item() / 2e-6
        assert by_x[2, 1].item() == pytest.approx(slope, abs=1e-7)


@EACH
def test_needs_a_gradient_even_if_the_start_is_the_fixed_point(gradient) -> None:
    a = torch.zeros(1, 2, requires_grad=True)
    z = gradient(lambda z: 0.5 * z + a, Anderson(), torch.zeros(1, 2))
    assert z.requires_grad
    z.sum().backward()
    assert a.grad.abs().min() > 0.4


def test_without_gradients_no_graph_is_kept(layer, x) -> None:
    for gradient in [*APPROXIMATE, Through()]:
        with torch.no_grad():
            assert not fixed(layer, x, gradient).requires_grad


def test_a_fixed_point_that_is_not_found_is_told() -> None:
    grows = torch.tensor(2.0, requires_grad=True)
    with pytest.warns(RuntimeWarning, match="forward solve did not converge for 3 of"):
        IFT()(lambda z: grows * z + 1, Picard(iterations=5), torch.ones(3, 1))
    z = IFT(Picard(iterations=2))(
        lambda z: 0.99 * z + grows, Anderson(), torch.ones(3, 1)
    )
    with pytest.warns(RuntimeWarning, match="backward solve did not converge for 3 of"):
        z.sum().backward()


def test_refuses_by_name() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        NeumannPhantom(0)
    with pytest.raises(TypeError, match=r"k is 1\.5"):
        UnrolledPhantom(1.5)
    with pytest.raises(ValueError, match="damping is 0: expected 0 < damping <= 1"):
        NeumannPhantom(2, 0)
    with pytest.raises(ValueError, match="damping is 2"):
        UnrolledPhantom(2, 2)
    with pytest.raises(TypeError, match="solver is the class Anderson: expected its"):
        Equilibrium(torch.tanh, Anderson)
    with pytest.raises(TypeError, match="gradient is the class IFT"):
        Equilibrium(torch.tanh, gradient=IFT)
    with pytest.raises(TypeError, match="step is 3: expected a layer"):
        Equilibrium(3)


def test_an_equilibrium_can_be_copied_pickled_and_saved(layer, x) -> None:
    net, z0 = Equilibrium(layer, TIGHT, IFT()), torch.zeros(batch, n).double()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(z0, x), net(z0, x))
    fresh = Equilibrium(ContractiveLayer(n, d).double(), TIGHT)
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(fresh(z0, x), net(z0, x))
