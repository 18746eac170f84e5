"""Trainings that go wrong are told apart, and none of them is silent."""

import math

import pytest
import torch

import unroll as u
from unroll.training.history import remarks_on
from unroll.training.recipe import go_back, parameter_groups
from unroll.training.troubles import in_validation

short = u.Recipe(steps=40, batch=32, every=10, validation=64)


def sparse(seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    options = {"density": 0.1} | options
    return u.SparseCoding.gaussian(20, 40, generator, **options)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


class Scaled:
    """The problem with codes and measurements in another unit."""

    def __init__(self, problem, scale):
        self.problem, self.scale = problem, scale

    def sample(self, batch, generator=None):
        b, x = self.problem.sample(batch, generator)
        return self.scale * b, self.scale * x


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


# Dead from the start


@pytest.mark.parametrize("make", [u.LISTA, u.LISTACP, u.ALISTA, u.NAALISTA, u.GLISTA])
def test_a_lam_above_the_data_is_refused_at_step_0(make):
    problem = sparse()
    net = make(problem.A, 4, lam=100.0)
    before = weights(net)
    shown = r"all codes are 0 at step 0 .*at most \d.*expected lam well below .*now 100"
    with pytest.raises(ValueError, match=shown):
        u.train(net, problem, short, generator=seeded())
    assert torch.equal(weights(net), before)


@pytest.mark.parametrize("make", [u.LISTA, u.ALISTA, u.TiLISTA])
def test_codes_too_small_for_lam_are_refused_and_a_smaller_lam_learns(make):
    problem, tiny = sparse(), Scaled(sparse(), 1e-3)
    with pytest.raises(ValueError, match=r"well below 0\.00\d+ \(now 0\.1\)"):
        u.train(make(problem.A, 4), tiny, short, generator=seeded())
    history = u.train(make(problem.A, 4, lam=1e-4), tiny, short, generator=seeded())
    usual = u.train(make(problem.A, 4, lam=0.1), problem, short, generator=seeded())
    assert history.best_db < -2
    assert history.validation_db[0, -1].item() == pytest.approx(
        usual.validation_db[0, -1].item(), abs=0.05
    )


@pytest.mark.parametrize("scale", [0.01, 100.0])
@pytest.mark.parametrize(
    "make",
    [u.LISTA, u.LISTACP, u.LISTACPSS, u.GLISTA, u.TiLISTA, u.StepLISTA, u.ALISTA],
)
def test_the_default_lam_follows_the_scale_of_the_atoms(make, scale):
    A = sparse().A
    b = sparse().sample(9, seeded())[0]
    net, scaled = make(A, 4), make(scale * A, 4)
    torch.testing.assert_close(scaled(scale * b), net(b), rtol=0, atol=1e-9)
    assert net(b).any() and net.lam == 0.1


def test_a_death_on_the_way_ends_the_training_and_is_said():
    """A step that throws the threshold above every entry: nothing is learned after."""
    problem = sparse()
    net = u.ALISTA(problem.A, 3, keep=0)
    options = {"lr": 60.0, "decay": False, "rollback": False}
    recipe = u.Recipe("last", steps=200, batch=32, every=50, **options)
    with pytest.warns(UserWarning, match="every code is 0 and no gradient is left"):
        history = u.train(net, problem, recipe, generator=seeded())
    assert not history.finished and len(history.loss) < 200
    assert "training died" in history.remarks[-1]


# Codes of zeros, NaN in the data, overflow: three different messages


def test_a_batch_of_zero_codes_is_named():
    problem = sparse(density=0.001)
    one = u.Recipe(steps=20, batch=1, validation=4000)
    with pytest.raises(ValueError, match=r"every code of the batch of step \d+ is 0"):
        u.train(u.ALISTA(problem.A, 3), problem, one, generator=seeded())
    few = u.Recipe(steps=20, validation=1)
    with pytest.raises(ValueError, match="every code of the samples to validate with"):
        u.train(u.ALISTA(problem.A, 3), problem, few, generator=seeded())


@pytest.mark.parametrize(("name", "part"), [("b", 0), ("x", 1)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_entry_of_ones_own_data_is_named(name, part, value):
    problem = sparse()
    data = [tensor.clone() for tensor in problem.sample(100, seeded())]
    data[part][:, 3] = value
    shown = rf"{name}\[0, 3\] is {value}: expected finite entries, in the samples to"
    with pytest.raises(ValueError, match=shown):
        u.train(u.ALISTA(problem.A, 3), tuple(data), short, generator=seeded())
    good = problem.sample(20, seeded(2))
    shown = rf"{name}\[0, 3\] is {value}: .* in the batch of step 0"
    with pytest.raises(ValueError, match=shown):
        u.train(
            u.ALISTA(problem.A, 3),
            tuple(data),
            short,
            validation=good,
            generator=seeded(),
        )


def test_an_overflow_later_on_asks_for_smaller_steps():
    problem = sparse()

    def power(x, b, A, *, scale):
        return b @ A * scale.abs() ** 900

    net = u.Unrolled.from_step(power, {"scale": 1.0}, 1, A=problem.A)
    recipe = u.Recipe("last", steps=9, lr=5.0, decay=False)
    shown = r"is (nan|inf) at step 1: .*try clip=1, a smaller lr"
    with pytest.raises(FloatingPointError, match=shown):
        u.train(net, problem, recipe, generator=seeded())


# What the best error does not say


def test_a_training_that_helps_nowhere_says_so():
    problem = sparse()
    options = {"lr": 5.0, "grow": 0, "decay": False, "rollback": False}
    wild = u.Recipe(steps=30, batch=32, every=10, **options)
    with pytest.warns(UserWarning, match="no step was better than the start"):
        history = u.train(u.TISTA(problem.A, 4), problem, wild, generator=seeded())
    assert history.best_step == 0 and history.remarks[0].startswith("no step was")


@pytest.mark.parametrize(
    ("measured", "best_step", "shown"),
    [
        ([0.0, -10.0, -20.0], 20, ()),
        ([0.0, -30.0, -28.0], 10, ()),
        ([0.0, -30.0, -1.0], 10, ("ended at -1 dB, far above its best, -30 dB at st",)),
        ([0.0, -30.0, math.nan], 10, ("ended at nan dB",)),
        ([-5.0, -1.0, -4.0], 0, ("no step was better than the start, -5 dB",)),
        ([-5.0], 0, ()),
    ],
)
def test_remarks(measured, best_step, shown):
    remarks = remarks_on(measured, best_step, "dB")
    assert len(remarks) == len(shown)
    assert all(part in remark for part, remark in zip(shown, remarks, strict=True))


def test_a_good_training_has_nothing_to_remark(recwarn):
    problem = sparse()
    history = u.train(u.ALISTA(problem.A, 4), problem, short, generator=seeded())
    assert history.remarks == () and not recwarn


def test_validation_samples_that_are_trained_on_are_said():
    """64 pairs behind one's own sample(): 23 dB on them, 1.5 on fresh ones."""
    problem = sparse()
    b, x = problem.sample(64, seeded(7))

    class Own:
        def sample(self, batch, generator=None):
            rows = torch.randint(64, (batch,), generator=generator)
            return b[rows], x[rows]

    with pytest.warns(UserWarning, match="training samples are in the validation set"):
        history = u.train(u.LISTACP(problem.A, 3), Own(), short, generator=seeded())
    assert "expected validation=" in history.remarks[-1]


def test_equal_rows_are_counted_and_zero_rows_are_not():
    held = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, -3.0], [2.0, 1.0]])
    b = torch.tensor([[2.0, 1.0], [0.0, 0.0], [1.0, 2.0], [4.0, -4.0], [1.0, 2.0]])
    assert in_validation(b, held) == 3
    assert in_validation(b, held + 0.5) == 0


# Going astray


@pytest.mark.parametrize("rollback", [True, False])
def test_a_training_that_goes_astray_goes_back(rollback):
    problem = sparse()
    recipe = u.Recipe(
        steps=120, batch=32, every=10, lr=1.5, decay=False, rollback=rollback
    )
    net = u.ALISTA(problem.A, 6)
    with pytest.warns(UserWarning, match="astray" if rollback else "far above|no step"):
        history = u.train(net, problem, recipe, generator=seeded())
    last = history.validation_db[:, -1]
    if rollback:
        assert history.best_db < history.validation_db[0, -1] - 3
        assert "went astray" in history.remarks[-1]
    b, x = problem.sample(1000, seeded(9))
    assert abs(u.nmse_db(net(b), x).item() - last.min().item()) < 3


def test_a_rollback_halves_the_rates_and_forgets_the_momentum():
    net = u.LISTACP(sparse().A, 2)
    groups = parameter_groups(net, u.Recipe(lr=0.4, lr_matrices=0.2))
    adam = torch.optim.Adam(groups)
    best = {name: part.clone() for name, part in net.state_dict().items()}
    net(torch.ones(1, 20)).sum().backward()
    adam.step()
    assert adam.state
    go_back(net, best, adam)
    assert not adam.state and {g["rate"] for g in adam.param_groups} == {0.2, 0.1}
    assert all(torch.equal(p, best[name]) for name, p in net.named_parameters())


def test_resumes_through_a_rollback_bit_for_bit(tmp_path):
    problem = sparse()
    recipe = u.Recipe(steps=90, batch=32, every=10, lr=1.5, decay=False)
    whole = u.ALISTA(problem.A, 6)
    with pytest.warns(UserWarning, match="astray"):
        expected = u.train(whole, problem, recipe, generator=seeded())

    class Interrupted:
        calls = 0

        def sample(self, batch, generator=None):
            self.calls += 1
            if self.calls > 63:
                raise KeyboardInterrupt
            return problem.sample(batch, generator)

    path, source = tmp_path / "run.pt", Interrupted()
    with pytest.warns(UserWarning):
        u.train(
            u.ALISTA(problem.A, 6), source, recipe, generator=seeded(), checkpoint=path
        )
    net = u.ALISTA(problem.A, 6)
    with pytest.warns(UserWarning, match="astray"):
        history = u.train(net, problem, recipe, generator=seeded(5), checkpoint=path)
    assert torch.equal(history.loss, expected.loss)
    assert torch.equal(weights(net), weights(whole))


def test_refuses_to_train_where_gradients_are_off():
    problem = sparse()
    for off in (torch.no_grad, torch.inference_mode):
        text = "gradients are off here, by torch.no_grad or torch.inference_mode"
        with off(), pytest.raises(RuntimeError, match=text):
            u.train(u.ALISTA(problem.A, 3), problem, short)


@pytest.mark.parametrize("method", [u.ALISTA, u.LISTACP, u.NAALISTA])
def test_refuses_a_network_made_under_inference_mode(method):
    problem = sparse()
    with torch.inference_mode():
        net = method(problem.A, 3)
    with pytest.raises(ValueError, match="of net was made under torch.inference_mode"):
        u.train(net, problem, short)
