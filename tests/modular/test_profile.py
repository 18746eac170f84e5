"""The profile of a model: closed forms, the same in both modes, and nothing moves."""

import copy

import pytest
import torch
from torch import Tensor, nn

from modular import Partition
from modular.profile import COSTS, count_flops, profile
from tests.modular.nets import draw, layers


class First(nn.Module):
    """Keep the first thing that a layer returns."""

    def __init__(self, layer: nn.Module, copies: int = 1) -> None:
        super().__init__()
        self.layer, self.copies = layer, copies

    def forward(self, h: Tensor) -> Tensor:
        out = self.layer(*[h] * self.copies)
        return out[0] if isinstance(out, tuple) else out


# a sequence of 6 tokens of width 16, two heads of width 8
QKV, SCORES, OUT = 2 * 6 * 16 * 48, 2 * 2 * (2 * 6 * 6 * 8), 2 * 6 * 16 * 16
FEED = 2 * (2 * 6 * 16 * 32)
ATTENTION = QKV + SCORES + OUT
CASES = {
    "transformer": (
        lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        ATTENTION + FEED,
    ),
    "attention": (
        lambda: First(nn.MultiheadAttention(16, 2, batch_first=True), 3),
        ATTENTION,
    ),
    "lstm": (lambda: First(nn.LSTM(16, 8, batch_first=True)), 2 * 6 * 4 * 8 * (16 + 8)),
    "gru": (lambda: First(nn.GRU(16, 8, batch_first=True)), 2 * 6 * 3 * 8 * (16 + 8)),
    "bilinear": (
        lambda: First(nn.Bilinear(16, 16, 4), 2),
        2 * 6 * (4 * 16**2 + 4 * 16),
    ),
    "linear": (lambda: nn.Linear(16, 5), 2 * 6 * 16 * 5),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("training", [True, False])
def test_flops_are_the_closed_form_in_both_modes(name: str, training: bool) -> None:
    make, expected = CASES[name]
    layer = make().train(training)
    assert count_flops(layer, draw(3, 6, 16)) == expected
    assert torch.backends.mha.get_fastpath_enabled(), "switched on again"
    assert torch.backends.mkldnn.enabled


def test_a_transformer_is_cut_by_its_arithmetic() -> None:
    """In evaluation mode its layers counted 0, so that cuts fell anywhere."""
    encoder = [CASES["transformer"][0]() for _ in range(4)]
    model = [*encoder, nn.Flatten(), nn.Linear(96, 3)]
    part = Partition(model, 2, sample=draw(2, 6, 16), balance="flops")
    assert [len(block.net) for block in part.blocks] == [2, 4]
    assert part.cost().flops[0] == 2 * (ATTENTION + FEED)


def test_columns_are_of_layers_and_per_sample() -> None:
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    found, larger = profile(model, draw(4, 5)), profile(model, draw(8, 5))
    assert found.flops.tolist() == [70, 0, 42]
    assert found.parameters.tolist() == [42, 0, 24]
    assert found.saved_bytes.tolist() == [8 * 5, 8 * 7, 8 * 7]
    assert found.boundary_bytes.tolist() == [8 * 7, 8 * 7, 8 * 3]
    for name in ("flops", "parameters", "saved_bytes", "boundary_bytes"):
        assert torch.equal(getattr(found, name), getattr(larger, name))
    assert (found.seconds > 0).all()
    assert (found.backward_seconds > 0).all()


def test_times_grow_with_the_work() -> None:
    found = profile(
        [nn.Linear(600, 600), nn.Linear(600, 600), nn.Linear(600, 2)], draw(500, 600)
    )
    assert found.seconds[:2].min() > 5 * found.seconds[2]
    assert found.backward_seconds[1] > found.backward_seconds[2]


def test_any_module_is_one_layer_and_modules_are_rows() -> None:
    encoder = CASES["transformer"][0]()
    assert profile(encoder, draw(2, 6, 16)).flops.tolist() == [ATTENTION + FEED]
    part = Partition(layers(), 2, sample=draw(2, 5))
    found = profile([block.net for block in part.blocks], draw(2, 5))
    assert torch.equal(found.flops, part.cost().flops)
    assert torch.equal(found.parameters, part.cost().parameters)


@pytest.mark.parametrize("column", COSTS)
def test_measuring_moves_nothing(column: str) -> None:
    stages = layers(norm=True)
    stages[1].eval()
    before = copy.deepcopy(nn.Sequential(*stages).state_dict())
    profile(stages, draw(4, 5))
    Partition(stages, 2, sample=draw(4, 5), balance=column)
    after = nn.Sequential(*stages).state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [stage.training for stage in stages] == [True, False, True, True]
    assert all(p.grad is None for stage in stages for p in stage.parameters())


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: profile([], draw(1, 2)), TypeError, "model is a list: expected an nn"),
        (lambda: profile(nn.Linear(2, 2), [1]), TypeError, "x is of type list: expect"),
        (
            lambda: profile(nn.Linear(2, 2), draw(1, 2), repeats=0),
            ValueError,
            "repeats is 0: expected at least 1",
        ),
    ],
)
def test_profiles_refuse(make, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        make()
