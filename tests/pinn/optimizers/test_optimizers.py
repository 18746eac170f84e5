"""Second-order optimisers: theory, SciPy, resume, refusals."""

import pytest
import scipy.optimize
import torch
from torch import Tensor

from pinn import SSBFGS, JetFNN, LevenbergMarquardt, SSBroyden, Strong, zoo
from pinn._backend import dde

QUASI_NEWTON = [SSBFGS, SSBroyden]


def closure_of(optimizer: torch.optim.Optimizer, loss: object) -> object:
    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        closure.calls += 1
        return value

    closure.calls = 0
    return closure


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def start(n: int) -> Tensor:
    return torch.full((n,), -1.2, dtype=torch.float64, requires_grad=True)


def on_rosenbrock(make: type, n: int) -> tuple[Tensor, torch.optim.Optimizer, object]:
    """A start, an optimiser that takes one step at a time, and its closure."""
    x = start(n)
    optimizer = make([x], max_iter=1)
    return x, optimizer, closure_of(optimizer, lambda: rosenbrock(x))


@pytest.mark.parametrize("make", QUASI_NEWTON)
@pytest.mark.parametrize("n", [2, 10])
def test_rosenbrock_takes_about_what_scipy_takes(make: type, n: int) -> None:
    x, optimizer, closure = on_rosenbrock(make, n)
    for _ in range(400):
        if optimizer.step(closure) < 1e-16:
            break
    iterations = optimizer.state[x]["n_iter"]
    scipy_s = scipy.optimize.minimize(
        lambda v: rosenbrock(torch.tensor(v)).item(),
        start(n).detach().numpy(),
        jac=lambda v: torch.func.grad(rosenbrock)(torch.tensor(v)).numpy(),
        method="BFGS",
        options={"gtol": 1e-8},
    )
    assert rosenbrock(x) < 1e-16
    assert iterations < 2 * scipy_s.nit
    assert (x - 1).abs().max() < 1e-7 or n > 2  # for n > 3 there are two minima


@pytest.mark.parametrize("make", QUASI_NEWTON)
def test_a_quadratic_is_finished_in_few_iterations(make: type) -> None:
    generator = torch.Generator().manual_seed(0)
    n = 8
    root = torch.randn(n, n, generator=generator, dtype=torch.float64)
    A = root @ root.T + torch.eye(n)
    x = torch.randn(n, generator=generator, dtype=torch.float64).requires_grad_()
    optimizer = make([x], max_iter=1)
    closure = closure_of(optimizer, lambda: x @ A @ x / 2)
    for _ in range(5 * n):
        optimizer.step(closure)
    assert x.abs().max() < 1e-8
    if make is SSBFGS:  # its inverse Hessian has become the inverse
        assert torch.allclose(
            optimizer.state[x]["H"] @ A, torch.eye(n).double(), atol=0.5
        )


@pytest.mark.parametrize("make", QUASI_NEWTON)
def test_the_secant_equation_holds_and_the_matrix_stays_positive(make: type) -> None:
    x, optimizer, closure = on_rosenbrock(make, 5)
    for _ in range(30):
        before = x.detach().clone()
        g0 = torch.func.grad(rosenbrock)(before)
        optimizer.step(closure)
        s = x.detach() - before
        y = torch.func.grad(rosenbrock)(x.detach()) - g0
        H = optimizer.state[x]["H"]
        assert torch.allclose(H @ y, s, atol=1e-9 * s.norm().item() + 1e-14)
        assert torch.allclose(H, H.T, atol=1e-9 * H.abs().max().item())
        assert torch.linalg.eigvalsh(H).min() > 0


def draw_curvature(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A Hessian, a step, and a change of the gradient with positive curvature."""
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    s, noise = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    B = A @ A.T + torch.eye(6, dtype=torch.float64)
    y = B @ s * 2.0 ** (seed % 5 - 2) + 0.3 * noise
    return B, s, y if s @ y > 0 else -y


def test_ssbroyden_is_the_published_update_of_the_hessian() -> None:
    """Urban et al. 2025, eqs. (13) to (23), for B; ours is its inverse."""
    signs = set()
    for seed in range(40):
        B, s, y = draw_curvature(seed)
        H, Bs, sy = torch.linalg.inv(B), B @ s, s @ y
        b, h = (s @ Bs / sy).item(), (y @ H @ y / sy).item()
        a = b * h - 1
        rho = min(1, h * (1 - (a / (1 + a)) ** 0.5))
        theta = max((rho - 1) / a, min(1 / rho, (1 - b) / b))
        sigma = 1 + a * theta
        root, scale = sigma ** (1 / (1 - len(s))), min(1, 1 / b)
        if theta <= 0:
            tau = min(scale * root, sigma)
        else:
            tau = scale * min(root, 1 / theta)
        w = y / sy - Bs / (s @ Bs)
        kept = B - Bs.outer(Bs) / (s @ Bs) + theta * (s @ Bs) * w.outer(w)
        wanted = torch.linalg.inv(tau * kept + y.outer(y) / sy)
        SSBroyden([start(6)])._update(H, s, y, s @ Bs, False)
        assert torch.allclose(H, wanted, rtol=1e-8, atol=1e-10)
        signs.add(theta > 0)
    assert len(signs) == 2, "steps that were too long, and too short"


@pytest.mark.parametrize("make", QUASI_NEWTON)
def test_the_loss_never_rises(make: type) -> None:
    x, optimizer, closure = on_rosenbrock(make, 6)
    losses = [optimizer.step(closure).item() for _ in range(40)]
    assert all(b <= a for a, b in zip(losses[:-1], losses[1:], strict=True))


@pytest.mark.parametrize("make", QUASI_NEWTON)
def test_a_hessian_that_leads_uphill_is_forgotten(make: type) -> None:
    """New points can turn the old direction: the next step is along -g again."""
    x, optimizer, closure = on_rosenbrock(make, 4)
    for _ in range(3):
        optimizer.step(closure)
    optimizer.state[x]["H"].neg_()
    before = x.detach().clone()
    loss = optimizer.step(closure)
    g = torch.func.grad(rosenbrock)(before)
    moved = x.detach() - before
    assert rosenbrock(x) < loss
    assert torch.allclose(moved / moved.norm(), -g / g.norm(), rtol=1e-12, atol=1e-13)


def run(make: object, breaks: bool, tmp_path: object) -> Tensor:
    """Twelve steps, with or without a break in which all is saved and read."""

    def fresh() -> tuple:
        net = JetFNN([2, 6, 1], generator=torch.Generator().manual_seed(0))
        dde.config.set_random_seed(0)
        data = Strong(zoo.heat(), 40, 10, 10)
        return net, data, make(net, data)

    net, data, optimizer = fresh()

    def loss() -> Tensor:
        return data.residual_vector(net).square().sum()

    for k in range(6):
        if breaks and k == 3:
            state = {"net": net.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, tmp_path / "state.pt")
            net, data, optimizer = fresh()
            state = torch.load(tmp_path / "state.pt", weights_only=True)
            net.load_state_dict(state["net"])
            optimizer.load_state_dict(state["optimizer"])
        optimizer.step(closure_of(optimizer, loss))
    return torch.cat([p.detach().flatten() for p in net.parameters()])


MAKERS = {
    "SSBFGS": lambda net, data: SSBFGS(net.parameters(), max_iter=2),
    "SSBroyden": lambda net, data: SSBroyden(net.parameters(), max_iter=2),
    "LM": lambda net, data: LevenbergMarquardt(
        net.parameters(), lambda: data.residual_vector(net)
    ),
}


@pytest.mark.parametrize("name", MAKERS)
def test_an_interrupted_run_goes_on_exactly(name: str, tmp_path) -> None:
    whole = run(MAKERS[name], False, tmp_path)
    assert torch.equal(whole, run(MAKERS[name], True, tmp_path))


@pytest.mark.parametrize("name", MAKERS)
def test_plain_deepxde_takes_them(name: str) -> None:
    net = JetFNN([2, 6, 1], generator=torch.Generator().manual_seed(0))
    data = Strong(zoo.heat(), 40, 10, 10)
    model = dde.Model(data, net)
    model.compile(MAKERS[name](net, data), verbose=0)
    history, _ = model.train(iterations=10, display_every=10, verbose=0)
    assert history.loss_train[-1].sum() < 0.1 * history.loss_train[0].sum()


def test_levenberg_marquardt_solves_linear_least_squares_in_one_step() -> None:
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((12, 5), (5, 12)):  # either of the two systems
        A = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
        b = torch.randn(rows, generator=generator, dtype=torch.float64)
        x = torch.zeros(columns, dtype=torch.float64, requires_grad=True)
        optimizer = LevenbergMarquardt(
            [x], lambda A=A, b=b, x=x: A @ x - b, damping=1e-12
        )
        optimizer.step()
        assert torch.allclose(x, torch.linalg.pinv(A) @ b, atol=1e-8)


def test_levenberg_marquardt_solves_the_damped_equations() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4, generator=generator, dtype=torch.float64).requires_grad_()
    x0 = x.detach().clone()

    def residuals(x: Tensor) -> Tensor:
        return torch.cat([torch.sin(x), x[:2] * x[2:]])

    J, r = torch.func.jacrev(residuals)(x0), residuals(x0)
    optimizer = LevenbergMarquardt([x], lambda: residuals(x), damping=0.5)
    optimizer.step()
    d = torch.linalg.solve(J.T @ J + 0.5 * torch.eye(4).double(), -J.T @ r)
    assert torch.allclose(x - x0, d, atol=1e-12)


def test_residuals_of_levenberg_marquardt_may_differentiate_by_themselves() -> None:
    x = torch.linspace(0, 1, 5, dtype=torch.float64, requires_grad=True)
    p = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def residuals() -> torch.Tensor:  # (p_0 x + p_1 x^2)' = 1 + 2 x
        y = p[0] * x + p[1] * x**2
        (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return slope - 1 - 2 * x.detach()

    optimizer = LevenbergMarquardt([p], residuals, damping=1e-12)
    optimizer.step()
    assert torch.allclose(p, torch.ones_like(p), atol=1e-8)


@pytest.mark.parametrize("make", QUASI_NEWTON)
def test_bad_input_is_refused(make: type) -> None:
    single = torch.zeros(2, requires_grad=True)
    with pytest.raises(TypeError, match="in torch.float32: expected torch.float64"):
        make([single])
    many = torch.zeros(4001, dtype=torch.float64, requires_grad=True)
    with pytest.raises(
        ValueError, match="4001 entries, .* 122 MiB: expected at most 4000"
    ):
        make([many])
    make([many], max_params=5000)
    groups = [{"params": [many]}, {"params": [start(2)]}]
    with pytest.raises(ValueError, match="params has 2 groups"):
        make(groups)
    with pytest.raises(ValueError, match="max_iter is 0"):
        make([start(2)], max_iter=0)
    x = torch.full((2,), torch.nan, dtype=torch.float64, requires_grad=True)
    optimizer = make([x])
    with pytest.raises(FloatingPointError, match="the loss is nan at iteration 0"):
        optimizer.step(closure_of(optimizer, lambda: rosenbrock(x)))


def test_bad_input_of_levenberg_marquardt_is_refused() -> None:
    x = start(3)
    with pytest.raises(TypeError, match="torch.float32"):
        LevenbergMarquardt([torch.zeros(1, requires_grad=True)], lambda: x)
    with pytest.raises(TypeError, match="residuals is 3"):
        LevenbergMarquardt([x], 3)
    with pytest.raises(ValueError, match="damping is -1"):
        LevenbergMarquardt([x], lambda: x, damping=-1)
    with pytest.raises(ValueError, match="3 residuals by 3 parameters has 9 entries"):
        LevenbergMarquardt([x], lambda: x * 2, max_entries=8).step()
    with pytest.raises(
        FloatingPointError, match="sum of squares is nan at iteration 1"
    ):
        LevenbergMarquardt([x], lambda: x * torch.nan).step()
