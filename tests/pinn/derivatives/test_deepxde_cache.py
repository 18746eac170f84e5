"""DeepXDE's cache, filled from a jet, equals what it would have computed."""

import pytest
import torch
from torch import Tensor

from pinn import Jet, Problem, Wanted, zoo
from pinn._backend import dde
from pinn.derivatives import cache_works, deepxde_cache, fill_cache
from tests.pinn.cases import smooth
from tests.pinn.test_problem import burgers_pde, kovasznay_pde

BURGERS = zoo.burgers()


@pytest.mark.parametrize(
    "problem, pde", [(BURGERS, burgers_pde), (zoo.kovasznay(), kovasznay_pde)]
)
def test_a_filled_cache_equals_autograd(problem: Problem, pde: object) -> None:
    assert cache_works()
    net = smooth((2, 10, problem.components))
    x = problem.probes()[0].requires_grad_()
    y = net(x)
    by_autograd = pde(x, y)
    dde.grad.clear()
    from_cache = pde(x, fill_cache(x, net.jet(x, Wanted.all(2))))
    dde.grad.clear()
    pairs = [(by_autograd, from_cache)]
    if isinstance(by_autograd, list):
        pairs = zip(by_autograd, from_cache, strict=True)
    for a, b in pairs:
        assert torch.allclose(a, b, rtol=1e-11, atol=1e-12)
        grads = [torch.autograd.grad(t.square().sum(), list(net.parameters()),
                 retain_graph=True, allow_unused=True) for t in (a, b)]  # fmt: skip
        for g, h in zip(*grads, strict=True):
            g = torch.zeros_like(h) if g is None else g  # the last bias drops out
            assert torch.allclose(g, h, rtol=1e-9, atol=1e-10)


def test_third_derivatives_fall_through_to_autograd() -> None:
    net = smooth()
    x = BURGERS.probes()[0].requires_grad_()

    def third(y: Tensor) -> Tensor:
        return dde.grad.jacobian(dde.grad.hessian(y, x, i=0, j=0), x, i=0, j=0)

    by_autograd = third(net(x))
    dde.grad.clear()
    from_cache = third(fill_cache(x, net.jet(x, Wanted.all(2))))
    dde.grad.clear()
    assert torch.allclose(by_autograd, from_cache, rtol=1e-9, atol=1e-11)


def test_an_untested_release_of_deepxde_is_not_trusted(monkeypatch) -> None:
    monkeypatch.setattr(dde, "__version__", "3.0.1")
    cache_works.cache_clear()
    assert not cache_works()
    monkeypatch.undo()
    cache_works.cache_clear()
    wrong = Jet(torch.zeros(2, 2), torch.ones(2, 2, 2), torch.ones(2, 2, 2, 2))
    wrong = Jet(wrong.u.double(), wrong.p.double(), wrong.H.double())
    monkeypatch.setattr(deepxde_cache, "_by_hand", lambda x: wrong)
    assert not cache_works(), "the self-test compares with autograd"
    monkeypatch.undo()
    cache_works.cache_clear()
    assert cache_works()
