"""Solvers, networks and training on a GPU: the same numbers as on the processor."""

from copy import deepcopy

import pytest
import torch

import unroll as u
from unroll import equilibrium as eq

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine"),
]

NETWORKS = [
    kind
    for kind in (getattr(u.networks, name) for name in u.networks.__all__)
    if issubclass(kind, u.Unrolled) and kind is not u.Unrolled
]
short = u.Recipe(steps=30, batch=64, every=10, validation=200)


def sparse(device: str = "cpu") -> u.SparseCoding:
    generator = torch.Generator().manual_seed(0)
    A = u.SparseCoding.gaussian(50, 100, generator, dtype=torch.float64).A
    return u.SparseCoding(A.to(device), 0.1, 40.0)


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    return sparse().sample(40, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("solve", [u.ista, u.fista])
def test_solvers_agree_with_the_processor(solve) -> None:
    A, (b, _) = sparse().A, samples()
    lam = torch.linspace(0.05, 0.3, 40, dtype=torch.float64)
    here = solve(A, b, lam, tol=1e-6)
    there = solve(A.cuda(), b.cuda(), lam.cuda(), tol=1e-6)
    assert there.x.is_cuda and there.converged.all()
    torch.testing.assert_close(there.x.cpu(), here.x, rtol=0, atol=1e-9)
    torch.testing.assert_close(there.gap.cpu(), here.gap, rtol=0, atol=1e-9)


def test_amp_and_the_bounds_agree_with_the_processor() -> None:
    A, (b, _) = sparse().A, samples()
    here, there = u.amp(A, b, iterations=12), u.amp(A.cuda(), b.cuda(), iterations=12)
    torch.testing.assert_close(there.x.cpu(), here.x, rtol=0, atol=1e-9)
    generator = torch.Generator("cuda").manual_seed(0)
    bounds = u.recovery_bounds(sparse("cuda"), 20, generator)
    assert bounds.oracle < bounds.lasso < -15


@pytest.mark.parametrize("prior", [u.BernoulliGaussian(), None])
@pytest.mark.parametrize("solve", [u.bayes_amp, u.vamp])
def test_solvers_with_a_prior_agree_with_the_processor(solve, prior) -> None:
    A, (b, _) = sparse().A, samples()
    here, there = (
        solve(D, y, prior, iterations=6) for D, y in ((A, b), (A.cuda(), b.cuda()))
    )
    assert there.x.is_cuda and there.noise_variance.is_cuda
    torch.testing.assert_close(there.x.cpu(), here.x, rtol=0, atol=1e-7)


def test_weights_agree_with_the_processor() -> None:
    A = sparse().A
    for weight in (u.analytic_weight, u.symmetric_weight):
        there = weight(A.cuda())
        assert there.is_cuda
        torch.testing.assert_close(there.cpu(), weight(A), rtol=0, atol=1e-9)


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_networks_agree_with_the_processor(make) -> None:
    A, (b, _) = sparse().A, samples()
    torch.manual_seed(0)
    net = make(A, 5)
    moved = make(A.cuda(), 5)
    moved.load_state_dict(net.state_dict())
    assert moved(b.cuda()).is_cuda
    torch.testing.assert_close(moved(b.cuda()).cpu(), net(b), rtol=0, atol=1e-9)
    torch.testing.assert_close(net.cuda()(b.cuda()), moved(b.cuda()), rtol=0, atol=0)


@pytest.mark.parametrize("data", ["problem", "tensors", "lasso"])
def test_training_learns_and_resumes(data, tmp_path) -> None:
    problem = sparse("cuda")
    found = problem.sample(400, torch.Generator("cuda").manual_seed(2))
    source = {"problem": problem, "tensors": found, "lasso": found[0]}[data]
    recipe = u.Recipe("lasso", 30, 64, every=10) if data == "lasso" else short
    path = tmp_path / "run.pt"
    generator = torch.Generator("cuda").manual_seed(1)
    net = u.ALISTA(problem.A, 4)
    first = u.train(net, source, recipe, generator=generator, checkpoint=path)
    assert first.validation[-1, -1] < first.validation[0, -1]
    again = u.ALISTA(problem.A, 4)
    generator = torch.Generator("cuda").manual_seed(9)
    second = u.train(again, source, recipe, generator=generator, checkpoint=path)
    assert torch.equal(first.loss, second.loss)
    assert torch.equal(net(found[0]), again(found[0]))


def test_a_search_needs_no_processor() -> None:
    problem = sparse("cuda")
    b, x = problem.sample(64, torch.Generator("cuda").manual_seed(2))
    net = u.HyperLISTA(problem.A)
    found = net.search(b, x, c1=(0.05, 0.1), c2=(0.0,), c3=(5.0, 10.0))
    assert found.table.shape == (2, 1, 2)
    assert u.nmse_db(net(b), x).item() == pytest.approx(found.table.min().item())


def test_the_certificate_holds() -> None:
    problem, (b, _) = sparse("cuda"), samples()
    solver = u.safeguard(u.LISTA(problem.A, 4), problem.A, 0.1, 1e-8)
    assert (solver(b.cuda()).lasso.gap <= 1e-8).all()


def test_devices_that_differ_are_refused() -> None:
    A, (b, _) = sparse("cuda").A, samples()
    with pytest.raises(ValueError, match="b is on cpu but A is on cuda"):
        u.fista(A, b, 0.1)
    with pytest.raises(ValueError, match="b is on cpu but A is on cuda"):
        u.ALISTA(A)(b)


@pytest.mark.parametrize("solver", [eq.Picard(), eq.Anderson(), eq.Broyden()])
@pytest.mark.parametrize("gradient", [eq.IFT(), eq.NeumannPhantom(), eq.Through()])
def test_fixed_points_agree_with_the_processor(solver, gradient) -> None:
    generator = torch.Generator().manual_seed(0)
    layer = eq.ContractiveLayer(6, 3, bound=0.8, generator=generator).double()
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    found = []
    for device in ("cpu", "cuda"):
        here = deepcopy(layer).to(device)
        z0 = torch.zeros(5, 6, dtype=torch.float64, device=device)
        z = eq.Equilibrium(here, solver, gradient)(z0, x.to(device))
        (slope,) = torch.autograd.grad(z.square().sum(), here.U)
        found.append((z.detach().cpu(), slope.cpu()))
    for here, there in zip(*found, strict=True):
        torch.testing.assert_close(here, there, rtol=0, atol=1e-9)
