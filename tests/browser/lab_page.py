"""JupyterLab as somebody sees it who sits before it.

Selectors are those of JupyterLab 4; they are all here, so that another version is a
change of this file only.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Locator, Page, Response, expect

SECOND = 1000
PATIENCE = 120 * SECOND
CHAPTER_PATIENCE = 600 * SECOND
"""Running a chapter takes a minute of CPU time at most, several on a busy machine."""

expect.set_options(timeout=PATIENCE)

_ALL_RUN = """
([notebook, output]) => {
    const prompts = [...document.querySelectorAll(
        `${notebook} .jp-CodeCell .jp-InputArea-prompt`)].map(e => e.textContent);
    const failed = document.querySelector(`${notebook} ${output}`);
    return prompts.length > 0 && (failed || prompts.every(p => /\\[\\d+\\]/.test(p)));
}
"""

_INSPECT_PICTURE = """
async image => {
    await image.decode();
    const [width, height] = [image.naturalWidth, image.naturalHeight];
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas.drawImage(image, 0, 0);
    const rgba = canvas.getImageData(0, 0, width, height).data;
    let [sum, squares, count] = [0, 0, 0];
    for (let i = 0; i < rgba.length; i += 4) {
        const grey = (rgba[i] + rgba[i + 1] + rgba[i + 2]) / 3;
        sum += grey, squares += grey * grey, count += 1;
    }
    const caption = image.closest("figure").querySelector("figcaption");
    return {
        width, height, alt: image.alt, shown: image.getBoundingClientRect().width,
        variance: squares / count - (sum / count) ** 2,
        caption: caption ? caption.textContent : "",
    };
}
"""

# JupyterLab shows the traceback of an error as such too.
_RAN = re.compile(r"\[\d+\]")
_STDERR = '[data-mime-type="application/vnd.jupyter.stderr"]'
_CODE = ".jp-CodeCell .jp-InputArea-editor .cm-content"
_NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook"
_ACTIVE = f"""
[...document.querySelectorAll("{_NOTEBOOK} .jp-Cell")].findIndex(cell =>
    cell.classList.contains("jp-mod-active")
    && cell.closest(".jp-Notebook").contains(document.activeElement))
"""


@dataclass(frozen=True)
class Picture:
    """A figure as the browser shows it."""

    width: int
    height: int
    alt: str
    shown: float
    variance: float
    caption: str


class LabPage:
    """One tab of a browser with JupyterLab in it."""

    def __init__(self, page: Page, artefacts: Path) -> None:
        self.page = page
        self.artefacts = artefacts
        self.visited: set[str] = set()
        self.script_errors: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.visited.add(request.url))
        page.on("pageerror", lambda error: self.script_errors.append(str(error)))

    @property
    def notebook(self) -> Locator:
        """The notebook in front."""
        return self.page.locator(_NOTEBOOK)

    @property
    def course_page(self) -> Locator:
        """The rendered Markdown in front."""
        return self.page.locator(".jp-MarkdownViewer:not(.lm-mod-hidden)")

    @property
    def popups(self) -> Locator:
        """Dialogs and notifications, whatever they say."""
        return self.page.locator("dialog.jp-Dialog, .Toastify__toast")

    @property
    def teachers_tools(self) -> Locator:
        """The menu and the tabs in which nbgrader makes and grades assignments."""
        said = re.compile("Nbgrader|Create Assignment|Formgrader")
        return self.page.locator("#jp-menu-panel, .jp-SideBar").get_by_text(said)

    @property
    def complaints(self) -> Locator:
        """Outputs of cells that failed or wrote to stderr."""
        return self.notebook.locator(_STDERR)

    def open(self, address: str) -> None:
        """Go to an address and wait until something is open there."""
        self.page.goto(address, wait_until="domcontentloaded")
        tabs = self.page.locator(
            "#jp-main-dock-panel .lm-DockPanel-tabBar .lm-TabBar-tab"
        )
        expect(tabs.first).to_be_visible()

    def open_notebook(self, address: str) -> None:
        """Open a notebook and wait for its kernel."""
        self.open(address)
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the kernel of the notebook in front is connected and idle.

        The status bar tells; the notebook's own indicator says idle too early, and
        cells that are run without a kernel do nothing at all.
        """
        expect(self.notebook).to_be_visible()
        expect(self.page.locator("#jp-main-statusbar")).to_contain_text("| Idle")

    def run_all(self) -> None:
        """Run all cells from the menu; wait until each has run or one complains."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_text("Run All Cells", exact=True).click()
        self.page.wait_for_function(
            _ALL_RUN,
            arg=[_NOTEBOOK, _STDERR],
            polling=SECOND,  # by default at every frame, which costs the kernel time
            timeout=CHAPTER_PATIENCE,
        )

    def run_cell(self) -> None:
        """Run the active cell with the keyboard; wait until the next one is active."""
        before = self.active_cell()
        self.page.keyboard.press("Shift+Enter")
        self.page.wait_for_function(
            f"before => ({_ACTIVE}) !== before", arg=before, polling=100
        )

    def active_cell(self) -> int:
        """The number of the cell that the keyboard acts on; -1 without the focus."""
        return self.page.evaluate(_ACTIVE)

    def wait_until_run(self, number: int) -> None:
        """Wait until a cell of code has run, and all before it."""
        prompt = self.notebook.locator(".jp-Cell").nth(number)
        expect(prompt.locator(".jp-InputArea-prompt")).to_have_text(_RAN)

    def write_over(self, text: str) -> None:
        """Put a text in place of the active cell's, with the keyboard."""
        self.page.keyboard.press("Enter")
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.insert_text(text)

    def folded(self) -> tuple[int, list[str]]:
        """How many cells are folded, and the code of those that are not."""
        cells = self.notebook.locator(".jp-CodeCell")
        folded = cells.filter(has=self.page.locator(".jp-InputPlaceholder"))
        return folded.count(), self.notebook.locator(_CODE).all_text_contents()

    def save(self) -> None:
        """Save the notebook from the menu; wait until it is stored."""
        with self.page.expect_response(stores_a_notebook):
            self.page.get_by_role("menuitem", name="File", exact=True).click()
            self.page.get_by_text("Save Notebook", exact=True).click()

    def pictures(self) -> list[Picture]:
        """Inspect every figure of the notebook."""
        images = self.notebook.locator(".jp-OutputArea-output figure img").all()
        return [Picture(**image.evaluate(_INSPECT_PICTURE)) for image in images]

    def validate(self) -> Locator:
        """Press nbgrader's Validate; return the dialog with its results."""
        toolbar = self.page.locator(
            ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-NotebookPanel-toolbar"
        )
        toolbar.get_by_text("Validate", exact=True).click()
        results = self.page.locator("dialog.jp-Dialog #validation-message")
        expect(results).to_be_visible(timeout=CHAPTER_PATIENCE)
        return results

    def take_picture(self, name: str) -> None:
        """Store a screenshot for people to look at."""
        self.artefacts.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self.artefacts / f"{name}.png")

    def take_pictures_of_notebook(self, name: str) -> None:
        """Store the notebook in front from its head to its foot, screen by screen."""
        outer = self.notebook.locator(".jp-WindowedPanel-outer")
        height, screen = outer.evaluate("e => [e.scrollHeight, e.clientHeight]")
        for number, top in enumerate(range(0, height, screen), 1):
            outer.evaluate("(e, top) => { e.scrollTop = top; }", top)
            self.take_picture(f"{name}_{number:02d}")


def stores_a_notebook(response: Response) -> bool:
    put = response.request.method == "PUT" and "/api/contents/" in response.url
    return put and response.url.partition("?")[0].endswith(".ipynb")
