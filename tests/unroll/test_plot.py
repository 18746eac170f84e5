import matplotlib.pyplot as plt
import pytest
import torch

import unroll as u
from unroll.plot import coherences, constants_over_depth, error_per_layer


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    plt.close(figure)


def problem():
    generator = torch.Generator().manual_seed(0)
    sparse = u.SparseCoding.gaussian(20, 40, generator, density=0.1)
    return sparse, *sparse.sample(50, generator)


def labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_curve_is_the_error_of_every_layer(ax):
    sparse, b, x = problem()
    net = u.ALISTA(sparse.A, 4)
    errors = u.nmse_db(net.iterates(b), x)
    bounds = u.recovery_bounds(sparse, 5, torch.Generator().manual_seed(1))
    assert error_per_layer({"ALISTA": errors}, bounds, ax=ax) is ax
    curve, lasso, amp, bayes, oracle = ax.get_lines()
    assert list(curve.get_xdata()) == [0, 1, 2, 3, 4]
    assert torch.equal(torch.as_tensor(curve.get_ydata()), errors.detach())
    for name, line in (
        ("lasso", lasso),
        ("amp", amp),
        ("bayes", bayes),
        ("oracle", oracle),
    ):
        assert line.get_ydata()[0] == getattr(bounds, name)
    assert labels(ax) == ["ALISTA", "best Lasso", "AMP", "Bayes", "oracle"]
    assert ax.get_xlabel() == "layer" and "dB" in ax.get_ylabel()


def test_constants_are_drawn_by_name(ax):
    net = u.ALISTA(problem()[0].A, 4)
    constants_over_depth(net, ax=ax)
    assert labels(ax) == ["gamma", "theta"]
    gamma, theta = ax.get_lines()
    assert list(gamma.get_xdata()) == [1, 2, 3, 4]
    drawn = torch.as_tensor(theta.get_ydata())
    assert torch.equal(drawn, net.constants()["theta"])


def test_histograms_hold_every_pair_once(ax):
    A = problem()[0].A
    coherences({"A": A, "analytic": u.analytic_weight(A)}, A, bins=10, ax=ax)
    assert labels(ax) == ["A", "analytic"]
    for patch in ax.patches:
        xs, ys = patch.get_xy().T
        area = sum((xs[1:] - xs[:-1]) * ys[:-1])
        assert area == pytest.approx(1.0)
    reach = max(patch.get_xy()[:, 0].max() for patch in ax.patches)
    assert reach == pytest.approx(u.mutual_coherence(A).item())


def test_without_axes_the_current_ones_are_used(ax):
    plt.sca(ax)
    assert constants_over_depth(u.ALISTA(problem()[0].A, 2)) is ax


def test_refuses_nothing_and_what_does_not_fit(ax):
    A = problem()[0].A
    with pytest.raises(ValueError, match="curves is empty"):
        error_per_layer({}, ax=ax)
    with pytest.raises(ValueError, match=r"curves\['x'\] has shape \(2, 3\)"):
        error_per_layer({"x": torch.ones(2, 3)}, ax=ax)
    with pytest.raises(ValueError, match="weights is empty"):
        coherences({}, A, ax=ax)
    with pytest.raises(ValueError, match=r"weights\['W'\] has shape \(40, 20\)"):
        coherences({"W": A.T}, A, ax=ax)
    still = u.Unrolled.from_step(lambda x, b, A: x, {}, 2, A=A)
    with pytest.raises(ValueError, match="net has no scalar constants"):
        constants_over_depth(still, ax=ax)
