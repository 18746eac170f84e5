"""All certificates on one page."""

from modular import (
    Interlocking,
    audit,
)
from tests.modular.nets import batch, trainer


def test_a_report_has_everything() -> None:
    text = audit.report(trainer(Interlocking(2)), batch())
    for part in ("as declared: True", "saved for backward", "cosine", "x x . ."):
        assert part in text
