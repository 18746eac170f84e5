"""Compressors: what they promise of every vector, and of the mean of many messages."""

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modular._packing import bits_for, pack, unpack
from modular.communication import QSGD, ErrorFeedback, RandomK, Sign, TernGrad, TopK

DRAWS = 4000
UNBIASED = {
    "random-k": lambda g: RandomK(0.3, g),
    "QSGD 1": lambda g: QSGD(1, g),
    "QSGD 4": lambda g: QSGD(4, g),
    "QSGD 127": lambda g: QSGD(127, g),
    "TernGrad": lambda g: TernGrad(g),
}
BIASED = {"top-k": TopK(0.3), "sign": Sign()}
EVERY = {name: make(None) for name, make in UNBIASED.items()} | BIASED
vectors = st.lists(
    st.floats(-1e3, 1e3, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3),
    min_size=1,
    max_size=40,
).map(lambda values: torch.tensor(values, dtype=torch.float64))
each = pytest.mark.parametrize("name", EVERY)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", UNBIASED)
def test_mean_of_many_messages_is_the_vector(name: str) -> None:
    v = torch.randn(10, generator=chance(1), dtype=torch.float64)
    compress = UNBIASED[name](chance(2))
    received = torch.stack([compress(v) for _ in range(DRAWS)])
    deviation = received.std(dim=0) / DRAWS**0.5
    assert ((received.mean(dim=0) - v).abs() <= 5 * deviation + 1e-12).all()


@pytest.mark.parametrize("name", UNBIASED)
def test_variance_keeps_its_bound(name: str) -> None:
    v = torch.randn(10, generator=chance(1), dtype=torch.float64)
    compress = UNBIASED[name](chance(2))
    errors = [(compress(v) - v).square().sum().item() for _ in range(DRAWS)]
    bound = compress.variance(10) * v.square().sum().item()
    mean = sum(errors) / len(errors)
    assert mean <= bound * 1.05
    if name == "random-k":  # whose bound is exact
        assert mean == pytest.approx(bound, rel=0.05)


@settings(deadline=None)
@given(vectors)
def test_terngrads_variance_is_at_most_its_bound(v: torch.Tensor) -> None:
    exact = v.abs().max() * v.abs().sum() - v.square().sum()
    assert exact <= TernGrad().variance(len(v)) * v.square().sum() + 1e-9


def test_terngrads_bound_is_reached() -> None:
    v = torch.full((9,), 1 / (1 + 3), dtype=torch.float64)  # 1, and 1 / (1 + sqrt(d))
    v[0] = 1.0
    exact = v.abs().max() * v.abs().sum() - v.square().sum()
    assert exact.item() == pytest.approx(TernGrad().variance(9) * v.square().sum())


@settings(deadline=None)
@given(vectors, st.floats(0.01, 1.0))
def test_top_k_is_a_contraction_of_every_vector(v: torch.Tensor, share: float) -> None:
    k = max(1, round(share * len(v)))
    left = (TopK(share)(v) - v).square().sum()
    assert left <= (1 - k / len(v)) * v.square().sum() * (1 + 1e-12)


@settings(deadline=None)
@given(vectors)
def test_signs_error_is_what_the_docstring_says(v: torch.Tensor) -> None:
    v = v[v != 0]
    if len(v):
        square = v.square().sum()
        share = v.abs().sum() ** 2 / (len(v) * square)
        error = (Sign()(v) - v).square().sum()
        torch.testing.assert_close(error, (1 - share) * square, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(st.lists(vectors, min_size=1, max_size=6), st.sampled_from(sorted(EVERY)))
def test_feedback_loses_nothing(steps: list[torch.Tensor], name: str) -> None:
    size = min(len(v) for v in steps)
    compress = ErrorFeedback(EVERY[name])
    given, sent = torch.zeros(size).double(), torch.zeros(size).double()
    for v in steps:
        given, sent = given + v[:size], sent + compress(v[:size])
    torch.testing.assert_close(sent + compress.left, given, rtol=1e-11, atol=1e-9)


def test_feedback_takes_the_factor_of_random_k_out() -> None:
    v = torch.arange(1.0, 11.0, dtype=torch.float64)
    found = ErrorFeedback(RandomK(0.3, chance()))(v)
    assert torch.equal(found[found != 0], v[found != 0]) and (found != 0).sum() == 3


@pytest.mark.parametrize("name", UNBIASED)
def test_feedback_makes_a_contraction_of_what_is_unbiased(name: str) -> None:
    v = torch.randn(10, generator=chance(1), dtype=torch.float64)
    make = UNBIASED[name]
    shared = chance(3)
    errors = [(ErrorFeedback(make(shared))(v) - v).square().sum() for _ in range(2000)]
    omega = make(None).variance(10)
    bound = omega / (1 + omega) * v.square().sum()
    assert sum(errors) / len(errors) <= bound * 1.05


def test_without_feedback_small_entries_never_arrive() -> None:
    g = torch.tensor([1.0, 0.1])
    plain, kept = TopK(0.5), ErrorFeedback(TopK(0.5))
    assert sum(plain(g) for _ in range(50))[1] == 0
    assert sum(kept(g) for _ in range(50))[1] == pytest.approx(5.0, abs=1.0)


@each
def test_all_of_everything_is_exact_or_near(name: str) -> None:
    v = torch.randn(3, 4, generator=chance(), dtype=torch.float64)
    if name in ("top-k", "random-k"):
        assert torch.equal(type(EVERY[name])(1.0)(v), v)
    assert EVERY[name](v).shape == v.shape


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_follows(name: str, dtype: torch.dtype) -> None:
    assert EVERY[name](torch.ones(5, dtype=dtype)).dtype == dtype


@each
def test_zeros_arrive_as_zeros(name: str) -> None:
    assert torch.equal(EVERY[name](torch.zeros(7)), torch.zeros(7))


BYTES = {  # of 1000 numbers in float32, which are 4000
    "random-k": 300 * 8,
    "QSGD 1": 4 + 250,
    "QSGD 4": 4 + 500,
    "QSGD 127": 4 + 1000,
    "TernGrad": 4 + 250,
    "top-k": 300 * 8,
    "sign": 4 + 125,
}


@each
def test_bytes_are_those_of_the_message(name: str) -> None:
    assert EVERY[name].count(torch.randn(1000, dtype=torch.float32)) == BYTES[name]
    memory = ErrorFeedback(EVERY[name])
    assert (
        memory.count(torch.randn(1000, dtype=torch.float32)) == BYTES[name]
        and memory.left is None
    )


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=30),
    st.sampled_from([1, 2, 4, 8]),
)
def test_packing_is_undone(codes: list[int], bits: int) -> None:
    codes = torch.tensor(codes) % 2**bits
    packed = pack(codes, bits)
    assert len(packed) == -(-len(codes) * bits // 8)
    assert torch.equal(unpack(packed, bits, len(codes)), codes.to(torch.uint8))
    assert [bits_for(v) for v in (2, 3, 4, 5, 16, 17)] == [1, 2, 2, 4, 4, 8]


def test_memory_survives_pickle() -> None:
    compress = ErrorFeedback(TopK(0.5))
    compress(torch.tensor([2.0, 1.0]))
    again = pickle.loads(pickle.dumps(compress))
    v = torch.tensor([0.5, 0.1])
    assert torch.equal(again(v), compress(v))


@pytest.mark.parametrize("kind", [TopK, RandomK])
@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, float("nan")])
def test_shares_are_refused(kind: type, share: float) -> None:
    with pytest.raises(ValueError, match=rf"share is {share}: expected a number in"):
        kind(share)


def test_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="levels is 0: expected at least 1"):
        QSGD(0)
    with pytest.raises(ValueError, match="levels is 128: expected at most 127"):
        QSGD(128)
    with pytest.raises(TypeError, match=r"levels is 2\.5: expected an int"):
        QSGD(2.5)


@each
def test_what_is_no_gradient_is_refused(name: str) -> None:
    compress = ErrorFeedback(EVERY[name])
    with pytest.raises(ValueError, match=r"v\[1\] is nan: expected finite entries"):
        compress(torch.tensor([1.0, float("nan")]))
    with pytest.raises(ValueError, match=r"dtype torch\.int64 and shape \(2,\)"):
        compress(torch.arange(2))
    with pytest.raises(ValueError, match=r"shape \(0,\): expected floating-point"):
        EVERY[name](torch.zeros(0))


def test_feedback_is_of_one_tensor_and_of_a_compressor() -> None:
    compress = ErrorFeedback(Sign())
    compress(torch.ones(3))
    with pytest.raises(ValueError, match=r"shape \(2,\) but the memory has \(3,\)"):
        compress(torch.ones(2))
    with pytest.raises(TypeError, match=r"compressor is 0\.1: expected a Compressor"):
        ErrorFeedback(0.1)
