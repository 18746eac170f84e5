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
    show_all_cells(home)
    folder = tmp_path_factory.mktemp("served") / "course"
    with serve(copy_course(folder), home) as running:
        yield running


def show_all_cells(home: Path) -> None:
    """Keep all cells in the page: by default those out of sight are left out.

    It is a student's own setting in the home folder, which the course must respect.
    """
    folder = home / ".jupyter/lab/user-settings/@jupyterlab/notebook-extension"
    folder.mkdir(parents=True)
    settings = json.dumps({"windowingMode": "none"})
    (folder / "tracker.jupyterlab-settings").write_text(settings)


@pytest.fixture
def lab_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[LabPage]:
    """A new tab; how it looks in the end is kept, above all when a test has failed."""
    context = browser.new_context(viewport=WINDOW)
    lab_page = LabPage(context.new_page(), ARTEFACTS)
    yield lab_page
    lab_page.take_picture(f"end_of_{request.node.name}")
    context.close()
