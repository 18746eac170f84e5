"""What is given in another way than meant: refused by name, or right all the same."""

import copy
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modular import (
    DGL,
    HSIC,
    Backprop,
    DifferenceTargets,
    Interlocking,
    Kernel,
    Partition,
    Pred,
    Processes,
    Sim,
    Trainer,
    audit,
)
from tests.modular.nets import adam, batch, distance, layers, sgd, trainer, weights

X, Y = batch()[0].double(), batch()[1]


def made(model: list[nn.Module], method=None, x: Tensor = X, **options) -> Trainer:
    torch.manual_seed(0)
    if "cuts" not in options:
        options.setdefault("modules", 2)
    return Trainer(
        Partition(model, sample=x[:2], **options), method or DGL(), optimizer=sgd
    )


# --- batches --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"x": X, "y": Y}, "a batch is a dict: expected a pair, data and targets"),
        ((X, Y, Y), "a batch is a tuple of 3: expected a pair"),
        ([X], "a batch is a list of 1: expected a pair"),
        (X[:2], "a batch is a Tensor: expected a pair"),
    ],
)
def test_batches_are_pairs(given, text: str) -> None:
    one = trainer(DGL())
    for call in (one.step, lambda b: one.fit([b], 1), lambda b: one.evaluate([b])):
        with pytest.raises(TypeError, match=text):
            call(given)
    with pytest.raises(TypeError, match=text):
        audit.probe(one.partition, [given], [(X, Y)])


@pytest.mark.parametrize("kind", [torch.int32, torch.uint8, torch.bool, torch.cfloat])
def test_labels_of_another_dtype_are_refused(kind: torch.dtype) -> None:
    with pytest.raises(ValueError, match=f"target has dtype {kind}.*expected int64"):
        trainer(DGL()).step((X, Y.to(kind)))


def test_a_target_that_is_no_number_is_named_and_not_the_learning_rate() -> None:
    y = torch.zeros(12, 3)
    y[4, 1] = float("nan")
    with pytest.raises(ValueError, match=r"target\[4, 1\] is nan: expected finite"):
        trainer(DGL(Pred(functional.mse_loss))).step((X, y))


def test_a_loss_of_every_sample_is_no_loss() -> None:
    loss = partial(functional.cross_entropy, reduction="none")
    text = r"the loss of module 0 .* in step 0 has shape \(12,\): expected a number, as"
    with pytest.raises(ValueError, match=text):
        trainer(DGL(Pred(loss))).step((X, Y))


def test_sparse_data_are_refused() -> None:
    with pytest.raises(ValueError, match="x is of layout torch.sparse_coo: expected a"):
        trainer(DGL()).step((X.to_sparse(), Y))
    with pytest.raises(ValueError, match=r"sample is of layout .*sample.to_dense"):
        Partition(layers(), 2, sample=X.to_sparse())


def test_training_needs_gradients_and_data_that_autograd_can_follow() -> None:
    one = trainer(DGL())
    for off in (torch.no_grad, torch.inference_mode):
        with (
            off(),
            pytest.raises(RuntimeError, match="gradients are off here, by torch"),
        ):
            one.fit([(X, Y)], 1)
        with (
            off(),
            pytest.raises(RuntimeError, match="gradients are off here, by torch"),
        ):
            one.step((X, Y))
    with torch.inference_mode():
        x = X.clone()
        found = one.evaluate([(x, Y)])
    assert torch.equal(found, one.evaluate([(X, Y)])), "to judge, it does"
    with pytest.raises(
        ValueError, match="x was made under torch.inference_mode, where"
    ):
        one.step((x, Y))


def test_a_model_made_under_inference_mode_is_refused() -> None:
    with torch.inference_mode():
        model = layers()
    with pytest.raises(
        ValueError, match="the weight '0.0.weight' was made under torch"
    ):
        Partition(model, 2, sample=X)


def test_strides_and_wishes_for_a_gradient_change_nothing() -> None:
    plain, strided, wished = (trainer(DGL()) for _ in range(3))
    plain.fit([(X, Y)], 3)
    strided.fit([(X.t().contiguous().t(), Y)], 3)
    x = X.clone().requires_grad_()
    wished.fit([(x, Y)], 3)
    assert distance(weights(plain), weights(strided)) < 1e-15, "up to rounding"
    assert distance(weights(plain), weights(wished)) == 0
    assert x.grad is None, "the data ask for nothing"


def test_a_generator_is_used_up() -> None:
    text = r"the loader has 0 batches: .*in every epoch anew \(a generator is used up"
    with pytest.raises(ValueError, match=text):
        trainer(DGL()).fit(((x, y) for x, y in [(X, Y)]), 2)


@pytest.mark.parametrize(
    "objective", [Sim(), HSIC(), Kernel(), Pred() + Sim()], ids=repr
)
def test_one_row_has_nobody_to_be_compared_with(objective) -> None:
    text = "the batch has 1 row but .* compares rows: expected at least 2, by larger"
    with pytest.raises(ValueError, match=text):
        trainer(DGL(objective)).step((X[:1], Y[:1]))


# --- precision ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_probes_and_kernels_of_half_precision_are_solved_in_single(dtype) -> None:
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0)).float()
    y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
    one = made([part.to(dtype) for part in layers()], DGL(HSIC()), x.to(dtype))
    single = made([part.float() for part in layers()], DGL(HSIC()), x)
    half, full = (
        audit.probe(t.partition, [(d, y)], [(d, y)])
        for t, d in ((one, x.to(dtype)), (single, x))
    )
    assert (half - full).abs().max() < 0.1
    losses = [t.step((d, y))[0] for t, d in ((one, x.to(dtype)), (single, x))]
    torch.testing.assert_close(*losses, rtol=0.1, atol=0)


def orientations() -> dict[str, object]:
    return {
        "a function": functional.cross_entropy,
        "with arguments": partial(functional.cross_entropy, label_smoothing=0.0),
        "a layer": nn.CrossEntropyLoss(),
    }


@pytest.mark.parametrize("name", orientations())
def test_cross_entropy_of_sequences_knows_where_the_classes_are(name: str) -> None:
    """As many positions as classes: torch would take one for the other."""
    x, y = torch.randn(6, 3, 5), torch.arange(18).view(6, 3) % 3
    torch.manual_seed(1)
    model = [nn.Linear(5, 4), nn.Linear(4, 3)]
    scores = nn.Sequential(*copy.deepcopy(model))(x)
    expected = functional.cross_entropy(scores.flatten(0, 1), y.flatten()).item()
    loss = made(model, DGL(Pred(orientations()[name])), x).step((x, y))[-1].item()
    assert abs(loss - expected) < 1e-12


# --- layers and optimisers ---------------------------------------------------------


def replaced(one: Trainer) -> None:
    one.partition.blocks[0].net[0] = nn.Linear(5, 6)


def appended(one: Trainer) -> None:
    one.partition.blocks[0].net.append(nn.Linear(6, 6))


@pytest.mark.parametrize("change", [replaced, appended])
def test_layers_that_no_optimiser_knows_are_refused(change) -> None:
    one = made([nn.Linear(5, 6), nn.Linear(6, 3)])
    spread = Trainer(one.partition, DGL(), optimizer=sgd, transport=Processes(2))
    change(one)
    with pytest.raises(ValueError, match="module 0 has other parameters than when the"):
        spread.fit([(X, Y)], 1)
    text = "module 0 has other parameters than when the trainer was made: expected the"
    with pytest.raises(ValueError, match=text):
        one.fit([(X, Y)], 1)
    with pytest.raises(ValueError, match=text):
        one.step((X, Y))


def test_a_network_without_anything_to_learn_is_refused() -> None:
    one = trainer(DGL())
    one.partition.requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter of the partition is frozen"):
        one.fit([(X, Y)], 1)


class Still(nn.Module):
    """A layer through which autograd does not see."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.linear, self.how = nn.Linear(6, 6), how

    def forward(self, h: Tensor) -> Tensor:
        if self.how == "detach":
            return self.linear(h.detach())
        with torch.no_grad():
            return self.linear(h)


@pytest.mark.parametrize("how", ["detach", "no_grad"])
@pytest.mark.parametrize("method", [Backprop(), Interlocking(2)], ids=lambda m: m.name)
def test_a_module_that_no_gradient_passes_is_named(method, how: str) -> None:
    model = [nn.Linear(5, 6), Still(how), nn.Linear(6, 3)]
    text = "no gradient passes through module 1: a layer of it detaches.*or losses that"
    with pytest.raises(ValueError, match=text):
        made(model, method, cuts=[1, 2]).step((X, Y))
    assert made(model, DGL(), cuts=[1, 2]).step((X, Y)).isfinite().all()


def test_a_frozen_module_sends_its_target_on() -> None:
    one = trainer(DifferenceTargets())
    one.partition.freeze(1)
    before = weights(one)
    one.fit([(X, Y)], 3)
    blocks = [p.requires_grad for b in one.partition.blocks for p in b.net.parameters()]
    moved = [bool((a != b).any()) for a, b in zip(before, weights(one), strict=True)]
    assert moved == blocks


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda p: None,
            "optimizer makes a NoneType: expected a torch.optim.Optimizer",
        ),
        (torch.optim.LBFGS, "optimizer makes an LBFGS, which evaluates the loss again"),
    ],
)
def test_optimisers_that_cannot_step_are_refused(make, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        trainer(DGL(), optimizer=make)


# --- copies --------------------------------------------------------------------------


def test_a_copy_of_a_trainer_goes_its_own_way_and_the_same_one() -> None:
    one = trainer(DGL(), optimizer=adam)
    one.step((X, Y))
    other, start = copy.deepcopy(one), weights(one)
    one.fit([(X, Y)], 2)
    assert distance(weights(other), start) == 0
    other.fit([(X, Y)], 2)
    assert distance(weights(one), weights(other)) == 0
