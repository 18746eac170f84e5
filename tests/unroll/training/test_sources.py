"""Samples of one's own: tensors, data sets, loaders."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import unroll as u
from unroll.training.sources import source_of

short = u.Recipe(steps=30, batch=16, every=10, validation=64)


def sparse(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return u.SparseCoding.gaussian(20, 40, generator, density=0.1)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def rows(batch):
    return {tuple(row.tolist()) for row in batch[0]}


def test_a_fifth_of_the_tensors_is_held_out_and_never_trained_on():
    b, x = sparse().sample(50, seeded())
    source = source_of((b, x))
    held = source.hold_out(1000, seeded())
    assert len(held[0]) == 10 and len(rows(held) & rows((b, x))) == 10
    seen = set()
    generator = seeded(5)
    for _ in range(40):
        batch = source.batch(16, generator)
        assert len(rows(batch)) == 16, "no sample twice in a batch"
        torch.testing.assert_close(
            batch[0], batch[1] @ sparse().A.T, rtol=0, atol=0.2
        )  # b and x stay together
        seen |= rows(batch)
    assert not seen & rows(held) and len(seen) == 40
    assert len(source.batch(1000, generator)[0]) == 40


def test_every_kind_of_container_trains_alike():
    problem = sparse()
    b, x = problem.sample(300, seeded())
    ends = []
    for data in ((b, x), [b, x], TensorDataset(b, x)):
        history = u.train(u.ALISTA(problem.A, 3), data, short, generator=seeded())
        assert history.samples == 30 * 16 and history.best_db < -4
        ends.append(history.loss)
    assert torch.equal(ends[0], ends[1]) and torch.equal(ends[0], ends[2])


def test_a_loader_goes_round_in_its_own_batches():
    problem = sparse()
    b, x = problem.sample(70, seeded())
    loader = DataLoader(TensorDataset(b, x), batch_size=32, shuffle=False)
    source = source_of(loader)
    sizes = [len(source.batch(99, seeded())[0]) for _ in range(6)]
    assert sizes == [32, 32, 6, 32, 32, 6]
    fresh = problem.sample(100, seeded(2))
    history = u.train(u.ALISTA(problem.A, 3), loader, short, validation=fresh)
    assert history.samples == 30 / 3 * 70 and history.best_db < -4


def test_ones_own_validation_set_is_what_is_measured():
    problem = sparse()
    own = problem.sample(77, seeded(5))
    net = u.ALISTA(problem.A, 3)
    history = u.train(net, problem, short, validation=own, generator=seeded())
    assert u.nmse_db(net(own[0]), own[1]).item() == pytest.approx(history.best_db)
    again = u.ALISTA(problem.A, 3)
    u.train(again, own, short, validation=own, generator=seeded())  # says: trained on
    assert not torch.equal(net(own[0]), again(own[0]))


def test_resumes_on_tensors_bit_for_bit(tmp_path):
    problem = sparse()
    data = problem.sample(100, seeded())
    whole = u.ALISTA(problem.A, 3)
    expected = u.train(whole, data, short, generator=seeded())

    class Stops(u.ALISTA):
        left = 17

        def iterates(self, b, depth=None):
            if len(b) == 16:
                Stops.left -= 1
            if Stops.left < 0:
                raise KeyboardInterrupt
            return super().iterates(b, depth)

    path = tmp_path / "run.pt"
    Stops.__name__ = "ALISTA"  # the same network to a checkpoint
    first = Stops(problem.A, 3)
    assert not u.train(first, data, short, generator=seeded(), checkpoint=path).finished
    net = u.ALISTA(problem.A, 3)
    history = u.train(net, data, short, generator=seeded(9), checkpoint=path)
    assert torch.equal(history.loss, expected.loss)
    assert torch.equal(history.validation_db, expected.validation_db)


@pytest.mark.parametrize(
    ("data", "error", "shown"),
    [
        ("abc", TypeError, "problem is of type str: expected an object with sample"),
        ((1, 2), TypeError, r"problem is a tuple of \['int', 'int'\]: expected tens"),
        ((torch.ones(3, 20),) * 3, TypeError, r"problem is a tuple of \['Tensor', 'T"),
        ((torch.ones(3, 20), torch.ones(4, 40)), ValueError, "3 measurements and 4 co"),
        ((torch.ones(9, 21), torch.ones(9, 40)), ValueError, "b has 21 columns but A"),
        ((torch.ones(9, 20), torch.ones(9, 41)), ValueError, "x has 41 columns but A"),
        ((torch.ones(1, 20), torch.ones(1, 40)), ValueError, "problem has 1 samples"),
        ((torch.ones(9, 20).float(), torch.ones(9, 40)), TypeError, "b has dtype torc"),
        (
            torch.ones(9, 20),
            ValueError,
            "no true codes in the samples to validate with",
        ),
    ],
)
def test_refuses_data_by_name(data, error, shown):
    if isinstance(data, tuple) and isinstance(data[0], torch.Tensor):
        single = [part.dtype for part in data] if "dtype" in shown else None
        data = data if single else tuple(part.double() for part in data)
        if single:
            data = (data[0], data[1].double())
    elif isinstance(data, torch.Tensor):
        data = data.double()
    with pytest.raises(error, match=shown):
        u.train(u.ALISTA(sparse().A, 2), data, short)


def test_refuses_what_a_loader_cannot_do(tmp_path):
    b, x = sparse().sample(30, seeded())
    loader = DataLoader(TensorDataset(b, x), batch_size=8)
    net = u.ALISTA(sparse().A, 2)
    whole = DataLoader(TensorDataset(b, x), batch_size=30)
    with pytest.raises(ValueError, match=r"held out .*, or validation=\(b, x\)"):
        u.train(net, whole, short)
    with pytest.raises(ValueError, match="checkpoint cannot be kept with a DataLoader"):
        u.train(net, loader, short, validation=(b, x), checkpoint=tmp_path / "a.pt")
    empty = DataLoader(TensorDataset(b[:0], x[:0]), batch_size=8)
    with pytest.raises(ValueError, match="DataLoader without samples"):
        u.train(net, empty, short, validation=(b, x))
    odd = DataLoader([{"b": row} for row in b], batch_size=8)
    with pytest.raises(TypeError, match="a batch of the DataLoader is a dict"):
        u.train(net, odd, short, validation=(b, x))
