"""A run that was broken off goes on as if it had not been."""

import pytest
import torch

from pinn import (
    HPVPINN,
    NTK,
    XPINN,
    CausalWeights,
    HardPINN,
    LevenbergMarquardt,
    Problem,
    SelfAdaptive,
    Solution,
    Vanilla,
    solve,
    zoo,
)
from pinn._backend import dde

HEAT = zoo.heat()


class Weighted(Vanilla):
    """With weights per point and per loss, drawn and learned on the way."""

    def callbacks(self, seed: int) -> list:
        return [*super().callbacks(seed), NTK(4, seed=seed), SelfAdaptive(0.1)]


class Causal(Vanilla):
    def callbacks(self, seed: int) -> list:
        return [*super().callbacks(seed), CausalWeights(period=4)]


class Damped(HPVPINN):
    def optimizer(self, net: torch.nn.Module, data: object) -> LevenbergMarquardt:
        return LevenbergMarquardt(
            net.parameters(), lambda: data.residual_vector(net, self.weights)
        )


METHODS = {
    "points drawn anew": HardPINN(60, resample=5, hidden=(6,)),
    "weights": Weighted(60, num_sides=9, hidden=(6,), resample=None),
    "causal weights": Causal(60, num_sides=9, hidden=(6,), resample=7),
    "XPINN": XPINN([[], [0.5]], 60, 9, num_interface=5, hidden=(6,)),
    "weak form": HPVPINN(2, degree=2, num_sides=9, hidden=(6,)),
    "Levenberg-Marquardt": Damped(2, degree=2, num_sides=9, hidden=(6,)),
}


class _Break(dde.callbacks.Callback):
    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def on_epoch_end(self) -> None:
        if self.model.train_state.step == self.step:
            raise KeyboardInterrupt


def run(method: object, path: object = None) -> Solution:
    return run_of(HEAT, method, path)


def run_of(problem: Problem, method: object, path: object) -> Solution:
    return solve(problem, method, iterations=24, seed=3, checkpoint=path)


def weights(solution: Solution) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in solution.net.parameters()])


@pytest.mark.parametrize("name", METHODS)
def test_a_broken_run_goes_on_exactly(name: str, tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS[name]
    whole = run(method)
    for stop in (6, 17):  # broken twice
        parts = run_broken(method, path, stop)
        assert parts.model.train_state.step == stop
    resumed = run(method, path)
    assert torch.equal(weights(whole), weights(resumed))
    assert torch.equal(whole.history.loss, resumed.history.loss)
    assert torch.equal(whole.history.error, resumed.history.error)
    again = run(method, path)  # nothing is left to do
    assert torch.equal(weights(whole), weights(again))


def run_broken(method: object, path: object, stop: int) -> Solution:
    original = type(method).callbacks

    def callbacks(self: object, seed: int) -> list:
        return [*original(self, seed), _Break(stop)]

    type(method).callbacks = callbacks
    try:
        return run(method, path)
    finally:
        type(method).callbacks = original


def test_a_limit_in_seconds_counts_from_the_start(tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS["points drawn anew"]
    first = solve(HEAT, method, seconds=0.2, checkpoint=path)
    second = solve(HEAT, method, seconds=0.2, checkpoint=path)
    assert torch.equal(weights(first), weights(second))
    third = solve(HEAT, method, seconds=0.4, checkpoint=str(path))
    assert third.seconds >= 0.4
    assert third.history.seconds[0] == 0 and len(third.history.seconds) > len(
        first.history.seconds
    )


def test_a_checkpoint_of_another_run_is_refused(tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS["points drawn anew"]
    solve(HEAT, method, iterations=2, seed=0, checkpoint=path)
    with pytest.raises(ValueError, match="has seed = 0, this run 1: expected the same"):
        solve(HEAT, method, iterations=2, seed=1, checkpoint=path)
    with pytest.raises(ValueError, match="has method = 'HardPINN', this run 'Vanilla'"):
        solve(HEAT, Vanilla(60), iterations=2, seed=0, checkpoint=path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.pt"], "no half-written files"


@pytest.mark.parametrize(
    "problem, method, message",
    [
        (zoo.heat(), HardPINN(61, resample=5, hidden=(6,)), "has options = "),
        (zoo.heat(0.3), METHODS["points drawn anew"], "has residuals = "),
        (
            Problem(HEAT.geometry, HEAT.flux, exact=lambda x: x[:, :1], hard=HEAT.hard),
            METHODS["points drawn anew"],
            "has residuals = ",
        ),
    ],
    ids=["options", "equation", "solution"],
)
def test_a_checkpoint_of_another_problem_or_other_options_is_refused(
    problem: Problem, method: object, message: str, tmp_path
) -> None:
    path = tmp_path / "run.pt"
    run(METHODS["points drawn anew"], path)
    with pytest.raises(ValueError, match=message):
        solve(problem, method, iterations=24, seed=3, checkpoint=path)


def test_conditions_of_a_checkpoint_are_compared(tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS["weak form"]
    run(method, path)
    boundary, start = HEAT.conditions
    warmer = dde.icbc.IC(HEAT.geometry, lambda x: 2 + 0 * x[:, :1], lambda x, on: on)
    for conditions in ([boundary, warmer], [start, boundary]):
        other = Problem(HEAT.geometry, HEAT.flux, None, conditions, HEAT.exact)
        with pytest.raises(ValueError, match="has (residuals|mixed) = "):
            solve(other, method, iterations=24, seed=3, checkpoint=path)


def test_what_is_no_checkpoint_is_refused_in_one_sentence(tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS["points drawn anew"]
    for content in (b"not a checkpoint", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"run.pt cannot be read \(\w+\)"):
            run(method, path)
    torch.save({"net": {}}, path)
    with pytest.raises(ValueError, match="run.pt is of something else"):
        run(method, path)
    with pytest.raises(ValueError, match="expected a file in an existing folder"):
        run(method, tmp_path / "no" / "run.pt")


def test_round_off_makes_no_other_run_and_a_sign_does(tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS["points drawn anew"]
    run(method, path)
    state = torch.load(path, weights_only=True)
    kept = state["run"]["residuals"]
    state["run"]["residuals"] = [kept[0], kept[1] * (1 + 1e-12), kept[2]]
    torch.save(state, path)
    run(method, path)  # as another processor would have written it
    mirrored = Problem(
        HEAT.geometry,
        lambda x, u, p: -HEAT.flux(x, u, p),
        None,
        HEAT.conditions,
        HEAT.exact,
        hard=HEAT.hard,
    )
    with pytest.raises(ValueError, match="has mixed = "):
        run_of(mirrored, method, path)
    state["run"]["residuals"] = [kept[0], kept[1] * 1.01, kept[2]]
    torch.save(state, path)
    with pytest.raises(ValueError, match="has residuals = "):
        run(method, path)


def test_a_solution_to_compare_with_belongs_to_the_run(tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS["weak form"]
    run(method, path)
    for exact in (None, lambda x: 2 * HEAT.exact(x)):
        other = Problem(HEAT.geometry, HEAT.flux, None, HEAT.conditions, exact)
        with pytest.raises(ValueError, match="has residuals = "):
            run_of(other, method, path)
    weighted = HPVPINN(2, degree=2, num_sides=9, hidden=(6,), weights=[1, 1, 1])
    with pytest.raises(ValueError, match="has options = "):  # the same numbers
        run(weighted, path)


def test_half_a_file_and_a_list_are_refused_in_one_sentence(tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS["points drawn anew"]
    run(method, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="run.pt cannot be read"):
        run(method, path)
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match="run.pt is of something else"):
        run(method, path)


@pytest.mark.parametrize("part", ["generators", "point_weights", "arrays", "random"])
def test_a_file_of_another_version_is_refused_before_it_is_used(part, tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS["points drawn anew"]
    run(method, path)
    state = torch.load(path, weights_only=True)
    del state[part]
    torch.save(state, path)
    with pytest.raises(ValueError, match=rf"run.pt lacks {part}, as one of another"):
        run(method, path)


def test_last_digits_of_any_kept_figure_make_no_other_run(tmp_path) -> None:
    path, method = tmp_path / "run.pt", METHODS["weak form"]
    first = run(method, path)
    state = torch.load(path, weights_only=True)
    count, norm, exact = state["run"]["residuals"]
    state["run"] |= {
        "residuals": [count, norm * (1 - 1e-11), exact * (1 + 1e-11)],
        "mixed": [state["run"]["mixed"][0] + 1e-11],
    }
    torch.save(state, path)
    x = HEAT.probes()[0]
    assert torch.equal(run(method, path).predict(x), first.predict(x))
    state["run"]["mixed"] = [state["run"]["mixed"][0] + 1e-3]
    torch.save(state, path)
    with pytest.raises(ValueError, match="has mixed = "):
        run(method, path)
