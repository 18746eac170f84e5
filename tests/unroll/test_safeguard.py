import pytest
import torch

import unroll as u

LAM, TOL = 0.1, 1e-8


def sparse(density=0.1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    A = u.SparseCoding.gaussian(20, 40, generator).A
    return u.SparseCoding(A, density)


def duality_gap(A, b, x, lam=LAM):
    """Primal minus dual objective at the scaled residual, from the textbook."""
    r = b - x @ A.T
    scale = (lam / (r @ A).abs().amax(dim=1, keepdim=True)).clamp(max=1)
    primal = 0.5 * r.square().sum(dim=1) + lam * x.abs().sum(dim=1)
    dual = 0.5 * (b.square().sum(dim=1) - (b - scale * r).square().sum(dim=1))
    return primal - dual


def broken(A):
    """A network that overflows, by momentum that grows."""

    def explode(x, b, A, *, scale):
        return (x + b @ A) * scale

    return u.Unrolled.from_step(explode, {"scale": 1e200}, 6, A=A)


@pytest.mark.parametrize(
    "make", [u.LISTA, u.ALISTA, u.LAMP, u.TISTA, u.HyperLISTA, broken]
)
@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize("density", [0.05, 0.2])
def test_fails_nowhere(make, scale, density):
    """Trained or not, in or out of distribution, overflowing: the gap reaches tol."""
    problem = sparse(density)
    b, _ = problem.sample(20, torch.Generator().manual_seed(1))
    solver = u.safeguard(make(problem.A), problem.A, LAM, TOL)
    result = solver(scale * b)
    assert result.lasso.converged.all() and (result.lasso.gap <= TOL).all()
    gap = duality_gap(problem.A, scale * b, result.lasso.x)
    assert (gap <= TOL + 1e-12).all()
    assert result.cold_iterations is None and result.saved is None


def test_another_dictionary_than_the_one_of_the_network():
    problem = sparse()
    b, _ = problem.sample(20, torch.Generator().manual_seed(1))
    noise = torch.randn(20, 40, generator=torch.Generator().manual_seed(2))
    moved = problem.A + 0.02 * noise
    result = u.safeguard(u.ALISTA(moved), problem.A, LAM, TOL)(b)
    assert (duality_gap(problem.A, b, result.lasso.x) <= TOL + 1e-12).all()


def test_starts_at_the_best_iterate_of_each_sample():
    problem = sparse()
    b, _ = problem.sample(20, torch.Generator().manual_seed(1))
    net = u.LISTA(problem.A, 6, lam=LAM)
    with torch.no_grad():
        net.layers[4].theta.raw.fill_(9.0)  # from layer 5 on the code is wrong
    result = u.safeguard(net, problem.A, LAM, TOL)(b)
    iterates = net.iterates(b)
    r = b - iterates @ problem.A.T
    F = 0.5 * r.square().sum(dim=-1) + LAM * iterates.abs().sum(dim=-1)
    assert torch.equal(result.start_layer, F.argmin(dim=0))
    assert (result.start_layer == 4).any() and not (result.start_layer == 5).any()


def test_an_overflowing_network_is_ignored():
    problem = sparse()
    b, _ = problem.sample(20, torch.Generator().manual_seed(1))
    result = u.safeguard(broken(problem.A), problem.A, LAM, TOL)(b, measure=True)
    assert not result.start_layer.any()
    assert result.lasso.iterations == result.cold_iterations
    assert result.saved == pytest.approx(-6 / result.cold_iterations)


def test_a_network_that_knows_the_answer_saves_nearly_everything():
    problem = sparse()
    b, _ = problem.sample(20, torch.Generator().manual_seed(1))
    solution = u.fista(problem.A, b, LAM, tol=1e-13, iterations=9999, restart=True).x

    def recall(x, b, A, *, scale):
        return solution * scale

    net = u.Unrolled.from_step(recall, {"scale": 1.0}, 1, A=problem.A)
    result = u.safeguard(net, problem.A, LAM, TOL)(b, measure=True)
    assert result.lasso.iterations == 0 and result.start_layer.eq(1).all()
    assert result.saved == pytest.approx(1 - 1 / result.cold_iterations)
    assert result.cold_iterations > 50


def test_says_so_when_the_iterations_do_not_suffice():
    problem = sparse()
    b, _ = problem.sample(20, torch.Generator().manual_seed(1))
    solver = u.safeguard(u.LISTA(problem.A, 2), problem.A, LAM, TOL, iterations=1)
    assert not solver(b).lasso.converged.all()


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (dict(A=torch.ones(3, 4)), r"A has shape \(3, 4\) but that of net \(20, 40\)"),
        (dict(lam=0.0), r"lam is 0\.0: expected a positive number"),
        (dict(tol=-1.0), r"tol is -1\.0"),
        (dict(iterations=0), "iterations is 0: expected at least 1"),
    ],
)
def test_refuses_what_does_not_fit(change, shown):
    A = sparse().A
    arguments = dict(net=u.LISTA(A), A=A, lam=LAM, tol=TOL) | change
    with pytest.raises(ValueError, match=shown):
        u.safeguard(**arguments)


def test_float32_says_that_its_digits_do_not_suffice():
    problem = sparse()
    A = problem.A.float()
    b = problem.sample(20, torch.Generator().manual_seed(1))[0].float()
    with pytest.warns(UserWarning, match=r"rounding ends \d+ of 20 samples"):
        result = u.safeguard(u.LISTA(A), A, LAM, 1e-9)(b)
    assert result.lasso.stalled.any() and result.lasso.iterations < 20_000
    assert torch.equal(result.lasso.stalled, ~result.lasso.converged)


def test_refuses_a_weight_per_sample():
    A = sparse().A
    with pytest.raises(ValueError, match=r"lam has shape \(8,\): expected one number"):
        u.safeguard(u.LISTA(A), A, torch.full((8,), 0.1))
