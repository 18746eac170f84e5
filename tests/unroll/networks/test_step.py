import torch

import unroll as u
from tests.unroll.networks.cases import LAM, problem


def test_every_layer_is_an_ista_step_of_its_own_length():
    A, b, _ = problem()
    net = u.StepLISTA(A, 3, lam=LAM)
    steps = [0.1, 0.3, 0.2]
    for layer, step in zip(net.layers, steps, strict=True):
        layer.alpha = u.Positive(step)
    x = None
    for step in steps:
        x = u.ista(A, b, LAM, iterations=1, step_size=step, x0=x).x
    torch.testing.assert_close(net(b), x, rtol=0, atol=1e-12)


def test_a_lasso_solution_is_a_fixed_point_whatever_the_steps():
    """Only for theta = lam * alpha: the theorem of Ablin et al. that gives the form."""
    A, b, _ = problem()
    x = u.fista(A, b, LAM, tol=1e-24, iterations=50_000, restart=True).x
    net = u.StepLISTA(A, 1, lam=LAM)
    for step in (0.05, 0.7, 3.0):
        net.layers[0].alpha = u.Positive(step)
        after = net.layers[0](x, b, A, LAM)
        torch.testing.assert_close(after, x, rtol=0, atol=1e-9)
