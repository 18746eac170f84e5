"""What every method and every objective promises, tried on all of them."""

import pytest
import torch

from modular import DGL, audit
from modular.objectives import Objective
from modular.partition import Head
from modular.training import Method
from tests.modular.cases import METHODS, OBJECTIVES
from tests.modular.nets import batch, distance, trainer, weights

methods = pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
objectives = pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)


@methods
def test_isolation_is_measured_as_declared(method: Method) -> None:
    found = audit.isolation(trainer(method), batch())
    assert found.holds, found.leaks
    assert torch.equal(found.reaches, method.mask(4))
    assert torch.equal(found.takes, method.takes(4))


@methods
def test_messages_are_counted_as_declared(method: Method) -> None:
    one = trainer(method)
    for phase in range(method.phases(4)):
        one.step(batch(), phase=phase)
    sent = [one.transport.sent["credit", k] for k in range(3)]
    assert sent == method.messages(4).tolist()


@methods
def test_training_lowers_the_loss_of_the_network(method: Method) -> None:
    one, data = trainer(method), batch()
    history = one.fit([data], epochs=40)
    mine = history.loss[:, -1]
    mine = mine[~mine.isnan()]
    assert mine[-1] < 0.7 * mine[0]
    assert len(history) == 40 * method.phases(4)


@methods
def test_the_same_seed_gives_the_same_weights(method: Method) -> None:
    runs = [trainer(method) for _ in range(2)]
    for run in runs:
        run.fit([batch(seed=s) for s in range(3)], epochs=2)
    assert distance(*map(weights, runs)) == 0


@methods
def test_measuring_does_not_train(method: Method) -> None:
    one, other = trainer(method, norm=True), trainer(method, norm=True)
    one.step(batch())
    other.step(batch())
    audit.isolation(one, batch(seed=1))
    audit.memory(one, batch(seed=1))
    before, after = other.partition.state_dict(), one.partition.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    one.step(batch(seed=2))
    other.step(batch(seed=2))
    assert distance(weights(one), weights(other)) == 0


@methods
def test_resuming_is_as_if_it_had_never_stopped(method: Method, tmp_path) -> None:
    def data(seed: int) -> torch.utils.data.DataLoader:
        pairs = torch.utils.data.TensorDataset(*batch(rows=20))
        order = torch.Generator().manual_seed(seed)
        return torch.utils.data.DataLoader(pairs, 5, shuffle=True, generator=order)

    unbroken, stopped, resumed = (trainer(method, norm=True) for _ in range(3))
    path = tmp_path / "run.pt"
    unbroken.fit(data(0), epochs=4)
    plan = method.plan(4, 4)
    stopped.follow(plan[:-1], data(0), None, checkpoint=path)
    history = resumed.fit(data(99), epochs=4, checkpoint=path)
    assert distance(weights(unbroken), weights(resumed)) == 0
    assert history.loss.equal(unbroken.history.loss) or torch.allclose(
        history.loss, unbroken.history.loss, rtol=0, atol=0, equal_nan=True
    )
    assert len(history) == len(plan)


@objectives
def test_an_objective_is_a_differentiable_scalar(objective: Objective) -> None:
    rows, classes = 4, 3
    generator = torch.Generator().manual_seed(1)
    h_in = torch.randn(rows * objective.rows, 5, generator=generator)
    h_out = torch.randn(rows * objective.rows, 4, generator=generator)
    target = torch.tensor([0, 1, 2, 0])
    head = Head(torch.nn.Linear(4, classes), classes)
    hidden = objective.at(0, 3)
    hidden.attach(head, h_in[:1], h_out[:1])
    names = set(head.parts)
    hidden.attach(head, h_in[:1], h_out[:1])
    assert set(head.parts) == names, "attach twice adds nothing"
    h_out.requires_grad_()
    assert hidden(h_in, h_out, head, target).shape == ()
    check = torch.autograd.gradcheck(lambda h: hidden(h_in, h, head, target), h_out)
    assert check


@objectives
def test_an_objective_trains_locally(objective: Objective) -> None:
    method, data = DGL(objective), batch(rows=30)
    one = trainer(method, inputs=5)
    history = one.fit([data], epochs=60)
    assert (history.loss[-1] < history.loss[0]).all()
    found = audit.isolation(one, data)
    assert found.holds, found.leaks


@pytest.mark.parametrize(
    "objective",
    [o for o in OBJECTIVES if o.rows == 1],  # the others pair samples by position
    ids=repr,
)
def test_an_objective_ignores_the_order_of_the_batch(objective: Objective) -> None:
    generator = torch.Generator().manual_seed(1)
    h_in, h_out = (torch.randn(6, 4, generator=generator) for _ in range(2))
    target, order = torch.arange(6) % 3, torch.randperm(6, generator=generator)
    head = Head(torch.nn.Linear(4, 3), 3)
    hidden = objective.at(0, 3)
    hidden.attach(head, h_in[:1], h_out[:1])
    loss = hidden(h_in, h_out, head, target)
    other = hidden(h_in[order], h_out[order], head, target[order])
    torch.testing.assert_close(loss, other, rtol=1e-9, atol=1e-12)
