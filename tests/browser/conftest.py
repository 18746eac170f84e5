"""JupyterLab in a real browser, on a copy of the course in a temporary folder."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from course.desk.doctor import BROWSER_CURE, find_browser
from course.desk.lab import is_root
from tests.browser.lab_page import LabPage
from tests.browser.serving import Server, copy_course, serve

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
OPTIONS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
]
WINDOW = {"width": 1400, "height": 1000}


def demand_browser(environment: Mapping[str, str] = os.environ) -> str:
    """The browser's program; without one, skip, but fail where tests must run."""
    program = find_browser(environment)
    if program:
        return program
    reason = f"no Chromium or Chrome found: {BROWSER_CURE}"
    if environment.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


# Of the module, not of the session: while playwright runs, its event loop would be in
# the way of other tests in the same process.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = demand_browser()
    options = OPTIONS + (["--no-sandbox"] if is_root() else [])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Depends on the browser, so that nothing is started without one."""
    home = tmp_path_factory.mktemp("home")
    set_preferences(home)
    folder = tmp_path_factory.mktemp("served") / "course"
    with serve(copy_course(folder), home) as running:
        yield running


def set_preferences(home: Path) -> None:
    """Keep all cells in the page, and save only when told to.

    By default those out of sight are left out, and every two minutes is a save that may
    meet the test's own. Both are a student's settings in the home folder, which the
    course must respect.
    """
    settings = home / ".jupyter/lab/user-settings/@jupyterlab"
    for extension, plugin, value in (
        ("notebook-extension", "tracker", {"windowingMode": "none"}),
        ("docmanager-extension", "plugin", {"autosave": False}),
    ):
        (settings / extension).mkdir(parents=True)
        path = settings / extension / f"{plugin}.jupyterlab-settings"
        path.write_text(json.dumps(value))


@pytest.fixture
def lab_page(
    browser: Browser, server: Server, request: pytest.FixtureRequest
) -> Iterator[LabPage]:
    """A new tab; how it looks in the end is kept, above all when a test has failed.

    Its kernels end with it: kept until the end, those of all chapters take gigabytes.
    """
    context = browser.new_context(viewport=WINDOW)
    lab_page = LabPage(context.new_page(), ARTEFACTS)
    yield lab_page
    lab_page.take_picture(f"end_of_{request.node.name}")
    context.close()
    server.shut_down_kernels()
    assert server.shut_down_kernels() == 0
