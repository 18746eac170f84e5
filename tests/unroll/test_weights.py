import pytest
import torch
from scipy.optimize import linprog

import unroll as u


def dictionary(m=12, n=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return u.SparseCoding.gaussian(m, n, generator).A


def deficient():
    """Twelve rows of rank seven."""
    generator = torch.Generator().manual_seed(1)
    A = torch.randn(12, 7, generator=generator)
    A = A @ torch.randn(7, 20, generator=generator)
    return A / A.norm(dim=0)


MATRICES = [dictionary, deficient, lambda: dictionary(20, 12)]  # made in float64


def iterated(A, ridge=0.0, iterations=6000):
    """Projected gradient descent, as in Liu et al. 2019, appendix E.1."""
    W = A / A.square().sum(dim=0)
    step = 0.9 / (torch.linalg.matrix_norm(A, 2) ** 2 + ridge)
    for _ in range(iterations):
        W = W - step * (A @ (A.T @ W) + ridge * W)
        W = W + A * ((1 - (W * A).sum(dim=0)) / A.square().sum(dim=0))
    return W


def energy(W, A):
    return (W.T @ A).square().sum()


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_closed_form_is_what_the_iteration_converges_to(matrix):
    A = matrix()
    W, slow = u.analytic_weight(A), iterated(A)
    assert ((W * A).sum(dim=0) - 1).abs().max() <= 1e-12
    torch.testing.assert_close(energy(W, A), energy(slow, A), rtol=1e-10, atol=0)


@pytest.mark.parametrize("matrix", MATRICES[:2])
def test_every_column_meets_its_kkt_conditions(matrix):
    """A A^T w_i = mu_i a_i with a multiplier mu_i = |A^T w_i|^2 and w_i^T a_i = 1."""
    A = matrix()
    W = u.analytic_weight(A)
    multiplier = (A.T @ W).square().sum(dim=0)
    torch.testing.assert_close(A @ (A.T @ W), multiplier * A, rtol=0, atol=1e-11)
    ones = torch.ones(A.shape[1])
    torch.testing.assert_close((W * A).sum(dim=0), ones, rtol=0, atol=1e-12)


def test_it_is_a_scaled_pseudo_inverse():
    A = dictionary()
    pinv = torch.linalg.pinv(A)
    expected = pinv.T / (pinv @ A).diagonal()
    torch.testing.assert_close(u.analytic_weight(A), expected, rtol=0, atol=1e-13)


def test_no_feasible_perturbation_lowers_the_energy():
    A = dictionary()
    W, generator = u.analytic_weight(A), torch.Generator().manual_seed(2)
    for _ in range(20):
        move = torch.randn(A.shape, generator=generator)
        move -= A * ((move * A).sum(dim=0) / A.square().sum(dim=0))
        assert energy(W + 0.01 * move, A) > energy(W, A)


def test_ridge_is_the_penalised_problem():
    A, ridge = dictionary(), 0.7
    W, slow = u.analytic_weight(A, ridge=ridge), iterated(A, ridge)
    torch.testing.assert_close(W, slow, rtol=0, atol=1e-9)
    assert W.square().sum() < u.analytic_weight(A).square().sum()
    small = u.analytic_weight(A, ridge=1e-10)
    torch.testing.assert_close(small, u.analytic_weight(A), rtol=0, atol=1e-7)


def test_orthonormal_atoms_are_their_own_weights():
    A = torch.linalg.qr(torch.randn(9, 9, generator=torch.Generator().manual_seed(0)))[
        0
    ]
    for weight in (u.analytic_weight, u.coherence_weight, u.symmetric_weight):
        torch.testing.assert_close(weight(A), A, rtol=0, atol=1e-10)


def test_coherence_weight_solves_its_linear_programmes():
    """Each column against the exact minimum of a simplex-type solver."""
    A = dictionary(8, 14)
    W = u.coherence_weight(A, iterations=1000)
    assert ((W * A).sum(dim=0) - 1).abs().max() <= 1e-12
    for i in range(14):
        others = torch.cat([A[:, :i], A[:, i + 1 :]], dim=1).T.numpy()
        minus = -torch.ones(13, 1).numpy()
        above = [[*row, *t] for row, t in zip(others, minus, strict=True)]
        below = [[*row, *t] for row, t in zip(-others, minus, strict=True)]
        exact = linprog(
            c=[0.0] * 8 + [1.0],
            A_ub=above + below,
            b_ub=[0.0] * 26,
            A_eq=[[*A[:, i].tolist(), 0.0]],
            b_eq=[1.0],
            bounds=[(None, None)] * 8 + [(0, None)],
        ).fun
        reached = (A.T @ W[:, i])[torch.arange(14) != i].abs().max().item()
        assert exact - 1e-9 <= reached <= exact + 1e-5


def test_each_weight_is_best_at_what_it_minimises():
    A = dictionary(25, 50)
    analytic, even = u.analytic_weight(A), u.coherence_weight(A, iterations=200)
    assert u.generalized_coherence(even, A) < 0.7 * u.generalized_coherence(analytic, A)
    assert u.generalized_coherence(analytic, A) < u.mutual_coherence(A)
    assert energy(analytic, A) < energy(u.symmetric_weight(A), A) < energy(even, A)


def test_no_iterations_is_the_closed_form():
    A = dictionary()
    assert torch.equal(u.coherence_weight(A, iterations=0), u.analytic_weight(A))


@pytest.mark.parametrize("matrix", [*MATRICES[:2], lambda: dictionary(25, 50, 3)])
def test_symmetric_weight_is_a_gram_matrix_with_unit_diagonal(matrix):
    A = matrix()
    C = u.symmetric_weight(A).T @ A
    torch.testing.assert_close(C, C.T, rtol=0, atol=1e-10)
    torch.testing.assert_close(C.diagonal(), torch.ones(A.shape[1]), rtol=0, atol=1e-9)
    assert torch.linalg.eigvalsh(C).min() > -1e-9


def test_symmetric_weight_meets_its_kkt_conditions_in_closed_form():
    """W = (A^+)^T diag(d) A^+ A: stationary, with the multipliers d."""
    A = dictionary()
    pinv = torch.linalg.pinv(A)
    d = torch.linalg.solve((pinv @ A).square(), torch.ones(20))
    expected = pinv.T @ torch.diag(d) @ pinv @ A
    torch.testing.assert_close(u.symmetric_weight(A), expected, rtol=0, atol=1e-10)
    assert torch.linalg.eigvalsh(expected.T @ A).min() > -1e-12


@pytest.mark.parametrize("iterations", [1, 3, 30])
def test_no_column_gets_worse_however_few_the_iterations(iterations):
    A = dictionary() * torch.linspace(0.3, 3, 20)
    pick_ups = [
        (A.T @ W).fill_diagonal_(0).abs().amax(dim=0)
        for W in (u.coherence_weight(A, iterations=iterations), u.analytic_weight(A))
    ]
    assert (pick_ups[0] <= pick_ups[1] + 1e-12).all()


def indefinite() -> tuple[torch.Tensor, torch.Tensor]:
    """Nearly parallel atoms, and ``W^T A`` of the closed form: no Gram matrix."""
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        A = torch.randn(4, 7, generator=generator)
        A[:, 1] = A[:, 0] + 0.2 * torch.randn(4, generator=generator)
        A[:, 2] = A[:, 0] + 0.2 * torch.randn(4, generator=generator)
        A = A / A.norm(dim=0)
        pinv = torch.linalg.pinv(A)
        d = torch.linalg.solve((pinv @ A).square(), torch.ones(7))
        closed = A.T @ pinv.T @ torch.diag(d) @ pinv @ A
        if torch.linalg.eigvalsh(closed).min() < -1e-3:
            return A, closed
    return pytest.fail("no indefinite example was found")


def test_symmetric_weight_goes_on_where_the_closed_form_is_not_a_gram_matrix():
    """Dykstra's iteration repairs it."""
    A, _ = indefinite()
    C = u.symmetric_weight(A, iterations=20_000).T @ A
    assert torch.linalg.eigvalsh(C).min() > -1e-6
    torch.testing.assert_close(C.diagonal(), torch.ones(7), rtol=0, atol=1e-6)


def test_what_is_not_yet_a_gram_matrix_is_refused():
    A, closed = indefinite()
    assert -0.4 < torch.linalg.eigvalsh(closed).min()
    with pytest.raises(ValueError, match="A has 7 atoms in 4 dimensions"):
        u.symmetric_weight(A, iterations=0)


def test_coherences_from_their_definitions():
    A = dictionary(5, 8)
    W = u.analytic_weight(A)
    cosines, pick_up = [], []
    for i in range(8):
        for j in range(8):
            if i != j:
                cosines.append((A[:, i] @ A[:, j]).abs().item())
                pick_up.append((W[:, i] @ A[:, j]).abs().item())
    assert u.mutual_coherence(A).item() == pytest.approx(max(cosines), rel=1e-12)
    assert u.mutual_coherence(3 * A).item() == pytest.approx(max(cosines), rel=1e-12)
    reached = u.generalized_coherence(W, A).item()
    assert reached == pytest.approx(max(pick_up), rel=1e-12)


def test_refuses_bad_dictionaries():
    A = dictionary()
    A[:, 4] = 0
    weights = (u.analytic_weight, u.coherence_weight, u.symmetric_weight)
    for function in (*weights, u.mutual_coherence):
        with pytest.raises(ValueError, match="A has a zero column 4"):
            function(A)
        with pytest.raises(ValueError, match=r"A has shape \(3,\): expected \(m, n\)"):
            function(torch.ones(3))
        with pytest.raises(TypeError, match="A has dtype torch.int64"):
            function(torch.ones(2, 2, dtype=torch.int64))


def test_refuses_bad_weights_and_options():
    A = dictionary()
    with pytest.raises(
        ValueError, match=r"W has shape \(20, 12\): expected \(12, 20\)"
    ):
        u.generalized_coherence(A.T.contiguous(), A)
    with pytest.raises(
        ValueError, match=r"W has w_i\^T a_i = 2 for i = \d+: expected 1"
    ):
        u.generalized_coherence(2 * A, A)
    halved = torch.ones(A.shape[1], dtype=A.dtype)
    halved[7] = 0.5
    with pytest.raises(ValueError, match=r"w_i\^T a_i = 0\.5 for i = 7: expected 1"):
        u.generalized_coherence(halved * u.analytic_weight(A), A)
    with pytest.raises(ValueError, match=r"ridge is -1\.0"):
        u.analytic_weight(A, ridge=-1.0)
    with pytest.raises(ValueError, match="iterations is -1"):
        u.coherence_weight(A, iterations=-1)
    with pytest.raises(ValueError, match="iterations is -1"):
        u.symmetric_weight(A, iterations=-1)
    twins = torch.cat([A[:, :1], 2 * A], dim=1)
    with pytest.raises(ValueError, match="A has 21 atoms in 12 dimensions"):
        u.symmetric_weight(twins)
