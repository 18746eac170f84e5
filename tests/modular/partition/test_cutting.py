"""What must not cross a cut, and what a layer must not return: refused by name."""

import pytest
import torch
from torch import Tensor, nn

from modular import DGL, Partition, Trainer
from modular.profile import profile
from tests.modular.nets import batch, draw, layers, sgd


class Keep(nn.Module):
    """Remember what came by, with its graph or without."""

    def __init__(self, graph: bool = True) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, h: Tensor) -> Tensor:
        self.kept = h if self.graph else h.detach()
        return h


class Add(nn.Module):
    """Add what another layer has kept."""

    def __init__(self, other: Keep) -> None:
        super().__init__()
        self.__dict__["other"] = other  # not a child: it is registered where it is

    def forward(self, h: Tensor) -> Tensor:
        return h + self.other.kept


class Running(nn.Module):
    """Add a trace of everything that ever came by."""

    def __init__(self) -> None:
        super().__init__()
        self.trace = 0.0

    def forward(self, h: Tensor) -> Tensor:
        self.trace = self.trace + h.mean()
        return h + self.trace


def with_skip(graph: bool) -> list[nn.Module]:
    keep = Keep(graph)
    inner = [nn.ReLU(), nn.Linear(5, 5), nn.Tanh()]
    return [nn.Linear(5, 5), keep, *inner, Add(keep), nn.Linear(5, 3)]


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("cuts", [[2], [3], [5], [2, 4], [3, 4, 5]])
def test_a_skip_connection_across_a_cut_is_refused(graph: bool, cuts: list) -> None:
    where = len([cut for cut in cuts if cut <= 5])
    text = f"block {where} .from layer {cuts[where - 1]} on.*a skip connection across a"
    with pytest.raises(ValueError, match=text):
        Partition(with_skip(graph), cuts=cuts, sample=draw(2, 5))


@pytest.mark.parametrize("cuts", [[1], [6], [1, 6]])
def test_a_skip_connection_within_a_block_is_fine(cuts: list) -> None:
    net = Partition(with_skip(True), cuts=cuts, sample=draw(2, 5))
    assert Trainer(net, DGL(), optimizer=sgd).step(batch()).isfinite().all()


def test_a_layer_with_a_memory_is_refused() -> None:
    model = [nn.Linear(5, 5), Running(), nn.Linear(5, 3)]
    with pytest.raises(ValueError, match="block 0 .*or a layer with a memory"):
        Partition(model, cuts=[2], sample=draw(2, 5))


class Noisy(nn.Module):
    """Dropout that never rests: chance, but no memory."""

    def forward(self, h: Tensor) -> Tensor:
        return nn.functional.dropout(h, 0.5, training=True)


def test_chance_is_no_memory_and_is_not_used_up() -> None:
    model = [nn.Linear(5, 5), Noisy(), nn.Linear(5, 5), Noisy(), nn.Linear(5, 3)]
    head = nn.Linear(5, 3)
    torch.manual_seed(0)
    x = draw(2, 5)
    for layer in model:
        x = layer(x)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Partition(model, 2, sample=draw(2, 5), head=lambda shape, classes: head)
    assert torch.equal(torch.rand(3), expected), "only the forward pass has drawn"


def test_tokens_can_be_checked_too() -> None:
    keep = Keep()
    model = [nn.Embedding(7, 5), keep, nn.Linear(5, 5), Add(keep), nn.Linear(5, 3)]
    x = torch.tensor([[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="block 1 .*reads more than its input"):
        Partition(model, cuts=[2], sample=x)
    assert len(Partition(model, cuts=[1], sample=x)) == 2


class Mean(nn.Module):
    """Subtract a running mean, kept in a buffer of its own."""

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)

    def forward(self, h: Tensor) -> Tensor:
        if self.training:
            self.mean.lerp_(h.detach().mean(dim=0), 0.1)
        return h - self.mean


def test_a_shared_buffer_of_ones_own_is_refused() -> None:
    mean = torch.zeros(6)
    model = [nn.Linear(5, 6), Mean(mean), nn.Linear(6, 6), Mean(mean), nn.Linear(6, 3)]
    text = "layers '1.mean' .block 0. and '3.mean' .block 1. are the same buffer"
    with pytest.raises(ValueError, match=text):
        Partition(model, cuts=[2], sample=draw(2, 5))
    assert len(Partition(model, cuts=[1], sample=draw(2, 5))) == 2
    model[3] = Mean(mean.clone())
    assert len(Partition(model, cuts=[2], sample=draw(2, 5))) == 2


def lstm() -> list[nn.Module]:
    return [nn.LSTM(5, 6, batch_first=True), nn.Flatten(), nn.Linear(6, 3)]


REFUSED = {
    "tuple": (
        lambda: (lstm(), draw(2, 1, 5)),
        TypeError,
        "layer 0 .LSTM. returns a tuple: expected one tensor.*without its state",
    ),
    "sample": (
        lambda: (layers(), draw(2, 5).float()),
        TypeError,
        "layer 0 .Sequential. has weights of torch.float64 but the sample is of "
        "torch.float32",
    ),
    "mixed": (
        lambda: ([nn.Linear(5, 4), nn.Linear(4, 3).float()], draw(2, 5)),
        TypeError,
        "layer 1 .Linear. has weights of torch.float32 but what it is given is of "
        "torch.float64",
    ),
    "shape": (
        lambda: ([nn.Linear(5, 4), nn.Linear(6, 3)], draw(2, 5)),
        ValueError,
        r"layer 1 .Linear. does not take shape \(2, 4\) of torch.float64: mat1",
    ),
    "image": (
        lambda: ([nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)], draw(2, 5)),
        ValueError,
        r"layer 0 .Conv2d. does not take shape \(2, 5\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_layers_that_do_not_fit_are_named(name: str) -> None:
    make, error, text = REFUSED[name]
    model, x = make()
    with pytest.raises(error, match=text):
        Partition(model, 2, sample=x)
    with pytest.raises(error, match=text):
        profile(model, x)


def test_sequences_have_heads_at_every_position() -> None:
    model = [nn.Embedding(7, 6), nn.Linear(6, 6), nn.Linear(6, 4)]
    x = torch.arange(10).view(2, 5) % 7
    for head in ("linear", "mlp"):
        net = Partition(model, 3, sample=x, head=head)
        assert net.classes == 4
        for block, h in net.states(x):
            assert block.head(h).shape == (2, 5, 4)
    text = r"head returns shape \(2, 4\) for features of shape .*expected \(2, 5, 4\)"
    with pytest.raises(ValueError, match=text):
        Partition(
            model,
            3,
            sample=x,
            head=lambda shape, classes: nn.Sequential(
                nn.Flatten(), nn.Linear(shape.numel(), classes)
            ),
        )


def test_a_head_of_ones_own_returns_what_the_model_does() -> None:
    with pytest.raises(ValueError, match=r"head returns shape \(2, 4\).*\(2, 3\)"):
        Partition(layers(), 2, sample=draw(2, 5), head=lambda s, c: nn.Linear(6, c + 1))


@pytest.mark.parametrize(
    ("model", "rows", "target", "text"),
    [
        (lambda: layers(classes=1), 4, (4,), r"spread to \(4, 4\): .* shape \(4, 1\)"),
        (layers, 4, (4, 1, 3), r"spread to \(4, 4, 3\): .* shape \(4, 3\)"),
    ],
)
def test_targets_that_would_be_repeated_are_refused(model, rows, target, text) -> None:
    net = Partition(model(), 2, sample=draw(2, 5))
    with pytest.raises(ValueError, match=text):
        net.check_batch(draw(rows, 5), draw(*target))


def test_labels_of_sequences_have_positions() -> None:
    model = [nn.Embedding(7, 6), nn.Linear(6, 4)]
    net = Partition(model, 2, sample=torch.zeros(2, 5, dtype=torch.int64))
    x = torch.ones(3, 5, dtype=torch.int64)
    net.check_batch(x, torch.zeros(3, 5, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"shape \(3,\): expected .* \(batch, 5\), or"):
        net.check_batch(x, torch.zeros(3, dtype=torch.int64))
