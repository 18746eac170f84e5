"""Stand-ins: what events cost."""

import pytest

from modular import (
    Calibrated,
)
from modular.event import Event


def test_costs_are_of_events() -> None:
    costs = Calibrated(1.0, 3.0)
    kinds = {k: costs.seconds(Event(k, 0, 0)) for k in ("forward", "pass", "take")}
    assert kinds == {"forward": 1.0, "pass": 1.5, "take": 1.5}
    with pytest.raises(ValueError, match="backward is -1: expected a finite number"):
        Calibrated(1.0, -1)
