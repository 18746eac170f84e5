"""What holds for every network, whatever its method."""

import copy
import inspect
import io
import pickle

import pytest
import torch
from torch.autograd import gradcheck

import unroll as u
from tests.unroll.networks.cases import DEPTH, NETWORKS, disturbed, problem
from unroll.networks._state import packed

each = pytest.mark.parametrize("case", NETWORKS, ids=str)


@each
def test_equals_its_parent_at_every_depth_before_training(case):
    for seed in (0, 2):
        A, b, _ = problem(seed)
        expected = case.parent(A, b)
        iterates = case.make(A).iterates(b)
        assert iterates.shape == expected.shape == (DEPTH + 1, 6, 16)
        torch.testing.assert_close(iterates, expected, rtol=0, atol=1e-12)
        assert iterates[-1].any(), "a code of zeros would prove nothing"


@each
def test_the_iterates_start_at_zero_and_end_at_the_output(case):
    A, b, _ = problem()
    net = disturbed(case.make(A))
    iterates = net.iterates(b)
    assert not iterates[0].any()
    for depth in range(DEPTH + 1):
        assert torch.equal(net(b, depth=depth), iterates[depth])
        assert torch.equal(net.iterates(b, depth=depth), iterates[: depth + 1])
    assert torch.equal(net(b), iterates[-1])


@each
def test_save_and_load_give_the_same_bits(case):
    A, b, _ = problem()
    net, file = disturbed(case.make(A)), io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    other = case.make(problem(seed=9)[0])
    assert not torch.equal(other(b), net(b))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.iterates(b), net.iterates(b))
    assert torch.equal(copy.deepcopy(net)(b), net(b))


def default(net: u.Unrolled, A: torch.Tensor) -> u.Unrolled:
    """Return a network of the same kind and size with the settings of nobody."""
    tied = {"tied": True} if len(net.layers) < net.depth else {}
    if "tied" not in inspect.signature(type(net)).parameters:
        tied = {}
    hidden = {"hidden": 4} if isinstance(net, u.NAALISTA) else {}
    return type(net)(A, net.depth, **tied, **hidden)


@each
def test_the_state_holds_all_that_decides_the_output(case):
    """Loading into a network that was built with other counts, lam, epsilon, odds."""
    A, b, _ = problem()
    net = disturbed(case.make(A))
    other = default(net, problem(seed=9)[0])
    other.load_state_dict(net.state_dict())
    found = other.iterates(b)  # its matrices may lie in memory in another order
    torch.testing.assert_close(found, net.iterates(b), rtol=0, atol=1e-12)
    for name in net.settings:
        assert getattr(other, name) == getattr(net, name)


@each
@pytest.mark.parametrize("unit", [0.01, 100.0])
def test_another_unit_of_the_measurements_changes_no_code(case, unit):
    """Also where a start is given as a number, as lam and ridge are."""
    A, b, _ = problem()
    kind = case.make(A)
    one, other = default(kind, A), default(kind, unit * A)
    found = other.iterates(unit * b)
    torch.testing.assert_close(found, one.iterates(b), rtol=1e-6, atol=1e-8)


@each
def test_refuses_the_state_of_another_method_and_takes_nothing_of_it(case):
    A, b, _ = problem()
    net = case.make(A)
    before = net(b)
    for other in NETWORKS[::3]:
        foreign = other.make(problem(seed=9)[0])
        if type(foreign) is type(net):
            continue
        with pytest.raises(ValueError, match=f"state has network = '{other.name[:4]}"):
            net.load_state_dict(foreign.state_dict())
    if not isinstance(net, u.HyperLISTA):
        with pytest.raises(ValueError, match="depth = 2 but this network 5"):
            net.load_state_dict(type(net)(A, 2).state_dict())
    assert torch.equal(net(b), before)


@pytest.mark.parametrize("method", [u.LISTA, u.LISTACP, u.LISTACPSS, u.LAMP])
def test_refuses_the_state_of_a_tied_network_where_it_is_not_tied(method):
    A = problem()[0]
    tied, untied = method(A, 3, tied=True), method(A, 3)
    for one, other in ((tied, untied), (untied, tied)):
        with pytest.raises(ValueError, match="layers of its own but this network [13]"):
            one.load_state_dict(other.state_dict())
        nested, foreign = torch.nn.Sequential(one), torch.nn.Sequential(other)
        with pytest.raises(ValueError, match="expected both tied, or both not"):
            nested.load_state_dict(foreign.state_dict())


@each
def test_refuses_a_state_without_settings_and_one_that_is_none(case):
    A, b, _ = problem()
    net = case.make(A)
    before, state = net(b), disturbed(case.make(problem(seed=9)[0])).state_dict()
    older = {k: v for k, v in net.described().items() if k != "depth"}
    broken = {
        "state lacks depth: an earlier version wrote it": packed(older),
        "state has _extra_state = tensor.*: expected the settings of": torch.rand(3),
        r"state has _extra_state = tensor\(\[110, .*: expected": packed(None),
    }
    for text, settings in broken.items():
        with pytest.raises(ValueError, match=text):
            net.load_state_dict(state | {"_extra_state": settings})
    assert torch.equal(net(b), before)


@each
def test_survives_pickle_vmap_and_export(case):
    A, b, _ = problem()
    net = disturbed(case.make(A))
    with torch.no_grad():
        expected = net(b)
        assert torch.equal(pickle.loads(pickle.dumps(net))(b), expected)
        mapped = torch.func.vmap(lambda row: net(row[None])[0])(b)
        torch.testing.assert_close(mapped, expected, rtol=0, atol=1e-12)
        sizes = {"b": {0: torch.export.Dim("batch")}}
        program = torch.export.export(net, (b,), dynamic_shapes=sizes).module()
        torch.testing.assert_close(program(b), expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(program(b[:3]), expected[:3], rtol=0, atol=1e-12)


@each
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused_at_the_start_and_supported_after(case, dtype):
    A, b, _ = problem()
    with pytest.raises(TypeError, match=rf"A has dtype {dtype}, too few digits"):
        case.make(A.to(dtype))
    net = case.make(A)
    expected, code = net(b), net.to(dtype)(b.to(dtype))
    assert code.dtype == dtype
    error = (code.double() - expected).norm() / expected.norm()
    assert error < {torch.float16: 0.02, torch.bfloat16: 0.1}[dtype]


@each
def test_gradients_are_those_of_the_output(case):
    A, b, _ = problem(m=5, n=7, batch=2)
    net = disturbed(case.make(A))
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    names = [name for name in parameters if not name.endswith("c3")]

    def output(b, *values):
        changed = parameters | dict(zip(names, values, strict=True))
        return torch.func.functional_call(net, changed, (b, 2))

    inputs = [b, *(parameters[name] for name in names)]
    inputs = [tensor.clone().requires_grad_() for tensor in inputs]
    assert gradcheck(output, inputs, atol=1e-6)


@each
def test_permuting_the_atoms_permutes_the_code(case):
    A, b, _ = problem()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(5))
    expected = case.make(A).iterates(b)[..., order]
    permuted = case.make(A[:, order]).iterates(b)
    torch.testing.assert_close(permuted, expected, rtol=0, atol=1e-12)


@each
def test_samples_do_not_see_each_other(case):
    A, b, _ = problem()
    net = disturbed(case.make(A))
    whole = net.iterates(b)
    for i in range(len(b)):
        alone = net.iterates(b[i : i + 1])[:, 0]
        torch.testing.assert_close(alone, whole[:, i], rtol=0, atol=1e-12)


@each
@pytest.mark.parametrize("amount", [1.0, 30.0])
def test_numbers_that_must_not_be_negative_never_are(case, amount):
    net = disturbed(case.make(problem()[0]), amount)
    for module in net.modules():
        if isinstance(module, u.Positive):
            assert (module() >= 0).all()
    net.iterates(problem()[1])  # a negative threshold would be refused


@each
def test_every_parameter_hears_from_every_objective(case):
    A, b, x = problem()
    net = disturbed(case.make(A))
    (net.iterates(b)[1:] - x).square().sum(dim=(1, 2)).log().sum().backward()
    for name, parameter in net.named_parameters():
        if name.endswith("c3"):
            assert parameter.grad is None, "a count has no gradient"
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # The first momentum, first gates and first overshoot act on the code 0.
        if "layers.0" not in name:
            assert parameter.grad.any(), name


@each
def test_a_zero_measurement_has_a_zero_code_and_finite_gradients(case):
    A, b, _ = problem()
    net = disturbed(case.make(A))
    code = net(torch.zeros_like(b))
    assert not code.any()
    (net(torch.cat([b, torch.zeros_like(b)])).square().sum()).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@each
def test_dtype_follows_the_dictionary_and_can_be_changed(case):
    A, b, _ = problem()
    net = case.make(A.float())
    assert net(b.float()).dtype == torch.float32
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    close = dict(rtol=0, atol=1e-4)
    torch.testing.assert_close(net.double()(b), case.make(A)(b), **close)


@each
def test_the_dictionary_is_kept_by_value(case):
    A, b, _ = problem()
    net = case.make(A)
    before = net(b)
    A.zero_()
    assert torch.equal(net(b), before)


@each
def test_refuses_what_does_not_fit(case):
    A, b, _ = problem()
    net = case.make(A)
    with pytest.raises(ValueError, match="b has 9 columns but A has 10 rows"):
        net(b[:, :9])
    with pytest.raises(
        TypeError, match=r"b has dtype torch\.float32 but A has torch\.f"
    ):
        net(b.float())
    with pytest.raises(ValueError, match=r"b\[0, 2\] is nan"):
        net.iterates(b.index_fill(1, torch.tensor([2]), float("nan")))
    with pytest.raises(ValueError, match=r"b has shape \(0, 10\)"):
        net(b[:0])
    with pytest.raises(ValueError, match="depth is 6 but the network has 5 layers"):
        net(b, depth=6)
    with pytest.raises(ValueError, match="depth is -1"):
        net.iterates(b, depth=-1)


def constructors():
    kinds = [getattr(u.networks, name) for name in u.networks.__all__]
    return [k for k in kinds if issubclass(k, u.Unrolled) and k is not u.Unrolled]


@pytest.mark.parametrize("net", constructors(), ids=lambda net: net.__name__)
def test_constructors_refuse_bad_dictionaries_and_depths(net):
    A = problem()[0]
    with pytest.raises(TypeError, match="A is of type list"):
        net([[1.0]])
    with pytest.raises(ValueError, match=r"A has shape \(3,\)"):
        net(torch.ones(3))
    with pytest.raises(ValueError, match=r"A\[0, 0\] is nan"):
        net(A * float("nan"))
    with pytest.raises(ValueError, match="A is zero everywhere"):
        net(torch.zeros(2, 3))
    with pytest.raises(TypeError, match=r"A has layout torch\.sparse_coo"):
        net(A.to_sparse())
    with pytest.raises(TypeError, match=r"A has dtype torch\.complex128"):
        net(A + 0j)
    with pytest.raises(ValueError, match=r"(A|weight) requires gradients but is kept"):
        net(A.clone().requires_grad_())
    with pytest.raises(ValueError, match="depth is 0: expected at least 1"):
        net(A, 0)
    with pytest.raises(TypeError, match=r"depth is 2\.5"):
        net(A, 2.5)
    assert net(A).depth == 16


def test_every_public_network_is_in_the_contract():
    covered = {type(case.make(problem()[0])) for case in NETWORKS}
    assert covered == set(constructors())
