"""The same factors as curvlinops finds, where that is installed.

It asks for torchvision, which brings a torch of its own: ``pip install --no-deps
curvlinops-for-pytorch backpack-for-pytorch einops einconv unfoldNd linear-operator
opt-einsum``. What it found is stored, as part ``oracle`` of ``curvature.json``.
"""

import pytest

pytest.importorskip("curvlinops")

from tests.benchmarks.modular.curvature import oracle


@pytest.mark.parametrize("seed", [0, 1])
def test_factors_are_those_of_curvlinops(seed: int) -> None:
    assert max(oracle(seed).values()) < 1e-12
