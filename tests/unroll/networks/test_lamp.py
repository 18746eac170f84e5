import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import problem


def test_without_the_memory_of_the_residual_it_is_not_amp():
    """The Onsager term is what makes the difference, by many dB."""
    generator = torch.Generator().manual_seed(0)
    sparse = u.SparseCoding.gaussian(250, 500, generator, density=0.1)
    b, x = sparse.sample(30, generator)
    net = u.LAMP(sparse.A, 25)
    layer, forgetful = net.layers[0], net.start(b)
    for _ in range(25):
        code, _ = layer(forgetful, *net.given(b, 0))
        forgetful = code, torch.zeros_like(b)
    assert u.nmse_db(net(b), x) < u.nmse_db(forgetful[0], x) - 10


def test_thresholds_follow_the_noise_of_the_sample():
    A, b, _ = problem()
    net = u.LAMP(A, 3)
    torch.testing.assert_close(net(7 * b), 7 * net(b), rtol=0, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.0, -1.0])
def test_refuses_alpha(alpha):
    with pytest.raises(ValueError, match=f"alpha is {alpha}: expected a positive"):
        u.LAMP(problem()[0], alpha=alpha)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_columns_of_any_scale_are_those_of_norm_1_in_other_units(scale):
    A, b, _ = problem()
    d = scale * torch.linspace(0.5, 2.0, A.shape[1])
    net, scaled = u.LAMP(A, 4), u.LAMP(A * d, 4)
    torch.testing.assert_close(scaled(b) * d, net(b), rtol=0, atol=1e-10)
    assert net(b).any()
