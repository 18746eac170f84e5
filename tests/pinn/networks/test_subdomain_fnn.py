"""Networks on subdomains: one batched product gives what a loop gives."""

import pytest
import torch
from torch import Tensor

from pinn import JetFNN, Partition, SubdomainFNN, Wanted, jet_of, zoo
from pinn.derivatives.jets import autograd_jet

STRIP = zoo.burgers().geometry
CUTS = Partition(STRIP, [[-0.6, 0.2, 0.5]])


def points(count: int = 80) -> Tensor:
    x = torch.rand(count, 2, generator=torch.Generator().manual_seed(5)).double()
    return x * torch.tensor([2.0, 1.0]) - torch.tensor([1.0, 0.0])


def make(sizes: list, partition: Partition = CUTS, **options: object) -> SubdomainFNN:
    generator = torch.Generator().manual_seed(1)
    return SubdomainFNN(partition, sizes, generator=generator, **options)


UNEQUAL = [[2, 20, 20, 1], [2, 10, 10, 10, 1], [2, 10, 10, 10, 1], [2, 20, 20, 1]]


def alone(net: SubdomainFNN, subdomain: int) -> JetFNN:
    """The same network by itself, with its scaling put in front."""
    for group in net.groups:
        if subdomain in group.members:
            k = group.members.index(subdomain)
            one = JetFNN(group.sizes, group.activations[0])
            for linear, W, b in zip(
                one.linears, group.weights, group.biases, strict=True
            ):
                linear.weight.data, linear.bias.data = W[k].T.clone(), b[k].clone()
    low, high = net.lower[subdomain], net.upper[subdomain]
    one.apply_feature_transform(lambda x: 2 * (x - low) / (high - low) - 1)
    if net._output_transform is not None:
        one.apply_output_transform(net._output_transform)
    return one


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("sizes", [[2, 12, 12, 1], UNEQUAL], ids=["equal", "unequal"])
def test_the_batch_equals_the_loop(sizes: list, hard: bool) -> None:
    net, x = make(sizes), points()
    if hard:
        net.apply_output_transform(zoo.burgers().hard)
    wanted = Wanted.all(2)
    batched = net.jet(x, wanted)
    index = CUTS.locate(x)
    for q in range(4):
        rows = index == q
        looped = alone(net, q).jet(x[rows], wanted)
        for name in ("u", "p", "H"):
            ours, theirs = getattr(batched, name)[rows], getattr(looped, name)
            assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12), name


def test_jets_equal_autograd() -> None:
    net, x = make(UNEQUAL, adaptive=2.0), points()
    ours, theirs = jet_of(net, x, Wanted.all(2)), autograd_jet(net, x, Wanted.all(2))
    assert torch.allclose(ours.p, theirs.p, atol=1e-12)
    assert torch.allclose(ours.H, theirs.H, atol=1e-11)


def test_traces_take_the_network_they_are_told() -> None:
    net = make(UNEQUAL)
    x = torch.tensor([[0.2, 0.1], [0.2, 0.9]], dtype=torch.float64)
    left = net.traces(x, torch.tensor([1, 1]), Wanted.all(2, 1))
    right = net.traces(x, torch.tensor([2, 2]), Wanted.all(2, 1))
    assert torch.allclose(left.u, alone(net, 1)(x), atol=1e-14)
    assert torch.allclose(right.u, alone(net, 2)(x), atol=1e-14)
    assert (left.u - right.u).abs().min() > 1e-3


def test_a_subdomain_without_points_does_no_harm() -> None:
    net = make(UNEQUAL)
    x = torch.tensor([[-0.9, 0.5]], dtype=torch.float64)
    assert torch.allclose(net(x), alone(net, 0)(x))
    assert net(x[:0]).shape == (0, 1)


def test_each_network_learns_from_its_own_points() -> None:
    net = make([2, 6, 1])
    x = points()
    net(x[CUTS.locate(x) == 2]).sum().backward()
    for group in net.groups:
        moved = group.weights[0].grad.abs().amax((1, 2)) > 0
        assert moved.tolist() == [False, False, True, False]


def test_networks_are_saved(tmp_path) -> None:
    net = make(UNEQUAL)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    other = SubdomainFNN(CUTS, UNEQUAL)
    other.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(net(points()), other(points()))


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="3 lists but the partition 4 subdomains"):
        make(UNEQUAL[:3])
    mixed = [*UNEQUAL[:3], [2, 5, 2]]
    with pytest.raises(ValueError, match=r"inputs and outputs \[\(2, 1\), \(2, 2\)\]"):
        make(mixed)
    with pytest.raises(TypeError, match="activation is 'tanh'"):
        SubdomainFNN(CUTS, [2, 3, 1], "tanh")
    net = make([2, 3, 1])
    with pytest.raises(ValueError, match=r"index has shape \(2,\): expected \(3\)"):
        net.traces(points(3), torch.zeros(2, dtype=torch.int64), Wanted())


def test_a_batch_of_points_is_kept_only_while_they_stay_the_same() -> None:
    partition = Partition(STRIP, [[0.0]])
    net, x = make([2, 6, 1], partition), points()
    for _ in range(3):
        index, wanted = partition.locate(x), Wanted((0,), ((0, 0),))
        for again in (index, index):
            found = net.traces(x, again, wanted)
            by_autograd = jet_of(
                lambda y, i=index: net.traces(y, i, Wanted()).u, x, wanted
            )
            assert torch.allclose(found.H[..., 0, 0], by_autograd.H[..., 0, 0])
        x[:, 1] *= 0.5  # in place
