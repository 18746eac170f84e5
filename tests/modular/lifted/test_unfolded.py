"""The page of the unrolled denoiser: its equations, and what it prints."""

import contextlib
import io
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.benchmarks.modular.lifted_unfolded import PAGE, code, linear
from tests.modular.nets import draw

BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.M | re.S)
DEPTH, SIDE = 4, 3


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return code()


def net_of(page: dict, depth: int = DEPTH, weight: float = 0.5) -> nn.Module:
    """A network whose matrices all differ, in float64."""
    net = page["Unfolded"](weight * page["differences"](SIDE), depth).double()
    with torch.no_grad():
        for k, L in enumerate(net.L):
            L.add_(0.1 * draw(*L.shape, seed=10 + k))
    return net


def pictures(rows: int = 7) -> tuple[Tensor, Tensor]:
    return 2 * draw(rows, SIDE**2, seed=1), 2 * draw(rows, SIDE**2, seed=2)


@torch.no_grad()
def others(net: nn.Module, z: Tensor, size: float = 0.3) -> list[Tensor]:
    """States that no forward pass leaves, inside of the box."""
    states = enumerate(net.states(z))
    return [(u + size * draw(*u.shape, seed=20 + k)).clamp(-1, 1) for k, u in states]


def test_the_page_prints_what_it_says() -> None:
    torch.set_default_dtype(torch.float32)  # as in a script; the fixture puts it back
    text = PAGE.read_text()
    blocks, names = BLOCK.findall(text), {"__name__": "unfolded"}
    assert len(blocks) == text.count("```python")
    assert sum(bool(shown) for _, shown in blocks) == text.count("```text") == 2
    for lines, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(lines, str(PAGE), "exec"), names)
        assert printed.getvalue() == shown, lines


def test_differences_are_those_of_neighbours(page) -> None:
    D = page["differences"](SIDE)
    x = draw(SIDE, SIDE)
    across, down = x.diff(dim=1).flatten(), x.diff(dim=0).flatten()
    assert torch.equal(D.double() @ x.flatten(), torch.cat([across, down]))


def test_with_classical_parameters_it_is_the_iteration(page) -> None:
    """Step by step for one picture, with the step and the weight written out."""
    lam, step, (z, _) = 0.7, 1.3, pictures()
    D = page["differences"](SIDE).double()
    net = page["Unfolded"](lam * D, depth=9, step=step)
    tau = step / (lam**2 * float(torch.linalg.eigvalsh(D.T @ D)[-1]))
    assert net.tau == pytest.approx(tau, rel=1e-12)
    found = net(z)
    for row, out in zip(z, found, strict=True):
        u = torch.zeros(len(D), dtype=row.dtype)
        for _ in range(9):
            z_k = u - tau * lam * (D @ (lam * (D.T @ u) - row))
            u = torch.minimum(torch.maximum(z_k, -torch.ones_like(u)), torch.ones(1))
        exact = row - lam * (D.T @ u)
        torch.testing.assert_close(out, exact, rtol=0, atol=1e-12)


def test_the_iteration_solves_the_problem_without_a_dual(page) -> None:
    """No duality gap: ``1/2 |x - z|^2 + |L x|_1`` is the value of the dual problem."""
    L = 0.7 * page["differences"](SIDE).double()
    net, (z, _) = page["Unfolded"](L, depth=3000), pictures()
    u, x = net.states(z)[-1], net(z)
    primal = (x - z).square().sum(1) / 2 + (x @ L.T).abs().sum(1)
    dual = (z.square().sum(1) - (u @ L - z).square().sum(1)) / 2
    torch.testing.assert_close(primal, dual, rtol=0, atol=1e-10)


def test_states_of_a_forward_pass_leave_the_loss_alone(page) -> None:
    net, (z, x) = net_of(page), pictures()
    loss = (net(z) - x).square().sum(1).mean() / 2
    found = page["energy"](net, z, x, net.states(z), alpha=0.3)
    torch.testing.assert_close(found, 0.3 * loss, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.3, 2.0])
def test_gradients_are_those_of_the_energy_by_value(page, alpha: float) -> None:
    net, (z, x) = net_of(page), pictures()
    states = others(net, z)
    exact = torch.autograd.grad(
        page["energy"](net, z, x, states, alpha), list(net.parameters())
    )
    found = page["gradients"](net, z, x, states, alpha)
    for g, e in zip(found, exact, strict=True):
        assert e.abs().max() > 1e-3
        torch.testing.assert_close(g, e, rtol=1e-12, atol=1e-12)


def test_gradients_are_finite_differences_of_the_energy(page) -> None:
    net, (z, x) = net_of(page), pictures()
    states, h = others(net, z), 1e-5
    found = page["gradients"](net, z, x, states, 0.3)
    for L, g in zip(net.L, found, strict=True):
        along = draw(*L.shape, seed=5)
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                L.add_(along, alpha=sign * h)
                ends.append(page["energy"](net, z, x, states, 0.3))
                L.add_(along, alpha=-sign * h)
        slope = (ends[0] - ends[1]) / (2 * h)
        torch.testing.assert_close((g * along).sum(), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("alpha", [0.05, 1.0, 20.0])
def test_states_never_raise_the_energy_and_stay_in_the_box(page, alpha) -> None:
    net, (z, x) = net_of(page), pictures()
    states = net.states(z)
    energies = [page["energy"](net, z, x, states, alpha)]
    for _ in range(20):
        states = page["relax"](net, z, x, states, alpha, rounds=1)
        energies.append(page["energy"](net, z, x, states, alpha))
    drops = torch.stack(energies).diff()
    assert (drops <= 1e-13).all() and drops[0] < -1e-6
    assert max(float(u.abs().max()) for u in states) <= 1


def test_relaxed_states_are_where_no_state_in_the_box_does_better(page) -> None:
    """The variational inequality of each state, with autograd's slope."""
    net, (z, x) = net_of(page), pictures()
    states = page["relax"](net, z, x, net.states(z), 0.5, rounds=3000)
    leaves = [u.clone().requires_grad_() for u in states]
    slopes = torch.autograd.grad(page["energy"](net, z, x, leaves, 0.5), leaves)
    for u, g in zip(states, slopes, strict=True):
        inner = u.abs() < 1
        assert inner.any() and not inner.all()
        assert g[inner].abs().max() < 1e-8
        assert (g * u.sign())[~inner].max() < 1e-8


def test_with_a_small_weight_the_gradient_is_that_of_backpropagation(page) -> None:
    """``gradient / alpha`` of relaxed states, at a distance proportional to alpha."""
    net, (z, x) = net_of(page), pictures()
    loss = (net(z) - x).square().sum(1).mean() / 2
    exact = torch.autograd.grad(loss, list(net.parameters()))
    errors = []
    for alpha in (1e-4, 1e-5):
        states = page["relax"](net, z, x, net.states(z), alpha, rounds=400)
        found = page["gradients"](net, z, x, states, alpha)
        pairs = zip(found, exact, strict=True)
        errors.append(max(float((g / alpha - e).abs().max()) for g, e in pairs))
    assert errors[1] < 1e-4 * max(float(e.abs().max()) for e in exact)
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.05)


def test_without_rounds_only_the_last_matrix_learns(page) -> None:
    net, (z, x) = net_of(page), pictures()
    states = page["relax"](net, z, x, net.states(z), 1.0, rounds=0)
    *found, last = page["gradients"](net, z, x, states, 1.0)
    assert max(float(g.abs().max()) for g in found) < 1e-15
    assert last.abs().max() > 0.1


def test_where_all_units_are_flat_only_the_lifted_loss_reaches_them(page) -> None:
    """A picture far from the box: backpropagation's gradient is exactly zero."""
    net, (z, x) = net_of(page, weight=1.0), pictures()
    z = 1e4 * z
    assert all((u.abs() == 1).all() for u in net.states(z))
    loss = (net(z) - x).square().sum(1).mean() / 2
    *hidden, _ = torch.autograd.grad(loss, list(net.parameters()))
    assert all(not g.any() for g in hidden)
    moved = page["relax"](net, z, z, net.states(z), 1e4, rounds=1)
    *found, _ = page["gradients"](net, z, z, moved, 1e4)
    assert found[-1].any()


def test_training_moves_towards_the_clean_picture(page) -> None:
    torch.set_default_dtype(torch.float32)
    x, test, generator = page["squares"](seed=3)
    L = 0.3 * page["differences"](page["SIDE"])
    before = page["psnr"](page["Unfolded"](L, 3), test)
    for way in ({}, {"alpha": 0.01}):
        net = page["Unfolded"](L, 3)
        page["train"](net, x[:1280], generator, epochs=4, rate=3e-3, **way)
        assert page["psnr"](net, test) > before + 0.2


def test_the_linear_denoiser_is_the_best_one_of_its_kind() -> None:
    """Its error is orthogonal to what it sees, for the moments that it was given."""
    x = draw(50, 6) @ draw(6, 6, seed=1) + 3
    net = linear(x.float())
    S, M = torch.cov(x.T), net.weight.detach().double()
    torch.testing.assert_close(M @ (S + torch.eye(6)), S, rtol=1e-4, atol=1e-4)
    mean = x.mean(dim=0).float()
    torch.testing.assert_close(net(mean), mean, rtol=1e-4, atol=1e-4)
