"""Solvers of fixed points against their theorems, in float64."""

import math

import pytest
import torch
from torch import Tensor

from unroll.equilibrium import Anderson, Broyden, Picard

SOLVERS = [Picard(), Anderson(), Broyden()]
EACH = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)


def affine(n: int, norm: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return a matrix of that norm, a vector, and the fixed point of ``M z + c``."""
    generator = torch.Generator().manual_seed(seed)
    M = torch.randn(n, n, generator=generator, dtype=torch.float64)
    M = norm * M / torch.linalg.matrix_norm(M, ord=2)
    c = torch.randn(n, generator=generator, dtype=torch.float64)
    exact = torch.linalg.solve(torch.eye(n, dtype=torch.float64) - M, c)
    return M, c, exact


def gmres(M: Tensor, c: Tensor, iterations: int) -> list[Tensor]:
    """Return GMRES's iterates on ``(I - M) z = c`` from 0: least residual by QR."""
    K, basis, found = torch.eye(len(c), dtype=c.dtype) - M, [c], []
    for _ in range(iterations):
        Q, _ = torch.linalg.qr(torch.stack(basis, dim=1))
        found.append(Q @ torch.linalg.lstsq(K @ Q, c[:, None]).solution[:, 0])
        basis.append(K @ Q[:, -1])
    return found


@EACH
def test_finds_the_fixed_point_of_a_contraction(solver) -> None:
    M, c, exact = affine(6, 0.7)
    solver = type(solver)(tol=1e-13)
    found = solver(lambda z: z @ M.T + c, torch.zeros(2, 6, dtype=torch.float64))
    assert found.converged.all()
    torch.testing.assert_close(found.z, exact.expand(2, 6), rtol=0, atol=1e-11)


@EACH
def test_a_state_of_any_shape_is_the_same_problem(solver) -> None:
    M, c, _ = affine(6, 0.7)
    z0 = torch.arange(12.0, dtype=torch.float64).view(2, 6)
    flat = solver(lambda z: torch.tanh(z @ M.T + c), z0)
    image = solver(
        lambda z: torch.tanh(z.flatten(1) @ M.T + c).view(-1, 2, 3), z0.view(2, 2, 3)
    )
    assert torch.equal(flat.z, image.z.flatten(1))
    assert torch.equal(flat.iterations, image.iterations)


@EACH
def test_a_sample_does_not_depend_on_the_others(solver) -> None:
    M, c, _ = affine(5, 0.9)
    z0 = torch.randn(4, 5, generator=torch.Generator().manual_seed(1)).double()
    together = solver(lambda z: torch.tanh(z @ M.T + c), z0)
    for i in range(4):
        alone = solver(lambda z: torch.tanh(z @ M.T + c), z0[i : i + 1])
        torch.testing.assert_close(alone.z[0], together.z[i], rtol=0, atol=1e-12)
        assert alone.iterations[0] == together.iterations[i]


def test_picard_keeps_the_bound_of_a_contraction() -> None:
    M, c, exact = affine(6, 0.8)
    start = torch.zeros(1, 6, dtype=torch.float64)
    for k in range(1, 30):
        found = Picard(tol=1e-15, iterations=k + 1)(lambda z: z @ M.T + c, start)
        error = (found.z[0] - exact).norm()
        assert error <= 0.8**k * exact.norm() * (1 + 1e-12)


def test_picard_is_the_loop() -> None:
    M, c, _ = affine(6, 0.8)
    z = torch.zeros(3, 6, dtype=torch.float64)
    found = Picard(tol=1e-15, iterations=8)(lambda z: torch.tanh(z @ M.T + c), z)
    for _ in range(7):
        z = torch.tanh(z @ M.T + c)
    assert torch.equal(found.z, z)
    assert found.iterations.tolist() == [8, 8, 8]


def test_anderson_on_an_affine_map_is_gmres() -> None:
    M, c, _ = affine(8, 0.9)
    start = torch.zeros(1, 8, dtype=torch.float64)
    looked_at = []

    def step(z: Tensor) -> Tensor:
        looked_at.append(z[0].clone())
        return z @ M.T + c

    Anderson(memory=8, ridge=0.0, tol=1e-15, iterations=6)(step, start)
    for k, minimal in enumerate(gmres(M, c, 4), start=1):
        # its next iterate is the image of GMRES's (Walker and Ni 2011, theorem 2.2)
        expected = M @ minimal + c
        torch.testing.assert_close(looked_at[k + 1], expected, rtol=0, atol=1e-12)


def test_anderson_needs_less_than_sixty_percent_of_picard() -> None:
    for seed in range(5):
        M, c, _ = affine(40, 0.95, seed)
        Q, _ = torch.linalg.qr(M)  # all singular values 0.95: Picard's worst case
        zero = torch.zeros(1, 40, dtype=torch.float64)

        def step(z: Tensor, M: Tensor = 0.95 * Q, c: Tensor = c) -> Tensor:
            return torch.tanh(z @ M.T + c)

        slow = Picard(tol=1e-8)(lambda z, M=M, c=c: z @ (M @ M.T / 0.95) + c, zero)
        fast = Anderson(tol=1e-8)(lambda z, M=M, c=c: z @ (M @ M.T / 0.95) + c, zero)
        assert slow.converged.all() and fast.converged.all()
        assert fast.iterations <= 0.6 * slow.iterations
        assert Anderson(tol=1e-8)(step, zero).converged.all()


@pytest.mark.parametrize("norm", [0.5, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_broyden_ends_after_twice_as_many_steps_as_states(norm, seed) -> None:
    M, c, exact = affine(4, norm, seed)
    found = Broyden(tol=1e-10)(
        lambda z: z @ M.T + c, torch.zeros(1, 4, dtype=torch.float64)
    )
    assert found.converged.all()
    assert found.iterations <= 2 * 4 + 1  # the last look sees the solution (Gay 1979)
    torch.testing.assert_close(found.z[0], exact, rtol=1e-8, atol=1e-8)


def test_broyden_keeps_its_secant() -> None:
    """``H dg = dz`` after each step: on one state it is the secant method."""
    seen = []

    def step(z: Tensor) -> Tensor:
        seen.append(z.item())
        return torch.cos(z)

    Broyden(tol=1e-14, iterations=6)(step, torch.ones(1, 1, dtype=torch.float64))
    z = [1.0, math.cos(1.0)]
    for _ in range(3):
        g = [math.cos(v) - v for v in z[-2:]]
        z.append(z[-1] - g[1] * (z[-1] - z[-2]) / (g[1] - g[0]))
    assert seen[:5] == pytest.approx(z, abs=1e-13)


@EACH
def test_the_best_iterate_is_returned_where_nothing_converges(solver) -> None:
    def step(z: Tensor) -> Tensor:  # no fixed point: the circle, turned and grown
        return torch.stack([-z[:, 1], z[:, 0]], dim=1) * 2 + z.sign() * 5

    solver = type(solver)(iterations=7)
    looked_at = []

    def watched(z: Tensor) -> Tensor:
        looked_at.append(z.clone())
        return step(z)

    z0 = torch.tensor([[1.0, 2.0], [-3.0, 0.5]], dtype=torch.float64)
    found = solver(watched, z0)
    for i in range(2):
        sizes = [(step(z) - z)[i].norm() / step(z)[i].norm() for z in looked_at]
        least = min(range(len(sizes)), key=lambda k, sizes=sizes: sizes[k])
        assert torch.equal(found.z[i], looked_at[least][i])
        assert found.residual[i] == pytest.approx(sizes[least].item(), rel=1e-12)
    if not found.converged.all():
        assert found.iterations.max() == 7


@EACH
def test_a_start_at_the_fixed_point_costs_one_look(solver) -> None:
    found = solver(torch.clone, torch.ones(3, 2))
    assert found.iterations.tolist() == [1, 1, 1]
    assert found.residual.tolist() == [0, 0, 0]
    zero = solver(torch.zeros_like, torch.zeros(3, 2))
    assert zero.converged.all()


@EACH
def test_a_sample_that_overflows_rests_and_the_others_go_on(solver) -> None:
    def step(z: Tensor) -> Tensor:
        return torch.where(z > 5, torch.inf, 0.5 * z + 1)

    found = solver(step, torch.tensor([[9.0], [0.0]]))
    assert found.converged.tolist() == [False, True]
    assert found.z[1].item() == pytest.approx(2, abs=1e-4)
    assert found.z[0].item() == 9
    assert found.residual[0] == math.inf


@EACH
def test_dtype_follows_and_the_start_is_left_alone(solver) -> None:
    z0 = torch.zeros(2, 3, dtype=torch.float32)
    found = solver(lambda z: 0.5 * z + 1, z0)
    assert found.z.dtype == torch.float32
    assert not z0.any()


@EACH
def test_refuses_by_name(solver) -> None:
    zeros = torch.zeros(2, 3, dtype=torch.float32)
    with pytest.raises(ValueError, match=r"z0 has shape \(3,\): expected \(batch"):
        solver(torch.tanh, torch.zeros(3))
    with pytest.raises(TypeError, match=r"z0 has dtype torch\.int64"):
        solver(torch.tanh, torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(ValueError, match=r"z0\[1, 2\] is nan"):
        solver(torch.tanh, torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, torch.nan]]))
    with pytest.raises(ValueError, match=r"shape \(2, 2\) for a state .* \(2, 3\)"):
        solver(lambda z: z[:, :2], zeros)
    with pytest.raises(ValueError, match=r"torch\.float64 of shape"):
        solver(lambda z: z.double(), zeros)
    with pytest.raises(TypeError, match="the step returned a tuple"):
        solver(lambda z: (z, z), zeros)
    with pytest.raises(ValueError, match=r"tol is 1e-09, below the rounding of"):
        type(solver)(tol=1e-9)(torch.tanh, zeros)
    with pytest.raises(ValueError, match="tol is 0"):
        type(solver)(tol=0)
    with pytest.raises(TypeError, match=r"iterations is 2\.5"):
        type(solver)(iterations=2.5)


def test_refuses_options_of_its_own() -> None:
    with pytest.raises(ValueError, match="memory is 0"):
        Anderson(memory=0)
    with pytest.raises(ValueError, match="memory is 0"):
        Broyden(memory=0)
    with pytest.raises(ValueError, match="mixing is -1"):
        Anderson(mixing=-1)
    with pytest.raises(ValueError, match="ridge is -1"):
        Anderson(ridge=-1)
