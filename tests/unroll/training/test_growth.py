"""A network grows while it is trained, layer by layer."""

from copy import deepcopy

import pytest
import torch

import unroll as u
from unroll.training.recipe import fitted, grown, was_whole


def sparse():
    generator = torch.Generator().manual_seed(0)
    return u.SparseCoding.gaussian(20, 40, generator, density=0.05)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


class Spied(u.ALISTA):
    """Remembers how many layers were run with gradient."""

    def iterates(self, b, depth=None):
        if torch.is_grad_enabled():
            self.depths.append(depth)
        return super().iterates(b, depth)


@pytest.mark.parametrize(
    ("grow", "depths"),
    [
        (0.0, [4] * 16),
        (0.5, [1, 1, 1, 2, 2, 3, 3, 4] + [4] * 8),
        (0.25, [1, 1, 2, 3] + [4] * 12),
    ],
)
def test_depth_grows_over_a_share_of_the_steps(grow, depths):
    net = Spied(sparse().A, 4)
    net.depths = []
    recipe = u.Recipe(steps=16, batch=8, grow=grow)
    history = u.train(net, sparse(), recipe, generator=seeded())
    assert net.depths == depths
    assert history.validation_db.shape == (2, 5), "all layers are measured"


def test_a_layer_is_as_it_was_made_until_it_is_run():
    net = u.ALISTA(sparse().A, 4)
    start = [p.clone() for p in net.layers[3].parameters()]
    recipe = u.Recipe(steps=40, batch=8, every=5, grow=0.5, validation=20)
    moved = []

    class Watched:
        def sample(self, batch, generator=None):
            now = zip(net.layers[3].parameters(), start, strict=True)
            moved.append(any(not torch.equal(p, before) for p, before in now))
            return sparse().sample(batch, generator)

    u.train(net, Watched(), recipe, generator=seeded())
    first = next(step for step in range(40) if grown(step, 4, recipe) == 4)
    assert first == 16
    assert not any(moved[: first + 2]), "validation, steps 0 to 15, and before step 16"
    assert moved[first + 2]


def test_what_still_grew_is_not_gone_back_to():
    recipe = u.Recipe(steps=40, grow=0.5)
    assert [was_whole(step, recipe) for step in (0, 19, 20, 40)] == [0, 0, 1, 1]
    assert was_whole(0, u.Recipe(grow=0.0)) and was_whole(0, u.Recipe("stagewise"))


@pytest.mark.parametrize("grow", [-0.1, 1.0, float("nan")])
def test_refuses_a_share_that_leaves_no_step_for_the_whole(grow):
    with pytest.raises(ValueError, match=rf"grow is {grow}: expected 0 <= grow < 1"):
        u.Recipe(grow=grow)


@pytest.mark.parametrize(
    ("kind", "options", "grows"),
    [
        (u.ALISTA, {}, 0.5),
        (u.NAALISTA, {}, 0.5),
        (u.TiLISTA, {}, 0.5),
        (u.LISTA, {"tied": True}, 0.5),
        (u.LISTA, {}, 0.0),
        (u.LISTACPSS, {}, 0.0),
        (u.LAMP, {}, 0.0),
    ],
)
def test_layers_with_matrices_of_their_own_do_not_grow(kind, options, grows):
    A = u.SparseCoding.gaussian(10, 20, torch.Generator().manual_seed(0)).A
    net = kind(A, 4, **options)
    assert fitted(u.Recipe(), net).grow == grows
    assert fitted(u.Recipe(steps=79), net).grow == 0.0  # less than 20 a layer
    assert fitted(u.Recipe(steps=80), net).grow == grows
    assert fitted(u.Recipe(grow=0.25), net).grow == 0.25
    problem = u.SparseCoding(A, 0.1, 40.0)
    short = {"steps": 80, "batch": 4, "every": 40, "validation": 10}
    found = []
    for grow in (None, grows):
        one, recipe = deepcopy(net), u.Recipe(grow=grow, **short)
        u.train(one, problem, recipe, generator=torch.Generator().manual_seed(1))
        found.append(torch.cat([p.flatten() for p in one.parameters()]))
    assert torch.equal(*found)
