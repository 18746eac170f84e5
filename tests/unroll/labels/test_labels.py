"""Mean-field steps: equal to the loop by hand, and what is learned of them."""

import copy
import itertools
import math
import pickle

import pytest
import torch
from torch.autograd import gradcheck

from unroll.labels import CRFRNN, mean_field

WIDTHS = (1.5, 4.0, 0.3)
WEIGHTS = {"spatial": 1.2, "bilateral": 2.1, "widths": WIDTHS}


def given(labels=3, size=(3, 4), channels=2, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(batch, labels, *size, generator=generator)
    return scores, torch.rand(batch, channels, *size, generator=generator)


def by_hand(scores, image, iterations):
    """One image, pixel by pixel and label by label."""
    labels, height, width = scores.shape
    pixels = [(r, c) for r in range(height) for c in range(width)]
    Q = {i: scores[:, i[0], i[1]].softmax(dim=0) for i in pixels}
    pairs = {i: pair_weights(image, i, pixels) for i in pixels}
    for _ in range(iterations):
        new = {}
        for i in pixels:
            energy = [float(u) for u in scores[:, i[0], i[1]]]
            for label, other in itertools.permutations(range(labels), 2):
                energy[label] -= sum(w * float(Q[j][other]) for j, w in pairs[i])
            new[i] = torch.tensor(energy).softmax(dim=0)
        Q = new
    return torch.stack([Q[i] for i in pixels], dim=1).reshape(scores.shape)


def pair_weights(image, i, pixels):
    """What the other pixels weigh for one: both kernels, each of sum 1, and weights."""
    gamma, alpha, beta = WIDTHS
    near, alike = {}, {}
    for j in pixels:
        if j != i:
            far = (i[0] - j[0]) ** 2 + (i[1] - j[1]) ** 2
            unlike = image[:, i[0], i[1]] - image[:, j[0], j[1]]
            unlike = float(unlike.square().sum())
            near[j] = math.exp(-far / (2 * gamma**2))
            alike[j] = math.exp(-far / (2 * alpha**2) - unlike / (2 * beta**2))
    totals = sum(near.values()), sum(alike.values())
    return [(j, 1.2 * near[j] / totals[0] + 2.1 * alike[j] / totals[1]) for j in near]


def test_five_steps_are_the_loop_by_hand():
    scores, image = given()
    for iterations in (0, 1, 5):
        found = mean_field(scores, image, iterations=iterations, **WEIGHTS)
        net = CRFRNN(3, **WEIGHTS)(scores, image, iterations).exp()
        for i in range(2):
            expected = by_hand(scores[i], image[i], iterations)
            torch.testing.assert_close(found[i], expected, rtol=0, atol=1e-12)
            torch.testing.assert_close(net[i], expected, rtol=0, atol=1e-12)
    assert CRFRNN(3).iterations == 5


def test_minus_the_identity_is_potts():
    """Softmax does not see what is added to all labels."""
    scores, image = given()
    net = CRFRNN(3, **WEIGHTS)
    before = net(scores, image)
    with torch.no_grad():
        net.compatibility.copy_(-torch.eye(3))
    torch.testing.assert_close(net(scores, image), before, rtol=0, atol=1e-12)


def test_probabilities_sum_to_one_and_labels_may_be_named_otherwise():
    scores, image = given()
    Q = mean_field(scores, image, **WEIGHTS)
    torch.testing.assert_close(Q.sum(dim=1), torch.ones(2, 3, 4))
    order = torch.tensor([2, 0, 1])
    other = mean_field(scores[:, order], image, **WEIGHTS)
    torch.testing.assert_close(other, Q[:, order], rtol=0, atol=1e-12)


def test_weights_of_zero_leave_the_scores_and_a_pixel_alone_has_no_neighbours():
    scores, image = given()
    none = mean_field(scores, image, spatial=0.0, bilateral=0.0)
    torch.testing.assert_close(none, scores.softmax(dim=1))
    scores, image = given(size=(1, 1))
    torch.testing.assert_close(mean_field(scores, image), scores.softmax(dim=1))


def test_like_colours_agree_over_an_edge_and_unlike_ones_do_not():
    """The bilateral kernel stops at an edge, the spatial one does not."""
    image = torch.zeros(1, 1, 6, 6)
    image[..., 3:] = 1.0
    scores = torch.zeros(1, 2, 6, 6)
    scores[:, 0, :, 0], scores[:, 1, :, 5] = 3.0, 3.0  # known at both sides
    truth = image[:, 0].long()
    found = mean_field(scores, image, spatial=0.0, bilateral=8.0, iterations=10)
    assert torch.equal(found.argmax(dim=1), truth)
    assert found.amax(dim=1).min() > 0.9


def test_each_label_has_its_own_weight_and_pairs_their_compatibility():
    scores, image = given()
    net = CRFRNN(3, **WEIGHTS)
    with torch.no_grad():
        net.spatial.copy_(torch.tensor([1.0, 2.0, 3.0]))
        net.bilateral.copy_(torch.tensor([0.5, 0.0, 0.7]))
        net.compatibility.copy_(torch.randn(3, 3, generator=torch.Generator()))
    one = net(scores, image, 1)
    Q = scores.softmax(dim=1)
    parts = []
    for w_s, w_b, label in zip(net.spatial, net.bilateral, range(3), strict=True):
        own = Q[:, label : label + 1]
        pair = torch.cat([own, 1 - own], dim=1).log()
        messages = []  # a field of two labels tells its message m: 2 m - 1 is gained
        for near, alike in ((1.0, 0.0), (0.0, 1.0)):
            kind = {"spatial": near, "bilateral": alike, "widths": WIDTHS}
            after = mean_field(pair, image, iterations=1, **kind).log()
            gain = (after[:, :1] - after[:, 1:]) - (pair[:, :1] - pair[:, 1:])
            messages.append((gain + 1) / 2)
        parts.append(w_s * messages[0] + w_b * messages[1])
    agreement = torch.cat(parts, dim=1)
    penalty = torch.einsum("lm,bmhw->blhw", net.compatibility, agreement)
    expected = (scores - penalty).log_softmax(dim=1)
    torch.testing.assert_close(one, expected, rtol=0, atol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    scores, image = given(size=(2, 3))
    net = CRFRNN(3, **WEIGHTS)

    def found(scores, spatial, bilateral, compatibility):
        new = {
            "spatial": spatial,
            "bilateral": bilateral,
            "compatibility": compatibility,
        }
        return torch.func.functional_call(net, new, (scores, image))

    start = (scores, net.spatial, net.bilateral, net.compatibility)
    assert gradcheck(found, tuple(v.detach().clone().requires_grad_() for v in start))


def test_training_corrects_noisy_scores():
    generator = torch.Generator().manual_seed(0)

    def drawn(batch):
        image = torch.zeros(batch, 1, 10, 10)
        for i in range(batch):
            r, c = torch.randint(0, 5, (2,), generator=generator).tolist()
            image[i, 0, r : r + 5, c : c + 5] = 1.0
        truth = image[:, 0].long()
        noise = 1.5 * torch.randn(batch, 2, 10, 10, generator=generator)
        return torch.cat([1 - 2 * image, 2 * image - 1], 1) + noise, image, truth

    net = CRFRNN(2, spatial=0.1, bilateral=0.1)
    scores, image, truth = drawn(16)
    alone = (scores.argmax(dim=1) == truth).double().mean().item()
    adam = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(30):
        noisy, pixels, labels = drawn(8)
        loss = torch.nn.functional.nll_loss(net(noisy, pixels), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
    after = (net(scores, image).argmax(dim=1) == truth).double().mean().item()
    assert 1 - after < 0.3 * (1 - alone)


def test_survives_copy_pickle_save_and_export():
    scores, image = given()
    net = CRFRNN(3, **WEIGHTS)
    expected = net(scores, image)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other(scores, image), expected)
    exported = torch.export.export(net, (scores, image)).module()
    torch.testing.assert_close(exported(scores, image), expected)


@pytest.mark.parametrize(
    ("change", "kind", "shown"),
    [
        ({"scores": lambda s: s[0]}, ValueError, r"scores has shape \(3, 3, 4\): exp"),
        ({"image": lambda s: s[0]}, ValueError, r"image has shape \(2, 3, 4\)"),
        ({"image": lambda s: s[..., :2]}, ValueError, r"but image \(2, 2, 3, 2\)"),
        (
            {"image": lambda s: s.float()},
            TypeError,
            "image has dtype torch.float32",
        ),
        ({"scores": lambda s: s * torch.inf}, ValueError, r"scores\[.*\] is -?inf"),
    ],
)
def test_refuses_by_name(change, kind, shown):
    scores, image = given()
    both = {"scores": scores, "image": image}
    both = {k: change.get(k, lambda v: v)(v) for k, v in both.items()}
    for method in (mean_field, CRFRNN(3)):
        with pytest.raises(kind, match=shown):
            method(**both)


def test_refuses_numbers_by_name():
    scores, image = given()
    with pytest.raises(ValueError, match="width theta_beta is 0.0"):
        mean_field(scores, image, widths=(1.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="iterations is -1"):
        mean_field(scores, image, iterations=-1)
    with pytest.raises(ValueError, match="iterations is -2"):
        CRFRNN(3)(scores, image, iterations=-2)
    with pytest.raises(ValueError, match="labels is 1: expected at least 2"):
        CRFRNN(1)
    with pytest.raises(ValueError, match="scores have 3 labels: expected 4"):
        CRFRNN(4)(scores, image)
