"""The strong form is DeepXDE's own loss, faster."""

import numpy as np
import pytest
import torch

from pinn import Problem, Strong, zoo
from pinn._backend import dde
from tests.pinn.cases import smooth
from tests.pinn.test_problem import burgers_pde

BURGERS = zoo.burgers()


def test_the_losses_are_those_of_deepxdes_own_data() -> None:
    net = smooth()
    dde.config.set_random_seed(0)
    ours = Strong(BURGERS, 200, 40, 40)
    dde.config.set_random_seed(0)
    theirs = dde.data.TimePDE(
        BURGERS.geometry, burgers_pde, BURGERS.conditions, 200, 40, 40
    )
    found = []
    for data in (ours, theirs):
        model = dde.Model(data, net)
        model.compile("adam", lr=1e-3, verbose=0)
        found.append(model.train(iterations=0, verbose=0)[1].loss_train)
    assert np.allclose(*found, rtol=1e-12)


def test_a_pde_of_deepxde_is_taken_as_it_is(monkeypatch) -> None:
    stated = Problem(BURGERS.geometry, conditions=BURGERS.conditions,
                     residual=burgers_pde)  # fmt: skip
    net = smooth()
    x = BURGERS.probes()[0]
    law = Strong(BURGERS, 50, 10, 10).blocks(net, x)
    pde = Strong(stated, 50, 10, 10).blocks(net, x)
    assert torch.allclose(law[0], pde[0], rtol=1e-11, atol=1e-12)
    monkeypatch.setattr("pinn.forms.strong.cache_works", lambda: False)
    fallen_back = Strong(stated, 50, 10, 10).blocks(net, x)
    assert torch.allclose(law[0], fallen_back[0], rtol=1e-11, atol=1e-12)


def test_conditions_without_points_are_refused() -> None:
    with pytest.raises(ValueError, match="2 conditions but no points"):
        Strong(BURGERS)
