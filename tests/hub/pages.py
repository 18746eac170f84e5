"""The hub as those see it who use it: nbgrader's pages for teachers and for students.

Selectors are those of nbgrader 0.9 and JupyterHub 5; they are all here.
"""

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.lab_page import CHAPTER_PATIENCE, PATIENCE


def sign_in(context: BrowserContext, url: str, name: str, password: str) -> Page:
    """Open the hub's door and sign in; the server of that account is started."""
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.fill("#username_input", name)
    page.fill("#password_input", password)
    page.click("#login_submit")
    return page


class Formgrader:
    """The teacher's tab."""

    def __init__(self, page: Page, chapter: str) -> None:
        self.page, self.chapter = page, chapter
        page.wait_for_url("**/formgrader/**")
        self.address = page.url

    def press(self, button: str, row: str = "") -> str:
        """Press what stands in a column of a row; return what nbgrader says of it."""
        line = self.page.locator("tr", has_text=row or self.chapter)
        line.locator(f".{button} a").first.click()
        said = self.page.locator(".modal.in")
        expect(said).to_be_visible(timeout=CHAPTER_PATIENCE)
        text = said.inner_text()
        said.locator(".modal-footer button").first.click()
        expect(said).to_have_count(0)
        return text

    def open_submissions(self) -> None:
        """Go to the table of students."""
        self.page.reload()
        line = self.page.locator("tr", has_text=self.chapter)
        line.locator(".num-submissions a").click()
        self.page.wait_for_url("**/manage_submissions/**")

    def score(self, student: str) -> str:
        """What a row of that table says."""
        line = self.page.locator("tr", has_text=student)
        expect(line.locator(".status")).to_contain_text("grad")
        return line.locator(".score").inner_text()


class AssignmentList:
    """A student's list of what there is, and what was handed in."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.get_by_role("menuitem", name="Nbgrader").click()
        page.get_by_text("Assignment List", exact=True).click()

    def part(self, name: str) -> Locator:
        """``released``, ``fetched`` or ``submitted``."""
        return self.page.locator(f"#{name}_assignments_list")

    def press(self, part: str, button: str) -> None:
        """Press the button of the only chapter there."""
        self.part(part).get_by_role("button", name=button, exact=True).click()

    def open(self, chapter: str) -> None:
        """Open what was fetched in a tab of JupyterLab."""
        fetched = self.part("fetched")
        fetched.get_by_role("button", name=chapter).click()
        fetched.locator(".nested_list_item").get_by_text(chapter, exact=True).click()
