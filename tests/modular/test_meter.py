"""The meter of saved tensors."""

import torch
from torch import nn

from modular.meter import SavedTensors


def test_the_meter_counts_a_storage_once_and_parameters_never() -> None:
    x = torch.ones(10, 4)
    layer = nn.Linear(4, 4)
    with SavedTensors(exclude=layer.parameters()) as meter:
        meter.label = "first"
        a = layer(x)  # saves x
        meter.label = "second"
        b = (a[:5] * a[5:]).sum()  # saves two views of a
        assert meter.now == 2 * 10 * 4 * 8
        assert meter.peaks == {"first": 320, "second": 320}
        b.backward()
    assert meter.now == 0
    assert meter.peak == 640
