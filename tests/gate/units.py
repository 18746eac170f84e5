"""How tests are dealt to the workers of xdist: a chapter's share of a file at a time.

With ``--dist loadfile`` a file about every chapter would be one worker's alone, and the
other would have nothing left to do at the end.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from tests.gate.places import unit


class Units(LoadFileScheduling):
    """Hands out the units of ``tests.gate.places`` in place of whole files."""

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)


@pytest.hookimpl(optionalhook=True)  # unknown without xdist
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: Producer
) -> LoadFileScheduling | None:
    """Deal units where files are asked for."""
    return Units(config, log) if config.getoption("dist") == "loadfile" else None
