import signal
from dataclasses import dataclass, replace

import pytest
import torch

import unroll as u
from unroll.training import DeepLogNMSE, LastNMSE
from unroll.training.recipe import parameter_groups, set_rates


def sparse(seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    return u.SparseCoding.gaussian(20, 40, generator, density=0.05, **options)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@dataclass(eq=False)
class Interrupted:
    """A problem whose user presses Ctrl-C after a number of samplings."""

    problem: u.SparseCoding
    after: int

    def sample(self, batch, generator=None):
        self.after -= 1
        if self.after < 0:
            signal.default_int_handler(signal.SIGINT, None)
        return self.problem.sample(batch, generator)


short = u.Recipe(steps=40, batch=32, every=7, validation=64)


@pytest.mark.parametrize("objective", ["deep-log-nmse", "last", "stagewise"])
def test_learns_and_ends_with_its_best_weights(objective):
    problem = sparse()
    net = u.ALISTA(problem.A, 4)
    recipe = u.Recipe(objective, steps=120, batch=64, every=10, validation=200)
    history = u.train(net, problem, recipe, generator=seeded())
    assert history.finished and history.samples == 120 * 64
    assert history.loss.shape == (120,)
    assert history.checked.tolist() == list(range(0, 121, 10))
    assert history.validation_db.shape == (13, 5)
    assert not history.validation_db[:, 0].any(), "x_0 = 0 has 0 dB"
    last = history.validation_db[:, -1]
    assert history.best_db == last.min() < last[0] - 2
    assert history.best_step == history.checked[last.argmin()]
    b, x = problem.sample(200, seeded())  # what the validation set was drawn from
    torch.testing.assert_close(u.nmse_db(net(b), x), last.min())


def test_the_same_seed_gives_the_same_bits():
    nets = []
    for _ in range(2):
        net = u.TiLISTA(sparse().A, 3)
        u.train(net, sparse(), short, generator=seeded())
        nets.append(weights(net))
    assert torch.equal(*nets)
    torch.manual_seed(5)
    net = u.TiLISTA(sparse().A, 3)
    u.train(net, sparse(), short)
    assert not torch.equal(weights(net), nets[0])


@pytest.mark.parametrize("objective", ["deep-log-nmse", "stagewise"])
def test_interrupted_and_resumed_equals_unbroken(objective, tmp_path):
    problem, recipe = sparse(), replace(short, objective=objective)
    make = lambda: u.TiLISTA(problem.A, 3)  # noqa: E731
    whole = make()
    expected = u.train(whole, problem, recipe, generator=seeded())

    path = tmp_path / "run.pt"
    for seed in (1, 50, 51):  # between checkpoints; a resumed run draws no new numbers
        broken = Interrupted(problem, 12)
        history = u.train(
            make(), broken, recipe, generator=seeded(seed), checkpoint=path
        )
        assert not history.finished
    net = make()
    history = u.train(net, problem, recipe, generator=seeded(99), checkpoint=path)
    assert history.finished
    assert torch.equal(weights(net), weights(whole))
    assert torch.equal(history.loss, expected.loss)
    assert torch.equal(history.validation_db, expected.validation_db)
    assert history.best_step == expected.best_step


def test_a_finished_run_is_not_run_again(tmp_path):
    problem, path = sparse(), tmp_path / "run.pt"
    net = u.ALISTA(problem.A, 3)
    first = u.train(net, problem, short, generator=seeded(), checkpoint=path)
    again = u.ALISTA(problem.A, 3)
    second = u.train(again, Interrupted(problem, 2), short, checkpoint=path)
    assert second.finished and torch.equal(first.loss, second.loss)
    assert torch.equal(weights(net), weights(again))
    assert not list(tmp_path.glob("*.part"))


def test_an_interrupt_returns_what_there_is():
    problem = sparse()
    net = u.ALISTA(problem.A, 3)
    history = u.train(net, Interrupted(problem, 20), short, generator=seeded())
    assert not history.finished
    assert len(history.loss) == 19 and history.checked.tolist() == [0, 7, 14]
    assert history.best_db == history.validation_db[:, -1].min()
    b, x = problem.sample(64, seeded())
    assert u.nmse_db(net(b), x).item() == pytest.approx(history.best_db)


def test_refuses_the_checkpoint_of_another_recipe(tmp_path):
    problem, path = sparse(), tmp_path / "run.pt"
    u.train(u.ALISTA(problem.A, 2), problem, short, checkpoint=path)
    with pytest.raises(
        ValueError, match=r"checkpoint has lr = None but the recipe 1\.0"
    ):
        u.train(
            u.ALISTA(problem.A, 2), problem, replace(short, lr=1.0), checkpoint=path
        )


def test_validation_samples_are_not_trained_on():
    seen = []

    class Recorded:
        def sample(self, batch, generator=None):
            seen.append(sparse().sample(batch, generator))
            return seen[-1]

    u.train(u.ALISTA(sparse().A, 2), Recorded(), short, generator=seeded())
    assert len(seen) == 41 and seen[0][0].shape == (64, 20)
    rows = torch.cat([b[x.any(dim=1)] for b, x in seen])
    assert len(rows.unique(dim=0)) == len(rows), "no sample is drawn twice"


def test_nan_stops_with_step_and_layer():
    problem = sparse()

    def explodes(x, b, A, *, scale):
        return (x + b @ A) * scale

    net = u.Unrolled.from_step(explodes, {"scale": 1e160}, 4, A=problem.A)
    message = (
        r"loss is (nan|inf) at step 0, before anything was learned: layer 2 is the "
        r"first to overflow.*another scale"
    )
    with pytest.raises(FloatingPointError, match=message):
        u.train(net, problem, short, generator=seeded())


def test_an_infinite_gradient_is_not_applied():
    problem = sparse()

    def sharp(x, b, A, *, scale):
        return b @ A * scale.abs().sqrt()

    net = u.Unrolled.from_step(sharp, {"scale": 0.0}, 1, A=problem.A)
    with pytest.raises(
        FloatingPointError, match=r"gradient is (nan|inf) at step 0: first"
    ):
        u.train(net, problem, short, generator=seeded())
    assert net.constants()["scale"].item() == 0.0


@pytest.mark.parametrize("objective", ["deep-log-nmse", "last"])
def test_collapse_is_a_code_of_zeros_and_its_cure_a_moderate_start(objective):
    """Thresholds above every entry: no gradient, in any objective, however long."""
    problem = sparse()
    recipe = u.Recipe(objective, steps=100, batch=64, validation=200)
    dead = u.ALISTA(problem.A, 4, lam=40.0, keep=0)
    before = weights(dead)
    shown = r"all codes are 0 at step 0 .* lam well below \d.*\(now 40\)"
    with pytest.raises(ValueError, match=shown):
        u.train(dead, problem, recipe)
    assert torch.equal(weights(dead), before)
    alive = u.ALISTA(problem.A, 4, lam=2.0, keep=0)
    history = u.train(alive, problem, recipe, generator=seeded())
    assert history.validation_db[0, -1] > -2 and history.best_db < -5


def test_objectives_are_what_they_say(generator):
    x = torch.randn(5, 7, generator=generator)
    iterates = torch.stack([0 * x, 0.5 * x, 0.9 * x])
    deep = DeepLogNMSE().loss(None, iterates, None, x).item()
    assert deep == pytest.approx((20 * torch.tensor([0.5, 0.1]).log10()).mean().item())
    assert LastNMSE().loss(None, iterates, None, x).item() == pytest.approx(0.01)
    assert DeepLogNMSE().loss(None, torch.stack([x, x]), None, x).isfinite()


def test_each_layer_and_kind_has_its_own_rate():
    recipe = u.Recipe(lr=0.1, lr_matrices=0.01, steps=100, grow=0.5)
    net = u.LISTACP(sparse().A, 3)
    groups = parameter_groups(net, recipe)
    assert sorted((g["layer"], g["rate"]) for g in groups) == [
        (k, rate) for k in range(3) for rate in (0.01, 0.1)
    ]
    for step, factor, layers in ((0, 1.0, 1), (50, 0.5, 3), (100, 0.0, 3)):
        assert set_rates(groups, step, 3, recipe) == layers
        for group in groups:
            assert group["lr"] == pytest.approx(factor * group["rate"])
    constant = replace(recipe, decay=False)
    set_rates(groups, 70, 3, constant)
    assert all(group["lr"] == group["rate"] for group in groups)


def test_stages_add_layers_and_slow_the_old_ones_down():
    recipe = u.Recipe("stagewise", lr=1.0, steps=90, age_decay=0.3)
    net = u.ALISTA(sparse().A, 3)
    groups = parameter_groups(net, recipe)
    expected = {  # step: layers run, rate of each layer
        0: (1, [1.0, 0.0, 0.0]),
        10: (1, [0.2, 0.0, 0.0]),
        29: (1, [0.02, 0.0, 0.0]),
        30: (2, [0.0, 1.0, 0.0]),
        40: (2, [0.2 * 0.3, 0.2, 0.0]),
        89: (3, [0.02 * 0.09, 0.02 * 0.3, 0.02]),
    }
    for step, (layers, rates) in expected.items():
        assert set_rates(groups, step, 3, recipe) == layers
        assert [group["lr"] for group in groups] == pytest.approx(rates)


def test_scaling_the_gradient_of_old_layers_does_nothing_under_adam():
    """The published curriculum multiplies gradients by 0.3 ** age: a no-op, to epsilon.

    LISTA-CPSS, ALISTA and Open-L2O do this to slow old layers down. Adam divides by the
    size of the gradient, so only a true rate slows anything.
    """
    problem = sparse()
    ends = {}
    for kind in ("plain", "scaled", "rate"):
        net = u.ALISTA(problem.A, 4)
        ages = [3 - k for k in range(4)]
        adam = torch.optim.Adam(
            [
                {
                    "params": layer.parameters(),
                    "lr": 0.05 * (0.3**age if kind == "rate" else 1.0),
                }
                for layer, age in zip(net.layers, ages, strict=True)
            ],
            eps=1e-300,
        )
        generator = seeded()
        for _ in range(30):
            b, x = problem.sample(32, generator)
            adam.zero_grad()
            DeepLogNMSE().loss(net, net.iterates(b), b, x).backward()
            if kind == "scaled":
                for layer, age in zip(net.layers, ages, strict=True):
                    for parameter in layer.parameters():
                        parameter.grad *= 0.3**age
            adam.step()
        ends[kind] = weights(net)
    torch.testing.assert_close(ends["scaled"], ends["plain"], rtol=0, atol=1e-10)
    assert (ends["rate"] - ends["plain"]).abs().max() > 0.1


@pytest.mark.parametrize(
    ("options", "error", "shown"),
    [
        (dict(objective="mse"), ValueError, "objective is 'mse': expected one of"),
        (dict(steps=0), ValueError, "steps is 0: expected at least 1"),
        (dict(batch=1.5), TypeError, r"batch is 1\.5: expected an int"),
        (dict(every=0), ValueError, "every is 0"),
        (dict(validation=-1), ValueError, "validation is -1"),
        (dict(lr=0.0), ValueError, r"lr is 0\.0: expected a positive number"),
        (dict(lr_matrices=-1.0), ValueError, r"lr_matrices is -1\.0"),
        (dict(age_decay=0.0), ValueError, r"age_decay is 0\.0"),
        (dict(clip=0.0), ValueError, r"clip is 0\.0"),
    ],
)
def test_refuses_bad_recipes(options, error, shown):
    with pytest.raises(error, match=shown):
        u.Recipe(**options)


def test_refuses_a_network_with_nothing_to_learn():
    net = u.Unrolled.from_step(lambda x, b, A: x, {}, 2, A=sparse().A)
    with pytest.raises(ValueError, match="net has no parameters"):
        u.train(net, sparse(), short)


def test_progress_shows_a_bar(capsys):
    u.train(u.ALISTA(sparse().A, 2), sparse(), short, progress=True)
    assert "40/40" in capsys.readouterr().err
