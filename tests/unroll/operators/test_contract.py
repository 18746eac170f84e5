"""What every operator promises: its adjoint, its norm, batches, gradients, copies."""

import copy
import io
import math
import pickle

import pytest
import torch

from tests.unroll.operators.cases import OPERATORS, Twice
from unroll.operators import (
    Blur,
    Convolution,
    FourierSample,
    Mask,
    Matrix,
    Operator,
    Ray,
)

each = pytest.mark.parametrize("name", OPERATORS)


def numbers(shape, like, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(shape, dtype=like).normal_(generator=generator)


def pair(operator, batch=(2,), kind=None, seed=0):
    """Return random ``x`` and ``b`` that fit."""
    kind = kind or next(
        (t.dtype for t in operator.buffers() if t.is_complex()), torch.float64
    )
    x = numbers((*batch, *operator.domain), kind, seed)
    measured = operator(x)
    return x, numbers(measured.shape, measured.dtype, seed + 1)


def dense(operator):
    """Return the matrix, column by column."""
    kind = next((t.dtype for t in operator.buffers() if t.is_complex()), torch.float64)
    n = math.prod(operator.domain)
    columns = torch.eye(n, dtype=kind).reshape(n, *operator.domain)
    return operator(columns).flatten(1).T


@each
@pytest.mark.parametrize("kind", [None, torch.complex128], ids=["own", "complex"])
def test_adjoint_by_inner_products(name, kind):
    """<A x, b> = <x, A* b>, as complex numbers, with two axes before the domain."""
    operator = OPERATORS[name]()
    x, b = pair(operator, batch=(3, 2), kind=kind)
    left = torch.vdot(operator(x).flatten(), b.flatten())
    back = operator.adjoint(b)
    right = torch.vdot(x.flatten().to(back.dtype), back.flatten())
    assert x.shape == back.shape
    if not (x.is_complex() or operator(x).is_complex()):
        assert not back.is_complex()
    scale = (operator(x).norm() * b.norm()).item()
    assert abs((left - right).item()) <= 1e-13 * scale


@each
def test_it_is_its_matrix_and_the_conjugate_transpose(name):
    operator = OPERATORS[name]()
    A = dense(operator)
    x, b = pair(operator)
    product = x.flatten(1).to(A.dtype) @ A.T
    torch.testing.assert_close(operator(x).flatten(1), product, rtol=0, atol=1e-12)
    back = operator.adjoint(b).flatten(1)
    torch.testing.assert_close(back, b.flatten(1) @ A.conj(), rtol=0, atol=1e-12)


@each
def test_norm_is_the_largest_singular_value(name):
    operator = OPERATORS[name]()
    largest = torch.linalg.matrix_norm(dense(operator), 2).item()
    by_power = Operator.norm(operator)
    assert largest * (1 - 1e-12) <= by_power <= 1.001 * largest
    assert operator.norm() == pytest.approx(largest, rel=1e-3)
    if type(operator).norm is not Operator.norm:
        assert operator.norm() == pytest.approx(largest, rel=1e-12)
    finer = Operator.norm(operator, tol=1e-6, generator=torch.Generator())
    assert largest * (1 - 1e-12) <= finer <= (1 + 1e-6) * largest


@each
def test_a_batch_is_a_loop(name):
    operator = OPERATORS[name]()
    x, b = pair(operator, batch=(3, 2))
    for i in range(3):
        for j in range(2):
            one = operator(x[i, j][None])[0]
            torch.testing.assert_close(operator(x)[i, j], one, rtol=0, atol=1e-12)
            one = operator.adjoint(b[i, j][None])[0]
            back = operator.adjoint(b)[i, j]
            torch.testing.assert_close(back, one, rtol=0, atol=1e-12)


@each
def test_the_gradient_of_each_direction_is_the_other(name):
    operator = OPERATORS[name]()
    x, b = pair(operator)
    x.requires_grad_(), b.requires_grad_()
    back = operator.adjoint(b)
    (gradient,) = torch.autograd.grad(operator(x), x, b.detach())
    expected = back if x.is_complex() else back.real
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)
    (gradient,) = torch.autograd.grad(back, b, x.detach().to(back.dtype))
    torch.testing.assert_close(gradient, operator(x), rtol=0, atol=1e-12)


def test_a_gradient_can_be_differentiated_again():
    """1/2 ||A x||^2 has the Hessian A* A: what training through a solver needs."""
    operator = OPERATORS["Ray"]()
    x, _ = pair(operator)
    x.requires_grad_()
    v = torch.randn_like(x)
    cost = 0.5 * operator(x).square().sum()
    (slope,) = torch.autograd.grad(cost, x, create_graph=True)
    (curved,) = torch.autograd.grad((slope * v).sum(), x)
    expected = operator.adjoint(operator(v))
    torch.testing.assert_close(curved, expected, rtol=0, atol=1e-12)


@each
@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
def test_dtype_follows_and_another_one_is_refused(name):
    operator = OPERATORS[name]()
    x, b = pair(operator)
    narrow = {torch.float64: torch.float32, torch.complex128: torch.complex64}
    returned = operator.adjoint(b).dtype
    other = [t for t in operator.buffers() if t.is_floating_point() or t.is_complex()]
    if other:
        with pytest.raises(TypeError, match="x has dtype .*32|x has dtype .*64"):
            operator(x.to(narrow[x.dtype]))
        with pytest.raises(TypeError, match="b has dtype"):
            operator.adjoint(b.to(narrow[b.dtype]))
        operator.to(narrow[other[0].dtype])
    single = operator(x.to(narrow[x.dtype]))
    assert single.dtype == narrow[b.dtype]
    assert operator.adjoint(single).dtype == narrow[returned]


@each
def test_it_survives_copies_and_its_state_is_its_tensors(name):
    operator = OPERATORS[name]()
    x, b = pair(operator)
    for twin in (copy.deepcopy(operator), pickle.loads(pickle.dumps(operator))):
        assert torch.equal(twin(x), operator(x))
        assert torch.equal(twin.adjoint(b), operator.adjoint(b))
    stored = io.BytesIO()
    torch.save(operator.state_dict(), stored)
    stored.seek(0)
    for buffer in twin.buffers():
        buffer.zero_()
    twin.load_state_dict(torch.load(stored))
    assert torch.equal(twin(x), operator(x))


@each
def test_other_shapes_are_refused_by_name(name):
    operator = OPERATORS[name]()
    x, b = pair(operator)
    wanted = ", ".join(map(str, operator.domain))
    with pytest.raises(
        ValueError, match=rf"x has shape .* \(batch, \.\.\., {wanted}\)"
    ):
        operator(x[0])  # no batch
    with pytest.raises(ValueError, match=r"b has shape .*: expected \(batch, \.\.\., "):
        operator.adjoint(b[..., :-1])
    with pytest.raises(TypeError, match="x has dtype torch.int64"):
        operator(torch.ones(x.shape, dtype=torch.int64))
    with pytest.raises(TypeError, match="b is of type list"):
        operator.adjoint([1.0])


def test_chance_is_explicit():
    state = torch.get_rng_state()
    operator = OPERATORS["Ray"]()
    assert operator.norm() == operator.norm()
    Mask.random((6, 7), 0.5, torch.Generator().manual_seed(1))
    assert torch.equal(torch.get_rng_state(), state)
    first, again = (
        Mask.random((6, 7), 0.5, torch.Generator().manual_seed(1)) for _ in range(2)
    )
    assert torch.equal(first.index, again.index)


def test_an_operator_of_ones_own_has_a_norm():
    assert Twice((3,)).norm() == pytest.approx(2, rel=1e-12)


def test_the_power_method_says_where_it_did_not_arrive(monkeypatch):
    monkeypatch.setattr("unroll.operators.base._MOST", 20)
    with pytest.warns(UserWarning, match=r"ends after 20 steps .* above 1e-30"):
        Operator.norm(OPERATORS["Ray"](), tol=1e-30)
    with pytest.raises(ValueError, match=r"tol is 0: expected a positive"):
        Operator.norm(OPERATORS["Ray"](), tol=0)


# Refusals at construction

BOOLS = torch.tensor([[True, False]])


@pytest.mark.parametrize(
    ("call", "error", "shown"),
    [
        (lambda: Matrix(torch.ones(3)), ValueError, r"A has shape \(3,\)"),
        (lambda: Matrix(torch.ones(3, 4), (2, 3)), ValueError, r"\(2, 3\) but A has 4"),
        (lambda: Matrix([[1.0]]), TypeError, "A is of type list"),
        (lambda: Matrix(torch.eye(2).long()), TypeError, "A has dtype torch.int64"),
        (lambda: Matrix(torch.eye(2) / 0), ValueError, "A has entries that are not"),
        (
            lambda: Matrix(torch.eye(2).requires_grad_()),
            ValueError,
            r"A requires gradients .* A\.detach\(\)",
        ),
        (lambda: Mask(torch.ones(2)), TypeError, r"mask is of type torch\.float64"),
        (lambda: Mask(~BOOLS & BOOLS), ValueError, "mask is false everywhere"),
        (lambda: Mask.random((2, 2), 0.0), ValueError, r"fraction is 0\.0"),
        (lambda: Mask.random((2, 0), 0.5), ValueError, r"size is \(2, 0\)"),
        (lambda: FourierSample(BOOLS[0]), ValueError, r"size is \(2,\)"),
        (lambda: FourierSample.random((2, 2), 1.5), ValueError, r"fraction is 1\.5"),
        (lambda: Blur(torch.ones(3), (4, 4)), ValueError, r"expected \(k, l\)"),
        (lambda: Blur(torch.ones(3, 5), (4, 4)), ValueError, "no larger than the im"),
        (lambda: Blur(torch.ones(1, 1) * 1j, (4, 4)), TypeError, "expected a real"),
        (lambda: Blur.gaussian(0.0, (9, 9)), ValueError, r"std is 0\.0"),
        (lambda: Blur.gaussian(1.0, (9, 9), radius=-1), ValueError, "radius is -1"),
        (
            lambda: Convolution(torch.ones(3, 3), (4, 4)),
            ValueError,
            r"atoms has shape \(3, 3\): expected \(atoms, k, l\)",
        ),
        (lambda: Ray((4, 4), 0), ValueError, "angles is 0"),
        (lambda: Ray((4, 4), 2.5), TypeError, r"angles is 2\.5"),
        (lambda: Ray((4, 4), torch.ones(2, 2)), ValueError, r"angles has shape \(2, 2"),
        (lambda: Ray((4, 4), torch.ones(1) / 0), ValueError, r"angles\[0\] is inf"),
        (lambda: Ray((4, 4), 3, 0), ValueError, "detectors is 0"),
        (lambda: Ray((True, 4), 3), ValueError, r"size is \(True, 4\)"),
    ],
)
def test_refuses_bad_operators(call, error, shown):
    with pytest.raises(error, match=shown):
        call()
