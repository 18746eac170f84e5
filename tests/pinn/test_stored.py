"""A solution is written to a file and read again, or refused by name."""

import pytest
import torch

from pinn import (
    CPINN,
    FEM,
    HPVPINN,
    FourierFeatures,
    HardConstraint,
    HardPINN,
    JetFNN,
    Problem,
    Vanilla,
    load,
    solve,
    zoo,
)

HEAT = zoo.heat()
METHODS = {
    "vanilla": Vanilla(30, 8, hidden=(5,)),
    "hard": HardPINN(30, hidden=(5, 4)),
    "cPINN": CPINN([[0.4]], 30, 8, num_interface=5, hidden=(4,)),
    "hp-VPINN": HPVPINN(2, 2, num_sides=8, hidden=(5,)),
    "FEM": FEM(6),
}
X = torch.rand(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", METHODS)
def test_what_is_read_is_what_was_written(name: str, tmp_path) -> None:
    found = solve(HEAT, METHODS[name], iterations=2, seed=5)
    found.save(tmp_path / "heat.pt")
    again = load(tmp_path / "heat.pt", zoo.heat(), METHODS[name])
    assert torch.equal(again.predict(X), found.predict(X))
    assert again.error() == found.error() and again.parameters == found.parameters
    assert again.seconds == found.seconds and again.model is None
    for part in ("seconds", "loss", "error"):
        a, b = getattr(again.history, part), getattr(found.history, part)
        assert torch.equal(a, b)
    assert again.mass_defect() == found.mass_defect()
    assert again.flux_jump() == found.flux_jump()


def own(seed: int = 0) -> JetFNN:
    generator = torch.Generator().manual_seed(seed)
    net = JetFNN([8, 5, 1], generator=generator)
    net.apply_feature_transform(FourierFeatures(2, 4, generator=generator))
    return net


def test_a_network_of_ones_own_is_given_again(tmp_path) -> None:
    path, method = tmp_path / "own.pt", METHODS["vanilla"]
    found = solve(HEAT, method, net=own(), iterations=1)
    found.save(path)
    again = load(path, HEAT, method, net=own())
    assert torch.equal(again.predict(X), found.predict(X))
    with pytest.raises(ValueError, match=r"own.pt does not fit .*expected the method"):
        load(path, HEAT, method)
    with pytest.raises(ValueError, match="expected the same domain, hard constraint"):
        load(path, HEAT, method, net=own(seed=1))  # other frequencies


def test_another_problem_or_method_is_refused(tmp_path) -> None:
    path = tmp_path / "hard.pt"
    solve(HEAT, METHODS["hard"], iterations=1).save(path)
    lifted = HardConstraint(
        lambda x: HEAT.exact(x) * (1 + x[:, 1:]),
        lambda x: x[:, :1] * (1 - x[:, :1]) * x[:, 1:],
    )
    other = Problem(HEAT.geometry, HEAT.flux, None, HEAT.conditions, hard=lifted)
    with pytest.raises(ValueError, match=r"hard.pt gives .* where it gave"):
        load(path, other, METHODS["hard"])
    with pytest.raises(ValueError, match=r"does not fit this problem and HardPINN"):
        load(path, HEAT, HardPINN(30, hidden=(6, 4)))
    mesh = tmp_path / "fem.pt"
    solve(HEAT, FEM(6)).save(mesh)
    with pytest.raises(ValueError, match=r"169} for 81 unknowns"):
        load(mesh, HEAT, FEM(4))
    with pytest.raises(ValueError, match=r"fem.pt gives .* where it gave"):
        load(mesh, HEAT, FEM([[0, 0.1, 0.3, 0.5, 0.7, 0.9, 1], 6]))


def test_what_is_no_solution_is_refused_in_one_sentence(tmp_path) -> None:
    path, method = tmp_path / "x.pt", METHODS["vanilla"]
    with pytest.raises(ValueError, match="solution .*none.pt cannot be read"):
        load(tmp_path / "none.pt", HEAT, method)
    path.write_bytes(b"not a solution")
    with pytest.raises(ValueError, match="solution .*x.pt cannot be read"):
        load(path, HEAT, method)
    solve(HEAT, method, iterations=1, checkpoint=path.with_name("run.pt"))
    with pytest.raises(ValueError, match="run.pt is of something else.*Solution.save"):
        load(path.with_name("run.pt"), HEAT, method)
    solve(HEAT, method, iterations=1).save(path)
    state = torch.load(path, weights_only=True)
    del state["history"]
    torch.save(state, path)
    with pytest.raises(ValueError, match="x.pt lacks history"):
        load(path, HEAT, method)
    with pytest.raises(ValueError, match="expected a file in an existing folder"):
        solve(HEAT, method, iterations=1).save(tmp_path / "no" / "x.pt")
    with pytest.raises(TypeError, match="problem is of type Vanilla"):
        load(path, method, HEAT)
