"""Pictures: labelled, and complete."""

import pytest

from modular import (
    Calibrated,
    Interlocking,
    audit,
    plot,
)
from modular.training import Method
from tests.modular.cases import METHODS
from tests.modular.nets import batch, trainer


def test_plots_have_labels() -> None:
    import matplotlib.pyplot as plt
    import torch

    one = trainer(Interlocking(2))
    figure, axes = plt.subplots(1, 4)
    plot.accuracy(axes[0], {"a": torch.rand(3, 4), "b": torch.rand(4)})
    plot.gantt(axes[1], audit.timeline(one, Calibrated(1.0, 2.0), steps=2))
    plot.isolation(axes[2], audit.isolation(one, batch()))
    costs = {"a": 1.0, "b": 2.0, "c": 3.0}
    scores = {"a": torch.rand(3), "b": torch.rand(1), "c": torch.rand(2)}
    chain = {"a": "n = 1", "b": "n = 2"}
    plot.frontier(axes[3], costs, scores, chain=chain, line="n", others={"c": "DGL"})
    assert [text.get_text() for text in axes[3].texts] == ["n = 1", "n = 2", ""]
    assert axes[3].get_legend_handles_labels()[1] == ["n", "DGL"]
    for ax in axes:
        assert ax.get_xlabel()
        assert ax.get_ylabel()
    assert len(axes[0].lines) == 2
    assert len(axes[1].patches) == 2 * len(list(one.method.schedule(4)))
    plt.close(figure)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m.name)
def test_every_method_has_a_gantt_chart(method: Method) -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    plot.gantt(ax, audit.timeline(trainer(method), Calibrated(1.0, 2.0)))
    assert len(ax.patches) == len(list(method.schedule(4)))
    plt.close(figure)
