import pytest
import torch

import unroll as u
from tests.unroll.networks.cases import DEPTH, KEEP, LAM, disturbed, problem


@pytest.mark.parametrize("tied", [False, True])
def test_keep_zero_is_lista(tied):
    A, b, _ = problem()
    plain = disturbed(u.LISTA(A, DEPTH, lam=LAM, tied=tied))
    selecting = disturbed(u.LISTASS(A, DEPTH, lam=LAM, keep=0, tied=tied))
    assert torch.equal(selecting.iterates(b), plain.iterates(b))
    other = disturbed(u.LISTASS(A, DEPTH, lam=LAM, keep=KEEP, tied=tied))
    assert not torch.equal(other.iterates(b), plain.iterates(b))


def test_gregor_and_lecun_tie_all_layers():
    A, b, _ = problem()
    tied = disturbed(u.LISTA(A, DEPTH, lam=LAM, tied=True))
    untied = u.LISTA(A, DEPTH, lam=LAM)
    assert len(u.LISTASS(A, DEPTH).layers) == DEPTH, "untied unless asked"
    assert len(tied.layers) == 1 and len(untied.layers) == DEPTH
    for layer in untied.layers:
        layer.load_state_dict(tied.layers[0].state_dict())
    assert torch.equal(untied.iterates(b), tied.iterates(b))


def test_the_first_layer_never_uses_its_second_matrix():
    A, b, _ = problem()
    net = u.LISTA(A, 2, lam=LAM)
    net(b).sum().backward()
    assert not net.layers[0].W2.grad.any()
    assert net.layers[1].W2.grad.any()


def test_selection_by_default_grows_by_a_percentage_up_to_a_cap():
    counts = u.LISTASS(torch.eye(250, 500), depth=12).keep
    assert counts == [6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 65, 65]


@pytest.mark.parametrize(
    ("options", "error", "shown"),
    [
        (dict(lam=0.0), ValueError, r"lam is 0\.0: expected a positive number"),
        (dict(lam=float("nan")), ValueError, "lam is nan"),
        (dict(keep=-1), ValueError, "keep is -1: expected at least 0"),
        (dict(keep=[1, 2]), ValueError, "keep has 2 counts but the network has 5"),
        (dict(keep=[1, 2, 3, 4, 5.0]), TypeError, r"keep is 5\.0: expected an int"),
    ],
)
@pytest.mark.parametrize("net", [u.LISTASS, u.LISTACPSS, u.ALISTA, u.TiLISTA, u.GLISTA])
def test_refuses_bad_options(net, options, error, shown):
    with pytest.raises(error, match=shown):
        net(problem()[0], DEPTH, **options)
