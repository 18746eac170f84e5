"""One hub for all tests of a file, and what a class did on it in its first hour."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import browser  # noqa: F401  (a fixture)
from tests.hub.lesson import Lesson, teach
from tests.hub.machine import missing
from tests.hub.running import Hub, hub, install_proxy

collect_ignore = ["hub_config.py"]  # which JupyterHub runs


def demand_machine() -> None:
    """Skip, and say why, where no such machine can be made."""
    if reason := missing():
        pytest.skip(f"no hub: {reason}")


@pytest.fixture(scope="module")
def running(
    browser: Browser,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hub]:
    """Depends on the browser, so that nothing is started without one."""
    demand_machine()
    if reason := install_proxy():
        pytest.skip(f"no hub: {reason}")
    with hub(tmp_path_factory.mktemp("hub")) as started:
        yield started


@pytest.fixture(scope="module")
def lesson(running: Hub, browser: Browser) -> Lesson:  # noqa: F811
    """Chapter 11, handed out, answered, collected, graded and given back."""
    return teach(running, browser)
