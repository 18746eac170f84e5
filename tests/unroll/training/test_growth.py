"""A network grows while it is trained: layer by layer, each a copy of the last."""

import pytest
import torch

import unroll as u
from unroll.training.recipe import grown, sprout


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


def test_a_new_layer_starts_as_a_copy_of_the_one_before():
    net, recipe = u.ALISTA(sparse().A, 4), u.Recipe(steps=16, grow=0.5)
    with torch.no_grad():
        for k, layer in enumerate(net.layers):
            layer.gamma.raw.fill_(k)
    numbers = [layer.gamma.raw.item() for layer in net.layers]
    for step in range(16):
        sprout(net, step, recipe)
        before = grown(max(step - 1, 0), 4, recipe)
        now = grown(step, 4, recipe)
        numbers[before:now] = [numbers[before - 1]] * (now - before)
        assert [layer.gamma.raw.item() for layer in net.layers] == numbers
    assert numbers == [0.0] * 4


def test_a_short_training_sprouts_several_layers_at_once():
    net, recipe = u.ALISTA(sparse().A, 6), u.Recipe(steps=4, grow=0.5)
    assert [grown(step, 6, recipe) for step in range(4)] == [1, 3, 6, 6]
    with torch.no_grad():
        net.layers[0].theta.raw.fill_(-7)
    for step in range(4):
        sprout(net, step, recipe)
    assert all(layer.theta.raw == -7 for layer in net.layers)


def test_stages_and_tied_layers_copy_nothing():
    tied = u.NAALISTA(sparse().A, 4, generator=seeded())
    staged = u.ALISTA(sparse().A, 4)
    with torch.no_grad():
        staged.layers[0].theta.raw.fill_(-7)
    for net, recipe in (
        (tied, u.Recipe(steps=8)),
        (staged, u.Recipe("stagewise", steps=8)),
    ):
        before = [p.clone() for p in net.parameters()]
        for step in range(8):
            sprout(net, step, recipe)
        assert all(map(torch.equal, before, net.parameters()))


@pytest.mark.parametrize("grow", [-0.1, 1.0, float("nan")])
def test_refuses_a_share_that_leaves_no_step_for_the_whole(grow):
    with pytest.raises(ValueError, match=rf"grow is {grow}: expected 0 <= grow < 1"):
        u.Recipe(grow=grow)
