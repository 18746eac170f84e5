"""A march that is interrupted, and one that is written and read again."""

import pytest
import torch

from pinn import FEM, Problem, Vanilla, load, march
from pinn._backend import dde
from tests.pinn.test_march import HEAT, SMALL, oscillator, still


class Impatient(Vanilla):
    """Presses Ctrl-C in the second step of a slab; the seed tells which."""

    def callbacks(self, seed: int) -> list:
        class Interrupt(dde.callbacks.Callback):
            def on_epoch_end(self) -> None:
                if seed == 2 and self.model.train_state.step == 2:
                    raise KeyboardInterrupt

        return [Interrupt()]


IMPATIENT = Impatient(40, num_sides=10, hidden=(10, 10), resample=None)


def test_an_interrupt_ends_the_march_at_the_end_of_a_slab(tmp_path) -> None:
    """It ended one slab, and those after it were started from what had not trained."""
    with pytest.warns(UserWarning, match=r"slab 3 of 4: .* end at time 0.5, not 1"):
        found = march(HEAT, IMPATIENT, 4, iterations=25)
    assert found.interrupted and len(found.history.loss) == 2
    assert found.problem.bounds[1][-1] == 0.5
    whole = march(HEAT, SMALL, 4, iterations=25)
    x = torch.tensor([[0.3, 0.2], [0.3, 0.4], [0.3, 0.7]], dtype=torch.float64)
    a, b = found.predict(x), whole.predict(x)
    assert torch.equal(a[:2], b[:2]) and a[2].isnan() and not b.isnan().any()
    assert found.error() < 0.1 and not whole.interrupted
    assert found.parameters == 2 * whole.parameters // 4
    found.save(tmp_path / "half.pt")
    again = load(tmp_path / "half.pt", HEAT, IMPATIENT)
    assert again.interrupted and again.problem.bounds[1][-1] == 0.5
    assert again.error() == found.error()


def test_an_interrupt_in_the_first_slab_leaves_what_there_is() -> None:
    with pytest.warns(UserWarning, match=r"slab 1 of 4: .* end at time 0.25, not 1"):
        found = march(HEAT, IMPATIENT, 4, iterations=25, seed=2)
    assert found.interrupted and found.problem.bounds[1][-1] == 0.25


def test_an_interrupt_between_trainings_ends_the_march_too(monkeypatch) -> None:
    calls = []

    def slow(self: Vanilla, problem: Problem) -> object:
        calls.append(problem)
        if len(calls) == late:
            raise KeyboardInterrupt
        return data(self, problem)

    data = Vanilla.data
    monkeypatch.setattr(Vanilla, "data", slow)
    late = 2
    with pytest.warns(UserWarning, match="slab 2 of 3"):
        assert march(HEAT, SMALL, 3, iterations=2).interrupted
    calls.clear()
    late = 1
    with pytest.raises(KeyboardInterrupt):
        march(HEAT, SMALL, 3, iterations=2)


def test_a_march_is_read_again(tmp_path) -> None:
    path, line = tmp_path / "march.pt", oscillator(12.5)
    found = march(line, SMALL, [0.0, 2.0, 9.0, 12.5], iterations=3)
    found.save(path)
    again = load(path, oscillator(12.5), SMALL)
    x = torch.linspace(0, 12.5, 40, dtype=torch.float64)[:, None]
    assert torch.equal(again.predict(x), found.predict(x))
    assert again.parameters == found.parameters and again.error() == found.error()
    assert torch.equal(again.history.loss, found.history.loss)
    with pytest.raises(ValueError, match=r"is of a march, .* FEM is given"):
        load(path, line, FEM(8))
    with pytest.raises(ValueError, match=r"is of a march, .* net= is given"):
        load(path, line, SMALL, net=SMALL.net(line, torch.Generator()))
    for end in (10.0, 20.0):
        with pytest.raises(ValueError, match="from time 0 to 12.5, the problem from 0"):
            load(path, oscillator(end), SMALL)
    with pytest.raises(ValueError, match=r"march.pt does not fit this problem and Van"):
        load(path, line, Vanilla(40, hidden=(9,)))
    with pytest.raises(ValueError, match="problem has no time: march expects"):
        load(path, still(dde.geometry.Interval(0, 1)), SMALL)
