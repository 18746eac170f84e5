import pytest
import torch

from unroll import SparseCoding, amp, dct_dictionary, fista, nmse_db


@pytest.fixture(scope="module")
def benchmark():
    """The problem of the published counts: 250 x 500, density 0.1, 40 dB."""
    generator = torch.Generator().manual_seed(1)
    problem = SparseCoding.gaussian(250, 500, generator)
    return problem.A, *problem.sample(400, generator)


@pytest.fixture
def easy(generator):
    """Sparse enough for AMP to reach its fixed point on every sample."""
    problem = SparseCoding.gaussian(200, 300, generator, density=0.04, snr_db=30)
    return problem.A, *problem.sample(20, generator)


def test_follows_its_equations(easy):
    A, b, _ = easy
    result = amp(A, b, iterations=10, alpha=1.3, keep_iterates=True)
    for i in (0, 19):
        x, v = torch.zeros(300), b[i]
        for k in range(10):
            pseudo = x + A.T @ v
            theta = 1.3 * v.norm() / 200**0.5
            x = pseudo.sign() * (pseudo.abs() - theta).clamp(min=0)
            v = b[i] - A @ x + v * (x != 0).sum() / 200
            torch.testing.assert_close(result.iterates[k + 1, i], x, rtol=0, atol=1e-12)
    assert torch.equal(result.iterates[-1], result.x)
    assert not result.iterates[0].any()


def test_reaches_minus_35_db_at_iteration_25(benchmark):
    """Published: 25 (Borgerding, Schniter and Rangan's code). Ratio NMSE."""
    A, b, x = benchmark
    curve = nmse_db(amp(A, b, iterations=40, keep_iterates=True).iterates, x)
    first = int((curve <= -35).nonzero()[0])
    assert abs(first - 25) <= 1


def test_the_pseudo_data_is_the_code_plus_gaussian_noise_of_known_size(benchmark):
    """The Onsager term at work: x + A^T v - x* has std ||v|| / sqrt(m), kurtosis 3."""
    A, b, x_true = benchmark
    iterates = amp(A, b, iterations=12, keep_iterates=True).iterates
    v = b
    for k in range(12):
        noise = iterates[k] + v @ A - x_true
        claimed = v.norm(dim=1) / 250**0.5
        unit = noise / claimed[:, None]
        assert abs(unit.square().mean().item() - 1) < 0.1
        assert abs(unit.pow(4).mean().item() / 3 - 1) < 0.25
        x = iterates[k + 1]
        v = b - x @ A.T + v * (x != 0).sum(dim=1, keepdim=True) / 250


def test_its_fixed_point_solves_the_lasso_it_names(easy):
    A, b, _ = easy
    result = amp(A, b, iterations=200)
    assert result.gap.max() < 1e-10
    lasso = fista(A, b, result.lam, tol=1e-13, iterations=20_000, restart=True)
    torch.testing.assert_close(result.x, lasso.x, rtol=0, atol=1e-5)
    best = lasso.objective[-1]
    assert ((result.objective[-1] - best).abs() <= result.gap + 1e-12).all()


def test_objective_and_gap_speak_of_the_lasso_with_its_lam(easy):
    A, b, _ = easy
    result = amp(A, b, iterations=5, keep_iterates=True)
    residual = b - result.iterates @ A.T
    l1 = result.iterates.abs().sum(dim=2)
    objective = 0.5 * residual.square().sum(dim=2) + result.lam * l1
    torch.testing.assert_close(result.objective, objective, rtol=1e-12, atol=0)
    same = fista(A, b, result.lam, x0=result.x, iterations=0)
    torch.testing.assert_close(same.gap, result.gap, rtol=1e-9, atol=0)
    assert not result.converged.any() and result.iterations == 5


def test_a_batch_is_a_loop(easy):
    A, b, _ = easy
    whole = amp(A, b, iterations=15).x
    for i in (0, 7, 19):
        one = amp(A, b[i : i + 1], iterations=15).x[0]
        torch.testing.assert_close(whole[i], one, rtol=0, atol=1e-12)


def test_units_and_order_of_the_atoms_do_not_matter(easy, generator):
    A, b, _ = easy
    x = amp(A, b, iterations=15).x
    order = torch.randperm(300, generator=generator)
    reordered = amp(A[:, order], b, iterations=15).x
    torch.testing.assert_close(reordered, x[:, order], rtol=0, atol=1e-12)
    scaled = amp(A, 7 * b, iterations=15).x
    torch.testing.assert_close(scaled, 7 * x, rtol=0, atol=1e-11)


def test_dtype_follows(easy):
    A, b, _ = easy
    result = amp(A.float(), b.float(), iterations=3, keep_iterates=True)
    for part in (result.x, result.objective, result.gap, result.lam, result.iterates):
        assert part.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "error", "shown"),
    [
        ({"alpha": 0.0}, ValueError, r"alpha is 0\.0: expected a positive number"),
        ({"alpha": -1.0}, ValueError, r"alpha is -1\.0"),
        ({"iterations": -2}, ValueError, "iterations is -2: expected at least 0"),
        ({"b": torch.ones(2, 5)}, ValueError, "b has 5 columns but A has 3 rows"),
        ({"b": torch.ones(0, 3)}, ValueError, r"b has shape \(0, 3\)"),
    ],
)
def test_refuses_bad_input_by_name(arguments, error, shown):
    good = {"A": torch.eye(3).float(), "b": torch.ones(2, 3).float()}
    with pytest.raises(error, match=shown):
        amp(**good | arguments)


# Matrices that AMP was not made for


def unlike_independent(name):
    generator = torch.Generator().manual_seed(2)
    if name == "cosines":
        return dct_dictionary(8, 256)
    A = SparseCoding.gaussian(100, 200, generator).A
    if name == "mean":
        A = A + 0.2
    else:
        U, _, V = torch.linalg.svd(A, full_matrices=False)
        A = (U * torch.logspace(0, -1.5, 100)) @ V
    return A / A.norm(dim=0)


@pytest.mark.parametrize("name", ["cosines", "mean", "ill-conditioned"])
def test_a_divergence_is_nan_and_said(name):
    A = unlike_independent(name)
    b, x = SparseCoding(A, 0.08).sample(20, torch.Generator().manual_seed(4))
    with pytest.warns(
        UserWarning, match=r"AMP diverges on \d+ of 20 samples.*use fista"
    ):
        result = amp(A, b, keep_iterates=True)
    lost = result.x.isnan().all(dim=1)
    assert lost.any() and torch.equal(lost, result.gap.isnan())
    assert not result.x[~lost].isnan().any()
    worst = (result.iterates[-1] - x).norm(dim=1) / x.norm(dim=1)
    assert (worst[lost] > 1).all(), "what was withheld is worse than no code"
    assert (worst[~lost] < 2).all(), "what is given has not blown up"


def test_what_converges_is_not_called_divergent(benchmark, recwarn):
    A, b, _ = benchmark
    assert amp(A, b).x.isfinite().all() and not recwarn


def test_a_matrix_with_entries_of_variance_1_over_m_is_welcome(generator, recwarn):
    A = torch.randn(100, 200, generator=generator) / 10
    b, x = SparseCoding(A, 0.05).sample(20, generator)
    assert nmse_db(amp(A, b).x, x) < -30 and not recwarn


@pytest.mark.parametrize("scale", [2.0, 0.5, 100.0, 0.01])
def test_refuses_columns_of_another_scale(easy, scale):
    A, b, _ = easy
    shown = f"A has columns of mean squared norm {scale**2:.4g}".replace(".", r"\.")
    with pytest.raises(ValueError, match=shown.replace("+", r"\+")):
        amp(scale * A, b)
