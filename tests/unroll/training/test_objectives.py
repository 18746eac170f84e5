import pytest
import torch

import unroll as u
from unroll.training import DeepLogNMSE, LastNMSE, Stagewise
from unroll.training.objectives import named


def sparse(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return u.SparseCoding.gaussian(20, 40, generator, density=0.1)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def test_the_cost_is_that_of_the_lasso(generator):
    A, (b, _) = sparse().A, sparse().sample(6, generator)
    x = torch.randn(4, 6, 40, generator=generator)
    objective = u.LassoCost(lam=0.3)
    F = torch.tensor(
        [
            [
                0.5 * (b[i] - A @ x[k, i]).norm() ** 2 + 0.3 * x[k, i].abs().sum()
                for i in range(6)
            ]
            for k in range(4)
        ]
    ).mean(dim=1)
    net = u.LISTA(A, 3)
    torch.testing.assert_close(
        objective.measure(net, x, b, None), F, rtol=1e-12, atol=0
    )
    loss = objective.loss(net, x, b, None)
    torch.testing.assert_close(loss, F[1:].mean(), rtol=1e-12, atol=0)


def test_without_codes_it_learns_to_solve_the_lasso_faster_than_ista():
    """The certificate: the cost of a fixed depth, next to ISTA's and to the minimum."""
    problem, lam = sparse(), 0.1
    b = problem.sample(3000, seeded())[0]
    fresh = problem.sample(500, seeded(2))[0]

    def above_minimum(x):
        F = 0.5 * (fresh - x @ problem.A.T).square().sum(1) + lam * x.abs().sum(1)
        return (F - best).mean().item()

    best = u.fista(problem.A, fresh, lam, tol=1e-8, restart=True).objective[-1]
    net = u.LISTACP(problem.A, 6, lam=lam)
    recipe = u.Recipe("lasso", steps=250, lr=0.02, every=25, validation=500)
    history = u.train(net, b, recipe, generator=seeded())
    with torch.no_grad():
        learned = above_minimum(net(fresh))
    ista = above_minimum(u.ista(problem.A, fresh, lam, iterations=6).x)
    assert 0 < learned < 0.5 * ista
    assert history.validation_db.isnan().all() and history.best_db != history.best_db
    last = history.validation[:, -1]
    assert history.best_step == history.checked[last.argmin()]


def test_the_weight_is_that_of_the_network_unless_said():
    problem = sparse()
    b, _ = problem.sample(5, seeded())
    net = u.StepLISTA(problem.A, 2, lam=0.4)
    iterates = net.iterates(b)
    own = u.LassoCost().measure(net, iterates, b, None)
    assert torch.equal(own, u.LassoCost(0.4).measure(net, iterates, b, None))
    assert not torch.equal(own, u.LassoCost(0.2).measure(net, iterates, b, None))
    with pytest.raises(
        ValueError, match=r"net is a LAMP, which has no lam: .*LassoCost"
    ):
        u.train(u.LAMP(problem.A, 2), b, u.Recipe("lasso", steps=2))
    with pytest.raises(ValueError, match=r"lam is 0: expected a positive number"):
        u.LassoCost(0)


def test_with_codes_the_error_is_told_too():
    problem = sparse()
    recipe = u.Recipe(u.LassoCost(0.1), steps=20, batch=32, validation=64)
    history = u.train(u.LISTACP(problem.A, 3), problem, recipe, generator=seeded())
    assert (history.validation_db[:, 0] == 0).all()
    assert history.validation_db[-1, -1] < -1
    assert not torch.equal(history.validation, history.validation_db)


def test_names_are_objects():
    assert named("deep-log-nmse") == DeepLogNMSE() and named("last") == LastNMSE()
    assert named("stagewise") == Stagewise() and named("lasso") == u.LassoCost()
    assert named(u.LassoCost(0.3)) is not None
    with pytest.raises(TypeError, match=r"without loss\(\): expected an object"):
        u.Recipe(objective=3)


def test_an_objective_of_ones_own():
    """The median layer, say: any object with loss and measure will do."""

    class Middle:
        needs_codes, staged = True, False

        def loss(self, net, iterates, b, x):
            return (iterates[len(iterates) // 2] - x).square().mean()

        def measure(self, net, iterates, b, x):
            return (iterates - x).square().mean(dim=(1, 2))

    problem = sparse()
    net = u.ALISTA(problem.A, 4)
    last = [p.clone() for p in net.layers[3].parameters()]
    recipe = u.Recipe(Middle(), steps=10, batch=16, validation=64, grow=0.0)
    history = u.train(net, problem, recipe, generator=seeded())
    assert history.validation[-1, 2] < history.validation[0, 2]
    kept = zip(net.layers[3].parameters(), last, strict=True)
    assert all(torch.equal(now, before) for now, before in kept)


def test_history_draws_itself():
    import matplotlib.pyplot as plt

    problem = sparse()
    recipe = u.Recipe(steps=20, every=5, batch=16, validation=64)
    history = u.train(u.ALISTA(problem.A, 3), problem, recipe, generator=seeded())
    _, ax = plt.subplots()
    assert history.plot(ax=ax) is ax and ax.get_ylabel() == "NMSE (ratio, dB)"
    steps, drawn = ax.lines[0].get_data()
    assert steps.tolist() == [0, 5, 10, 15, 20]
    assert drawn.tolist() == history.validation_db[:, -1].tolist()
    assert ax.lines[1].get_xdata()[0] == history.best_step
    b = problem.sample(64, seeded())[0]
    recipe = u.Recipe("lasso", steps=5, batch=16)
    costs = u.train(u.ALISTA(problem.A, 3), b, recipe, generator=seeded())
    plt.close("all")
    drawn = costs.plot().lines[0].get_ydata()
    assert drawn.tolist() == costs.validation[:, -1].tolist()
    plt.close("all")
    with pytest.raises(
        ValueError, match=r"measured has shape \(2,\) but checked \(3,\)"
    ):
        import unroll.plot

        unroll.plot.training_history(torch.ones(3), torch.ones(2), 0)
