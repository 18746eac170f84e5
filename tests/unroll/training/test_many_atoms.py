"""More than 2 m atoms: the few samples that blow up decide the error, and count."""

import math

import pytest
import torch

import unroll as u
from unroll.images import ISTANet
from unroll.operators import Blur
from unroll.training import DeepLogNMSE
from unroll.training.recipe import fitted


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def settings(recipe):
    return recipe.clip, recipe.rollback


USUAL, RARE = (1.0, True), (math.inf, False)


@pytest.mark.parametrize(
    ("kind", "many"),
    [
        (u.ALISTA, RARE),
        (u.AGLISTA, RARE),
        (u.ALISTAAT, RARE),
        (u.StepLISTA, RARE),
        (u.NAALISTA, (1.0, False)),
        (u.TiLISTA, (1.0, False)),
        (u.LISTA, USUAL),
        (u.LISTACPSS, USUAL),
    ],
)
def test_clip_and_rollback_follow_from_the_network(kind, many):
    for n, expected in ((20, USUAL), (21, many)):
        net = kind(u.SparseCoding.gaussian(10, n, seeded()).A, 3)
        assert settings(fitted(u.Recipe(), net)) == expected
        assert settings(fitted(u.Recipe("last"), net)) == USUAL
        assert settings(fitted(u.Recipe("stagewise"), net)) == USUAL
        assert settings(fitted(u.Recipe("lasso"), net)) == USUAL
        given = fitted(u.Recipe(clip=0.5, rollback=False), net)
        assert settings(given) == (0.5, False)
        given = fitted(u.Recipe(clip=math.inf, rollback=True), net)
        assert settings(given) == (math.inf, True)


def test_an_operator_has_no_atoms_to_count():
    A = Blur.gaussian(1.0, (8, 8), radius=2)
    net = ISTANet(A, 2, channels=4, generator=seeded())
    assert settings(fitted(u.Recipe(), net)) == USUAL


@pytest.mark.parametrize(("n", "explicit"), [(20, USUAL), (40, RARE)])
def test_the_default_is_bit_for_bit_what_it_stands_for(n, explicit):
    problem = u.SparseCoding.gaussian(10, n, seeded(), density=0.1)
    clip, rollback = explicit
    ends = []
    for options in ({}, {"clip": clip, "rollback": rollback}):
        net = u.ALISTA(problem.A, 4)
        recipe = u.Recipe(steps=80, batch=8, validation=50, **options)
        history = u.train(net, problem, recipe, generator=seeded(2))
        ends.append((history.loss, torch.cat([p.view(1) for p in net.parameters()])))
    assert all(torch.equal(*pair) for pair in zip(*ends, strict=True))


def test_an_infinite_clip_leaves_the_gradient_as_it_is():
    """The losses are those of Adam alone."""
    problem = u.SparseCoding.gaussian(10, 40, seeded(), density=0.1)
    net, other = u.ALISTA(problem.A, 2), u.ALISTA(problem.A, 2)
    recipe = u.Recipe(steps=40, batch=8, lr=0.05, decay=False, grow=0)
    held_out = problem.sample(9, seeded(5))
    history = u.train(net, problem, recipe, validation=held_out, generator=seeded(3))
    adam, generator, losses = torch.optim.Adam(other.parameters(), 0.05), seeded(3), []
    for _ in range(40):
        b, x = problem.sample(8, generator)
        loss = DeepLogNMSE().loss(other, other.iterates(b), b, x)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    torch.testing.assert_close(history.loss, torch.tensor(losses), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dictionary", [1, 2])
def test_no_sample_blows_up_after_training_by_default(dictionary):
    """20 x 120: 4 000 codes are as good as those of the validation."""
    generator = seeded(dictionary)
    problem = u.SparseCoding.gaussian(20, 120, generator, density=0.03)
    net = u.ALISTA(problem.A, 10)
    recipe = u.Recipe(steps=200, batch=64, validation=500)
    history = u.train(net, problem, recipe, generator=seeded(2))
    b, x = problem.sample(4000, seeded(50))
    with torch.no_grad():
        error = u.nmse_db(net(b), x).item()
    assert error < -7.5 and error < history.best_db + 1
