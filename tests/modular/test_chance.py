"""Chance: streams of their own, which nobody else moves, and loaders put back."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from modular import DGL, Partition, Trainer
from modular._chance import (
    drawing_from,
    global_chance,
    loader_chance,
    seeded_chance,
    set_loader_chance,
)
from tests.modular.nets import batch, sgd

CPU = torch.device("cpu")


def test_a_stream_goes_on_where_it_stopped_whoever_draws_between() -> None:
    states, parts = seeded_chance(7, CPU), []
    for _ in range(3):
        with drawing_from(states, CPU):
            parts.append(torch.rand(5))
        torch.rand(11)  # the rest of the process
    unbroken = torch.rand(15, generator=torch.Generator().manual_seed(7))
    # one draw of 15 and three of 5 are the same numbers on a CPU
    assert torch.equal(torch.cat(parts), unbroken)


def test_the_process_does_not_notice() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with drawing_from(seeded_chance(7, CPU), CPU):
        torch.rand(9)
    assert torch.equal(torch.rand(4), expected)


def test_nor_does_it_after_an_error_and_the_stream_has_moved() -> None:
    states, before = seeded_chance(7, CPU), global_chance(CPU)
    with pytest.raises(KeyError), drawing_from(states, CPU):
        torch.rand(5)
        raise KeyError
    assert torch.equal(global_chance(CPU)[0], before[0])
    assert not torch.equal(states[0], seeded_chance(7, CPU)[0])


def test_a_step_that_fails_leaves_the_process_its_chance() -> None:
    class Fails(nn.Module):
        def forward(self, h: Tensor) -> Tensor:
            h = nn.functional.dropout(h, 0.5, self.training)
            if self.training:
                raise KeyError("no data")
            return h

    net = Partition([nn.Linear(5, 4), Fails(), nn.Linear(4, 3)], 1, sample=batch()[0])
    one, before = Trainer(net, DGL(), optimizer=sgd), global_chance(CPU)
    with pytest.raises(KeyError, match="no data"):
        one.step(batch())
    assert torch.equal(global_chance(CPU)[0], before[0])


def test_two_streams_do_not_mix() -> None:
    def draws(order: str) -> dict[str, Tensor]:
        streams = {"a": seeded_chance(1, CPU), "b": seeded_chance(2, CPU)}
        drawn: dict[str, list] = {"a": [], "b": []}
        for name in order:
            with drawing_from(streams[name], CPU):
                drawn[name].append(torch.rand(3))
        return {name: torch.cat(parts) for name, parts in drawn.items()}

    one, other = draws("abab"), draws("bbaa")
    assert torch.equal(one["a"], other["a"])
    assert torch.equal(one["b"], other["b"])
    assert not torch.equal(one["a"], one["b"])


class Drawn:
    """A loader of one's own, that draws its batches."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def __iter__(self):
        return iter([torch.rand(3, generator=self.generator) for _ in range(2)])


def shuffled(kind: str) -> DataLoader | Drawn:
    """Return a loader that shuffles by a generator of its own, or by torch's."""
    data, own = torch.arange(40), torch.Generator().manual_seed(1)
    if kind == "loader":
        return DataLoader(data, batch_size=10, shuffle=True, generator=own)
    if kind == "one's own":
        return Drawn(own)
    if kind == "sampler":
        return DataLoader(
            data, batch_size=10, sampler=RandomSampler(data, generator=own)
        )
    return DataLoader(data, batch_size=10, shuffle=True)


@pytest.mark.parametrize("kind", ["loader", "sampler", "one's own", "torch's"])
def test_a_loader_put_back_repeats_its_order(kind: str) -> None:
    loader = shuffled(kind)
    list(loader)
    states = loader_chance(loader)
    expected = torch.cat(list(loader))
    assert not torch.equal(torch.cat(list(loader)), expected)
    set_loader_chance(loader, states)
    assert torch.equal(torch.cat(list(loader)), expected)


def test_states_of_another_kind_of_loader_are_refused() -> None:
    text = "the loader has 0 generators but the checkpoint has 1: expected the same"
    with pytest.raises(ValueError, match=text):
        set_loader_chance([], loader_chance(shuffled("sampler")))
