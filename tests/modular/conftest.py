"""Float64, one thread; every test makes its own generator from its own seed."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="module", autouse=True)
def float64() -> Iterator[None]:
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(dtype)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(11)
