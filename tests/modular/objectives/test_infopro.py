"""InfoPro: from reconstruction to prediction."""

import torch
from torch.nn import functional

from modular import (
    InfoPro,
)
from tests.modular.nets import draw, head


def test_infopro_moves_from_reconstruction_to_prediction() -> None:
    weights = [InfoPro((1.0, 0.0), (0.0, 2.0)).at(k, 4).first for k in range(3)]
    assert weights == [(1.0, 0.0), (0.5, 1.0), (0.0, 2.0)]
    x, h, y, g = draw(6, 5), draw(6, 4), torch.arange(6) % 3, head()
    objective = InfoPro((0.3, 0.7), (0.3, 0.7))
    objective.attach(g, x[:1], h[:1])
    error = ((g.parts["decoder"](h) - x) ** 2).mean()
    expected = 0.3 * error + 0.7 * functional.cross_entropy(g(h), y)
    torch.testing.assert_close(objective(x, h, g, y), expected)
