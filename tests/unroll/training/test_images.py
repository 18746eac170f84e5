"""Training on operators and images, as a student does: photographs of one's own."""

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import unroll as u
from unroll.images import ADMMNet, ISTANet, LearnedPrimalDual, MoDL, SymmetryLoss
from unroll.operators import Blur, FourierSample, Mask, Operator
from unroll.penalties import TV
from unroll.problems import (
    CompressedSensing,
    Deblurring,
    Ellipses,
    Inpainting,
    Tomography,
)
from unroll.training import DeepLogNMSE, LassoCost, LastNMSE, Recipe
from unroll.training.objectives import as_rows
from unroll.training.sources import rows_in, source_of

SIZE = (9, 7)  # odd, and not square
short = Recipe(steps=20, batch=8, every=5, validation=12)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


def photographs(count=40, channels=3):
    """Images as a student has them: smooth, in 0 to 1, with colours."""
    small = torch.rand(count, channels, 3, 3, generator=seeded())
    return torch.nn.functional.interpolate(small, SIZE, mode="bilinear")


def blur():
    return Blur.gaussian(1.0, SIZE, radius=2)


def net_on(A, kind=ISTANet):
    return kind(A, 3, channels=4, generator=seeded())


class Folder(Dataset):
    """Blurred photographs on the disk, one after the other."""

    def __init__(self, images):
        self.b = blur()(images)

    def __len__(self):
        return len(self.b)

    def __getitem__(self, i):
        return self.b[i]


# Without truth


def test_blurred_photographs_of_ones_own_by_the_lasso():
    images = photographs()
    loader = DataLoader(Folder(images), batch_size=8, shuffle=True, generator=seeded())
    net = net_on(blur())
    history = u.train(net, loader, short, objective="lasso", generator=seeded())
    assert history.finished and history.validation_db.isnan().all()
    costs = history.validation[:, -1]
    assert history.best_step > 0 and costs.min() < costs[0]
    assert history.samples < 20 * 8, "what is held out is not trained on"


def test_the_lassos_cost_is_that_of_the_solvers():
    b, net = blur()(photographs(5)), net_on(blur())
    x = net.iterates(b)
    for penalty in (None, TV()):
        lasso = LassoCost(0.3, penalty)
        found = lasso.measure(net, x, b, None)
        again = [
            u.ista(net.A, b, 0.3, penalty=penalty, x0=image.detach(), iterations=0)
            for image in x
        ]
        expected = torch.stack([result.objective[0].mean() for result in again])
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
        expected = found[1:].mean()
        assert torch.equal(lasso.loss(net, x, b, None), expected)


def test_the_lassos_cost_of_complex_measurements():
    A = FourierSample.random(SIZE, 0.5, seeded())
    b, net = A(photographs(5)), net_on(A)
    x = net.iterates(b)
    r = (b - A(x)).abs().square().flatten(2).sum(2)
    expected = 0.5 * r + 0.01 * x.abs().flatten(2).sum(2)
    found = LassoCost().measure(net, x, b, None)
    torch.testing.assert_close(found, expected.mean(1), rtol=1e-12, atol=0)


def test_of_a_matrix_another_penalty_is_weighed_too():
    A, b = torch.eye(2), torch.tensor([[3.0, 0.5]])
    net = u.LISTA(A, 1, lam=1.0)
    found = LassoCost(penalty=u.penalties.NonNegativeL1()).measure(
        net, net.iterates(b), b, None
    )
    assert found.tolist() == [4.625, 2.625]


def test_total_variation_trains_and_can_be_resumed(tmp_path):
    b = blur()(photographs())
    objective, path = LassoCost(0.01, TV()), tmp_path / "run.pt"
    recipe = Recipe(objective, steps=10, batch=8, every=5)
    whole = net_on(blur())
    expected = u.train(whole, b, recipe, generator=seeded())
    assert expected.validation[-1, -1] < expected.validation[0, -1]
    first = Recipe(LassoCost(0.01, TV()), steps=10, batch=8, every=5)
    u.train(net_on(blur()), b, first, generator=seeded(), checkpoint=path)
    net = net_on(blur())
    history = u.train(net, b, recipe, generator=seeded(7), checkpoint=path)
    assert torch.equal(history.loss, expected.loss)
    with pytest.raises(ValueError, match=r"penalty=TV\(tol=1e-08.*the recipe"):
        u.train(net, b, Recipe("lasso", steps=10, batch=8, every=5), checkpoint=path)


# With truth


@pytest.mark.parametrize("kind", [ISTANet, ADMMNet, LearnedPrimalDual, MoDL])
@pytest.mark.parametrize(
    "make",
    [
        lambda images: Inpainting(images, generator=seeded()),
        Deblurring,
        lambda images: Tomography(images, angles=4),
        lambda images: CompressedSensing(images, generator=seeded()),
    ],
    ids=["inpainting", "deblurring", "tomography", "compressed sensing"],
)
def test_every_network_learns_every_problem(kind, make):
    problem = make(Ellipses(SIZE))
    net = net_on(problem.A, kind)
    history = u.train(net, problem, short, generator=seeded())
    first = history.validation_db[0, -1].item()
    assert history.best_db < first - 0.05 and history.best_step > 0
    b, x = problem.sample(50, seeded(9))
    rows = as_rows(net.iterates(b), x)
    assert u.nmse_db(*rows)[-1] < first + 3


def test_errors_are_those_of_the_images():
    A = FourierSample.random(SIZE, 0.5, seeded())
    x = photographs(5)
    net, b = net_on(A), A(x)
    iterates = net.iterates(b).detach()
    off = (iterates - x).abs().square().sum(dim=(1, 2, 3, 4)) / x.square().sum()
    close = {"rtol": 1e-12, "atol": 0}
    for goal in (LastNMSE(), DeepLogNMSE()):
        found = goal.measure(net, iterates, b, x)
        torch.testing.assert_close(found, 10 * off.log10(), **close)
    torch.testing.assert_close(LastNMSE().loss(net, iterates, b, x), off[-1], **close)
    expected = 10 * off[1:].log10().mean()
    torch.testing.assert_close(DeepLogNMSE().loss(net, iterates, b, x), expected)


def test_pairs_of_ones_own_with_symmetry():
    x = photographs()
    loader = DataLoader(TensorDataset(blur()(x), x), batch_size=10)
    net = ISTANet(blur(), 3, channels=4, plus=True, generator=seeded())
    goal = SymmetryLoss(LastNMSE(), weight=0.5)
    b = blur()(x)
    before = net.symmetry(b, net.iterates(b))
    loss = goal.loss(net, net.iterates(b), b, x)
    apart = LastNMSE().loss(net, net.iterates(b), b, x) + 0.5 * before
    assert torch.equal(loss, apart)
    x = torch.rand(9, 3, *SIZE, generator=seeded(3))
    held = blur()(x), x
    history = u.train(net, loader, short, objective=goal, validation=held)
    assert history.best_db < history.validation_db[0, -1]
    assert net.symmetry(b, net.iterates(b)) < before
    with pytest.raises(TypeError, match="net is a MoDL, which has no symmetry"):
        u.train(net_on(blur(), MoDL), loader, short, objective=goal, validation=held)


def test_the_objective_beside_a_recipe_is_the_one_that_counts():
    problem = Deblurring(Ellipses(SIZE))
    ends = []
    for recipe, named in (
        (Recipe("last", steps=3), None),
        (Recipe(steps=3), "last"),
        (Recipe(LastNMSE(), steps=3), LastNMSE()),
    ):
        net = net_on(problem.A)
        history = u.train(net, problem, recipe, objective=named, generator=seeded())
        ends.append(history.loss)
    assert torch.equal(ends[0], ends[1]) and torch.equal(ends[0], ends[2])
    with pytest.raises(ValueError, match="objective is 'lassoo'"):
        u.train(net, problem, objective="lassoo")


class Shift(Operator):
    """An operator of one's own, which holds no tensor and checks nothing."""

    def forward(self, x):
        return x.roll(1, dims=-1)

    def adjoint(self, b):
        return b.roll(-1, dims=-1)


def test_an_operator_of_ones_own_trains():
    A = Shift(SIZE)
    x = photographs()
    history = u.train(net_on(A), (A(x), x), short, generator=seeded())
    assert history.best_db < history.validation_db[0, -1]


# Streams


def test_the_first_batch_of_a_loader_is_held_out_and_taken_out_of_later_ones():
    b = blur()(photographs(10))
    order = DataLoader(TensorDataset(b), batch_size=4, shuffle=True, generator=seeded())
    source = source_of(order)
    held, _ = source.hold_out(1000, seeded())
    assert len(held) == 4
    seen = []
    for _ in range(40):
        batch, x = source.batch(99, seeded())
        assert x is None and not rows_in(batch, held).any()
        seen.append(batch)
    rows = torch.cat(seen)
    assert 4 * 40 > len(rows) and all(rows_in(b, rows) == ~rows_in(b, held))


def test_pairs_stay_together_where_samples_are_taken_out():
    x = photographs(12)
    b = blur()(x)
    loader = DataLoader(TensorDataset(b, x), batch_size=5, shuffle=True)
    source = source_of(loader)
    source.hold_out(2, seeded())
    for _ in range(20):
        batch, truth = source.batch(5, seeded())
        torch.testing.assert_close(blur()(truth), batch, rtol=0, atol=1e-12)


class Again:
    """An iterable that is no loader."""

    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


def test_any_iterable_of_batches_will_do():
    b = blur()(photographs(20))
    batches = Again(b[:8], (b[8:12],), [b[12:], photographs(8)])
    history = u.train(net_on(blur()), batches, short, objective="lasso")
    assert history.samples == 20 / 2 * 12

    def endless():
        generator = seeded(5)
        while True:
            yield blur()(torch.rand(4, 1, *SIZE, generator=generator))

    history = u.train(net_on(blur()), endless(), short, objective="lasso")
    assert history.samples == 80


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda b: iter([b[:4], b[4:]]), "a list_iterator that has ended and does not"),
        (lambda b: Again(b), "a Again whose samples are all held out to validate with"),
        (lambda b: Again(b, b), "a Again whose samples are all held out to validate"),
        (lambda b: DataLoader(b, batch_size=40), "a DataLoader whose samples are all"),
        (lambda b: Again(), "a Again without samples: expected some"),
    ],
)
def test_refuses_streams_that_end(make, shown):
    recipe = Recipe("lasso", steps=20)
    with pytest.raises(ValueError, match=f"problem is {shown}"):
        u.train(net_on(blur()), make(blur()(photographs())), recipe)


def test_of_one_large_batch_some_is_held_out():
    b = blur()(photographs(30))
    history = u.train(net_on(blur()), Again(b), short, objective="lasso")
    assert history.samples == 20 * 18


# What students hand in by mistake


def wrong():
    x = photographs(6)
    b = blur()(x)
    bytes_ = (255 * b).byte()
    return {
        "pixels": (bytes_, TypeError, r"b has dtype torch.uint8: .*float\(\) / 255"),
        "colours last": (b.movedim(1, -1), ValueError, r"b has shape \(\d, 9, 7, 3\)"),
        "turned": (b.mT, ValueError, r"b has shape \(\d, 3, 7, 9\): .*9, 7\)"),
        "one image": (b[0, 0], ValueError, r"b has shape \(\d, 7\): expected \(batch"),
        "labels": ((b, torch.arange(6)), TypeError, "x has dtype torch.int64"),
        "grey truth": (
            (b, x[:, :1]),
            ValueError,
            r"x has shape \(\d, 1, 9, 7\) but b is measured of images of shape \(\d, 3",
        ),
        "no channels": ((b, x[:, 0]), ValueError, r"x has shape \(\d, 9, 7\) but b"),
        "another precision": ((b, x.float()), TypeError, "x has dtype torch.float32 b"),
        "single": (b.float(), TypeError, "b has dtype torch.float32 but the operator"),
        "holes": (b * float("nan"), ValueError, r"b\[0, 0, 0, 0\] is nan"),
        "none": ((b[:0], x[:0]), ValueError, "problem has 0 samples"),
        "odd pairs": ((b, x[:5]), ValueError, "6 measurements and 5 codes"),
        "no truth": (b, ValueError, "no true codes in the samples to validate with"),
    }


@pytest.mark.parametrize("case", wrong())
def test_refuses_images_by_name(case):
    data, error, shown = wrong()[case]
    with pytest.raises(error, match=shown):
        u.train(net_on(blur()), data, short)


def test_a_wrong_batch_is_named_where_it_comes():
    b = blur()(photographs(12))
    shown = r"b has shape \(4, 3, 9, 6\): .*of step 1$"
    with pytest.raises(ValueError, match=shown):
        u.train(
            net_on(blur()),
            Again(b[:4], b[4:8], b[8:, ..., :6]),
            short,
            objective="lasso",
        )
    with pytest.raises(TypeError, match="a batch of the Again is a dict"):
        u.train(net_on(blur()), Again(b, {"b": b}), short, objective="lasso")


def test_an_objective_without_a_weight_is_told():
    b = blur()(photographs())
    with pytest.raises(ValueError, match="net is a MoDL, which has no lam: expected"):
        u.train(net_on(blur(), MoDL), b, short, objective="lasso")
    with pytest.raises(TypeError, match="penalty is of type float: expected a Penalty"):
        LassoCost(0.1, 0.5)


def test_a_dead_network_names_the_back_projection():
    b = blur()(photographs())
    net = ISTANet(blur(), 2, channels=4, lam=100.0)
    with pytest.raises(ValueError, match=r"no entry of A\^\* b, at most 0\.\d+, pass"):
        u.train(net, b, short, objective="lasso")


def test_a_checkpoint_of_another_operator_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    masks = [Mask.random(SIZE, 0.5, seeded(seed)) for seed in (1, 2)]
    x = photographs()
    one, other = (net_on(A) for A in masks)
    u.train(one, (masks[0](x), x), short, checkpoint=path, generator=seeded())
    with pytest.raises(ValueError, match=r"written for another A\.index"):
        u.train(other, (masks[1](x), x), short, checkpoint=path)


def test_leaks_are_told_for_images_too():
    A = FourierSample.random(SIZE, 0.5, seeded())
    x = photographs(20)
    own = A(x[:5]), x[:5]
    with pytest.warns(UserWarning, match="training samples are in the validation set"):
        u.train(net_on(A), (A(x), x), short, validation=own, generator=seeded())
