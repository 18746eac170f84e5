"""What is remembered is as near as promised, and as small as claimed."""

import itertools
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from modular.memory import SZ3, BitAllocator, Groupwise, Identity, LinearQuantizer
from modular.memory.codec import Codec

FLOATS = st.floats(-1e5, 1e5, width=32, allow_subnormal=True)


@settings(deadline=None, max_examples=100)
@given(numbers=st.lists(FLOATS, min_size=1, max_size=40), power=st.integers(-4, 3))
def test_numbers_stay_within_the_bound_zeros_and_signs_exactly(
    numbers: list[float], power: int
) -> None:
    x, bound = torch.tensor(numbers, dtype=torch.float32), 10.0**power
    found = LinearQuantizer(bound)(x)
    rounding = x.abs() * torch.finfo(torch.float32).eps + 1e-12 * bound
    assert ((found.double() - x.double()).abs() <= bound + rounding).all()
    assert torch.equal(found.sign(), x.sign())
    again = LinearQuantizer(bound)(found)
    assert (again - found).abs().max() <= bound


@settings(deadline=None, max_examples=50)
@given(numbers=st.lists(FLOATS, min_size=1, max_size=40), power=st.integers(-4, 3))
def test_sz3_keeps_its_bound_and_signs_that_it_would_lose(
    numbers: list[float], power: int
) -> None:
    x, bound = torch.tensor(numbers, dtype=torch.float64), 10.0**power
    found = SZ3(bound)(x)
    assert ((found - x).abs() <= bound * (1 + 1e-9) + 1e-12 * x.abs()).all()
    assert torch.equal(found.sign(), x.sign())


def test_sz3_remembers_a_smooth_map_in_few_bytes_and_refuses_what_it_cannot() -> None:
    t = torch.linspace(0, 9, 4096, dtype=torch.float32)
    codec, x = SZ3(0.01), torch.outer(t.sin(), t[:64].cos()).relu()
    assert codec.count(codec.encode(x)) < x.nbytes / 20
    assert codec(x).shape == x.shape and codec(x).dtype == x.dtype
    with pytest.raises(ValueError, match="bfloat16: SZ3 expects float32 or float64"):
        codec.encode(x.bfloat16())
    with pytest.raises(ValueError, match="x is empty"):
        codec.encode(x[:0])
    with pytest.raises(ValueError, match="bound"):
        SZ3(0.0)


def test_sz3_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysz", None)
    with pytest.raises(ImportError, match="SZ3 needs pysz: pip install pysz"):
        SZ3(0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("codec", [Identity(), LinearQuantizer(0.1), Groupwise(4)])
def test_shape_and_dtype_come_back(codec: Codec, dtype: torch.dtype) -> None:
    x = torch.randn(3, 5, 7, dtype=torch.float64).to(dtype)[:, 1:]
    found = codec(x)
    assert found.shape == x.shape and found.dtype == dtype
    assert isinstance(codec.count(codec.encode(x)), int)


class Largest(TorchDispatchMode):
    """Note the bytes of the largest tensor that is made, views of one left out."""

    def __init__(self, given: torch.Tensor) -> None:
        super().__init__()
        self.size, self.given = 0, given.untyped_storage().data_ptr()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for t in made if isinstance(made, tuple | list) else (made,):
            if isinstance(t, torch.Tensor) and (
                t.untyped_storage().data_ptr() != self.given
            ):
                self.size = max(self.size, t.numel() * t.element_size())
        return made


def test_coding_needs_little_room_beside_what_comes_out() -> None:
    """Whoever needs another copy of the activation in double precision saves none."""
    x = torch.randn(50, 8, 1000, dtype=torch.float32)
    codec = LinearQuantizer(0.05)
    with Largest(x) as coding:
        kept = codec.encode(x)
    with Largest(x) as back:
        found = codec.decode(kept)
    assert coding.size == x.numel()  # the codes, of a byte each
    assert back.size == found.numel() * 4
    assert (found - x).abs().max() <= 0.05 * (1 + 1e-5)


def test_sparse_activations_take_little_room() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(64, 1000, generator=g, dtype=torch.float32).relu()
    codec = LinearQuantizer(0.05)
    assert codec.count(codec.encode(x)) < 4 * x.numel() / 5
    assert codec.count(codec.encode(torch.zeros_like(x))) < x.numel() / 100


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_largest_numbers_of_a_dtype_stay_numbers(dtype: torch.dtype) -> None:
    """The middle of an interval may lie beyond all numbers: it must not be infinite."""
    most = torch.finfo(dtype).max
    x = torch.tensor([most, -most, 0.0], dtype=dtype)
    for bound in (most * 0.45, most * 0.3):
        found = LinearQuantizer(bound)(x)
        assert found.isfinite().all()
        assert ((found.double() - x.double()).abs() <= bound * (1 + 1e-2)).all()


@pytest.mark.parametrize("codec", [Identity(), LinearQuantizer(0.1), Groupwise(4)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_refused_by_its_place(
    codec: Codec, dtype: torch.dtype, bad: float
) -> None:
    x = torch.ones(3, 4, dtype=dtype)
    x[1, 2] = bad
    with pytest.raises(ValueError, match=rf"x\[1, 2\] is {bad}: expected finite"):
        codec(x)


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(ValueError, match=r"x\[1\] is nan: expected finite"):
        LinearQuantizer(0.1)(torch.tensor([0.0, torch.nan]))
    wide = torch.tensor([65504.0, -65504.0], dtype=torch.float16)
    with pytest.raises(ValueError, match=r"x goes from -6.55e\+04 to 6.55e\+04"):
        Groupwise(4)(wide)
    with pytest.raises(ValueError, match="x has dtype torch.int64"):
        LinearQuantizer(0.1)(torch.arange(3))
    with pytest.raises(ValueError, match=r"x reaches 1e\+30.*of bound 0.1"):
        LinearQuantizer(0.1)(torch.tensor([1e30]))
    with pytest.raises(ValueError, match="bound is 0"):
        LinearQuantizer(0)
    with pytest.raises(ValueError, match="bits is 3: expected 1, 2, 4 or 8"):
        Groupwise(3)
    with pytest.raises(ValueError, match="group is 1"):
        Groupwise(4, group=1)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_rounding_by_chance_is_unbiased_within_its_variance(bits: int) -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(40, generator=g, dtype=torch.float64)
    codec = Groupwise(bits, group=16, generator=g)
    draws = torch.stack([codec(x) for _ in range(4000)])
    step = torch.cat(
        [(part.max() - part.min()).expand_as(part) for part in x.split(16)]
    ) / (2**bits - 1)
    assert ((draws - x).abs() <= step + 1e-12).all()
    assert ((draws.mean(0) - x).abs() < 4.5 * step / 2 / 4000**0.5 + 1e-12).all()
    assert (draws.var(0) <= step**2 / 4 * 1.01).all()
    nearest = Groupwise(bits, group=16, stochastic=False)(x)
    assert ((nearest - x).abs() <= step / 2 + 1e-12).all()


def test_groupwise_takes_the_bytes_it_says() -> None:
    x = torch.randn(1000, dtype=torch.float32)
    codec = Groupwise(2, group=250)
    assert codec.count(codec.encode(x)) == 1000 / 4 + 4 * 2 * 4
    assert torch.equal(codec(torch.ones(7)), torch.ones(7))


def test_bits_are_spent_as_well_as_by_trying_all() -> None:
    g = torch.Generator().manual_seed(0)
    for _ in range(30):
        sizes = torch.randint(1, 50, (4,), generator=g).tolist()
        c = torch.rand(4, generator=g, dtype=torch.float64).exp().tolist()
        budget = sum(sizes) * (1 + 5 * torch.rand((), generator=g).item())
        chosen = BitAllocator(sizes, c, budget).bits
        assert sum(d * b for d, b in zip(sizes, chosen, strict=True)) <= budget
        best = min(
            sum(s * 4.0**-b for s, b in zip(c, bits, strict=True))
            for bits in itertools.product((1, 2, 4, 8), repeat=4)
            if sum(d * b for d, b in zip(sizes, bits, strict=True)) <= budget
        )
        found = sum(s * 4.0**-b for s, b in zip(c, chosen, strict=True))
        assert found == pytest.approx(best, abs=1e-12)
    with pytest.raises(ValueError, match="budget is 17: expected at least 18"):
        BitAllocator([9, 9], [1.0, 1.0], 17)
    codec = BitAllocator([9], [1.0], 36).codec
    assert codec(0).bits == 4 and isinstance(codec(1), Identity)
