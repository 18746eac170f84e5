"""What lifted methods cannot do, they refuse by name."""

from functools import partial

import pytest
import torch
from torch import nn

from modular import Backprop, Options, Pred, Trainer
from modular.lifted import (
    SPH,
    AugmentedLagrangian,
    AuxNet,
    Free,
    Lifted,
    Quadratic,
    mlp,
)
from tests.modular.lifted.nets import METHODS, ROWS, data
from tests.modular.nets import adam, batch, partition, trainer

made = AuxNet(partial(mlp, inputs=5, width=2), rate=0.1)


@pytest.mark.parametrize(
    ("make", "error", "shown"),
    [
        (lambda: Quadratic(0.0), ValueError, "beta is 0.0: expected a positive"),
        (lambda: Free(0, 1.0), ValueError, "samples is 0: expected at least 1"),
        (lambda: Free(2.5, 1.0), TypeError, "samples is 2.5: expected an int"),
        (lambda: Free(2, -1.0), ValueError, "rate is -1.0: expected a positive"),
        (lambda: SPH(0), ValueError, "samples is 0: expected at least 1"),
        (lambda: AuxNet(nn.Linear(5, 2), 1.0), TypeError, "net is Linear.*a function"),
        (lambda: AuxNet(mlp, rate=0.0), ValueError, "rate is 0.0"),
        (lambda: AuxNet(mlp, rate=1.0, seed=-1), ValueError, "seed is -1"),
        (lambda: AuxNet(mlp, rate=1.0, first=1.5), TypeError, "first is 1.5"),
        (lambda: Lifted(3.0, made), TypeError, "penalty is 3.0: expected a Quadratic"),
        (
            lambda: Lifted(Quadratic(1.0), 3),
            TypeError,
            "states is 3: expected a States",
        ),
        (lambda: Lifted(Quadratic(1.0), made, 3), TypeError, "loss is 3: expected a"),
        (
            lambda: Lifted(AugmentedLagrangian(1.0), made),
            ValueError,
            r"penalty is AugmentedLagrangian\(beta=1.0\) but AuxNet",
        ),
    ],
)
def test_wrong_parts_are_refused(make, error, shown) -> None:
    with pytest.raises(error, match=shown):
        make()


def test_a_network_in_one_piece_is_refused() -> None:
    with pytest.raises(ValueError, match="there is 1 module and no state"):
        trainer(METHODS["penalty"], modules=1)


def test_clipping_would_part_the_copies_of_an_auxnet() -> None:
    with pytest.raises(ValueError, match="clip is 1.0 but AuxNet.*expected None"):
        Trainer(
            partition(), METHODS["auxnet"], optimizer=adam, options=Options(clip=1.0)
        )


def rows(index: list[int]) -> tuple:
    x, y = batch(rows=len(index))
    return x, y, torch.tensor(index)


@pytest.mark.parametrize(
    ("given", "error", "shown"),
    [
        (batch(), TypeError, "a batch is a tuple of 2: expected three"),
        (7, TypeError, "a batch is a int: expected three"),
        (rows([0, 1, ROWS]), ValueError, "index contains 12: expected 0 to 11"),
        (rows([0, -1]), ValueError, "index contains -1: expected 0 to 11"),
        (rows([4, 7, 4, 4]), ValueError, "index contains 4 3 times: expected each"),
        ((*batch(rows=3), [0, 1, 2]), TypeError, "index is of type list"),
        ((*batch(rows=3), torch.arange(4)), ValueError, "index has 4 rows but x has 3"),
        ((*batch(rows=3), torch.ones(3)), ValueError, "index has dtype torch.float32"),
    ],
)
def test_wrong_batches_are_refused(given, error, shown) -> None:
    with pytest.raises(error, match=shown):
        trainer(METHODS["penalty"]).step(given)


def test_a_sample_without_a_state_is_refused() -> None:
    one = trainer(METHODS["penalty"])
    one.step(rows([0, 1, 2]), phase=1)
    with pytest.raises(ValueError, match="sample 5 has no state yet.*phase=1"):
        one.step(rows([2, 5, 0]))


def test_other_methods_take_pairs_only() -> None:
    with pytest.raises(TypeError, match="a batch is a tuple of 3: expected a pair"):
        trainer(Backprop()).step(data(METHODS["penalty"]))


def test_a_second_pass_keeps_what_states_have_learned() -> None:
    method = METHODS["penalty"]
    one = trainer(method)
    one.fit([data(method)], epochs=2)
    before = one.partition.blocks[0].head.parts["state_out"].values.clone()
    one.step(data(method), phase=1)
    after = one.partition.blocks[0].head.parts["state_out"].values
    assert torch.equal(before, after)


def test_the_true_loss_is_the_one_given() -> None:
    mse = Lifted(Quadratic(1.0), Free(ROWS, rate=0.1), Pred(nn.functional.mse_loss))
    one = trainer(mse)
    x, _, index = data(mse)
    target = torch.zeros(ROWS, 3)
    one.step((x, target, index), phase=1)
    loss = one.step((x, target, index))
    exact = one.partition.blocks[-1]  # the states were those of the forward pass
    assert loss[-1] > 0 and exact.net is not None
    fresh = trainer(mse).partition(x).square().mean()
    torch.testing.assert_close(loss[-1], fresh.detach())
