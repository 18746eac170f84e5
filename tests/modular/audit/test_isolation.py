"""Isolation: green on what is right, red on what is broken."""

import pytest

from modular import DGL, Backprop, Interlocking, Partition, Trainer, audit
from modular.training import worker
from tests.modular.nets import batch, partition, sgd, trainer


def test_the_masks_are_identity_band_and_triangle() -> None:
    def reaches(method) -> list[list[int]]:
        return audit.isolation(trainer(method), batch()).reaches.int().tolist()

    assert reaches(DGL()) == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    band = [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    assert reaches(Interlocking(2)) == band
    triangle = [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert reaches(Backprop()) == triangle


def test_a_missing_detach_turns_it_red(monkeypatch) -> None:
    one = trainer(DGL())
    monkeypatch.setattr(worker, "cut", lambda h, passes: h)
    found = audit.isolation(one, batch())
    assert not found.holds
    assert "loss 1 reaches module 0, not declared" in found.leaks
    assert "loss 3 moves module 0, not declared" in found.leaks


def test_a_detach_on_the_wrong_side_turns_it_red(monkeypatch) -> None:
    """Cutting off what a module returns, not what it takes: it learns nothing."""
    one = trainer(DGL())
    forward = worker.Worker.forward

    def wrong(self, event) -> None:
        forward(self, event)
        self.h_out = self.h_out.detach()

    monkeypatch.setattr(worker.Worker, "forward", wrong)
    found = audit.isolation(one, batch())
    assert "loss 0 not moves module 0, declared" in found.leaks


def tie_weights(net: Partition) -> None:
    net.blocks[2].net[0][0].weight = net.blocks[1].net[0][0].weight


def share_norm(net: Partition) -> None:
    net.blocks[2].net[0][1] = net.blocks[1].net[0][1]


@pytest.mark.parametrize("damage", [tie_weights, share_norm])
def test_what_is_shared_behind_our_back_turns_it_red(damage) -> None:
    net = partition(norm=True)
    damage(net)
    found = audit.isolation(Trainer(net, DGL(), optimizer=sgd), batch())
    assert "loss 1 moves module 2, not declared" in found.leaks
    assert "loss 2 moves module 1, not declared" in found.leaks


def test_measurements_need_all_modules_here() -> None:
    class Elsewhere(worker.Transport):
        send_state = recv_state = send_credit = recv_credit = None

    one = Trainer(partition(), DGL(), optimizer=sgd, transport=Elsewhere())
    with pytest.raises(TypeError, match="Elsewhere.*expected InProcess"):
        audit.isolation(one, batch())
