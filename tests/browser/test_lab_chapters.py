"""What a student sees and presses, in every chapter of the syllabus."""

import re
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import Response, expect

from course.building.syllabus import FOLDER, Chapter, chapters
from tests.browser.lab_page import LabPage, stores_a_notebook
from tests.browser.serving import Server
from tests.course.notebooks import assert_run
from tests.course.validating import validated

pytestmark = pytest.mark.browser

QUICK = "21"
"""The chapter that runs in the fewest seconds."""

_RADIO = ".widget-radio"


def test_the_course_page_opens_rendered_and_leads_to_the_first_chapter(
    server: Server, lab_page: LabPage
) -> None:
    lab_page.open(server.address())
    title = lab_page.course_page.get_by_role("heading", level=1)
    expect(title).to_contain_text(_first_heading())
    assert title.evaluate(
        """e => {
            const box = e.getBoundingClientRect();
            return e.contains(document.elementFromPoint(box.x + 5, box.y + 5));
        }"""
    ), "something covers the heading"
    rows = lab_page.course_page.locator("tr", has_text="answered 0 of")
    expect(rows).to_have_count(len(chapters()))
    for row, chapter in zip(rows.all(), chapters(), strict=True):
        expect(row.locator("a").first).to_be_in_viewport()
        copy = re.compile(f"work/{chapter.slug}/{chapter.slug}.ipynb")
        expect(row.locator("a").first).to_have_attribute("href", copy)
    lab_page.take_picture("course_page")

    first = server.course.chapter(chapters()[0].id)
    link = lab_page.course_page.locator(f'a[href*="work/{first.slug}/"]').first
    with lab_page.page.expect_response(_remembers_tabs):
        link.click()
        lab_page.wait_for_kernel()
    expect(lab_page.notebook.get_by_role("heading", level=1)).to_contain_text(first.id)
    assert lab_page.teachers_tools.all_text_contents() == []
    assert lab_page.popups.all_text_contents() == []
    assert lab_page.script_errors == []
    hosts = {urlsplit(url).hostname for url in lab_page.visited} - {None}
    assert hosts == {"localhost"}, "the page asks the internet for something"
    assert list((server.course.folder / ".jupyter/workspaces").iterdir())
    assert not (server.home / ".jupyter/lab/workspaces").exists()


def test_validate_names_each_failing_cell_of_an_untouched_copy(
    server: Server, lab_page: LabPage
) -> None:
    """Pressed once; of every chapter, its judge looks at the copy that was graded."""
    chapter = server.course.chapter(QUICK)
    lab_page.open_notebook(server.address(chapter.work, "untouched"))
    lab_page.take_picture(f"{chapter.slug}_untouched")
    results = lab_page.validate()
    lab_page.take_picture(f"{chapter.slug}_untouched_validated")
    shown = results.locator("pre").all_text_contents()
    failed, reasons = shown[0::2], shown[1::2]
    assert [_squeezed(source) for source in failed] == _tests(chapter)
    assert all("NotImplementedError" in reason for reason in reasons)


def test_validate_passes_a_solved_copy(server: Server, lab_page: LabPage) -> None:
    """Pressed once; of every chapter, its judge looks at the copy run below."""
    chapter = server.course.chapter(QUICK)
    lab_page.open_notebook(server.address(server.course.solved(chapter), "validated"))
    assert "Success! Your notebook passes all the tests." in (
        lab_page.validate().inner_text()
    )
    lab_page.take_picture(f"{chapter.slug}_solved_validated")
    assert lab_page.script_errors == []


def test_an_exercise_is_answered_with_the_keyboard_alone(
    server: Server, lab_page: LabPage
) -> None:
    """From the first cell to the tests of the first exercise, without a mouse."""
    chapter = server.course.chapter(QUICK)
    copy = server.course.untouched(chapter)
    cells = nbformat.read(server.course.solved(chapter), as_version=4).cells
    roles = [cell.metadata.get("nbgrader", {}) for cell in cells]
    exercise = next(k for k, role in enumerate(roles) if role.get("solution"))
    tests = next(
        k for k, role in enumerate(roles) if k > exercise and role.get("grade")
    )
    lab_page.open_notebook(server.address(copy, "keyboard"))
    assert lab_page.active_cell() == 0, "the notebook has the focus as it opens"
    for number in range(tests + 1):
        assert lab_page.active_cell() == number
        if number == exercise:
            lab_page.write_over(cells[exercise].source)
        lab_page.run_cell()
    lab_page.wait_until_run(tests)
    assert lab_page.complaints.all_text_contents() == []
    with lab_page.page.expect_response(stores_a_notebook):
        lab_page.page.keyboard.press("ControlOrMeta+S")
    saved = nbformat.read(copy, as_version=4).cells
    assert saved[exercise].source == cells[exercise].source
    done = [c for c in saved[: tests + 1] if c.cell_type == "code"]
    assert all(cell.execution_count for cell in done)
    assert lab_page.script_errors == []


@pytest.mark.parametrize("name", [c.slug for c in chapters()])
def test_a_solved_copy_runs_without_errors_and_passes_as_it_is_saved(
    server: Server, lab_page: LabPage, name: str, request: pytest.FixtureRequest
) -> None:
    chapter = server.course.chapter(name)
    solved = server.course.solved(chapter)
    lab_page.open_notebook(server.address(solved, f"solved-{name}"))
    assert lab_page.pictures() == []
    lab_page.run_all()
    assert lab_page.complaints.all_text_contents() == []
    _check_pictures(lab_page, chapter)
    _check_folds(lab_page, chapter)
    _check_quiz(lab_page)
    if request.config.getoption("chapter"):  # somebody works on it, and may look
        lab_page.take_pictures_of_notebook(f"{chapter.slug}_solved")
    lab_page.save()
    assert_run(nbformat.read(solved, as_version=4))
    assert validated(solved) == {}
    assert lab_page.popups.all_text_contents() == []
    assert lab_page.script_errors == []


def _remembers_tabs(response: Response) -> bool:
    return response.request.method == "PUT" and "/api/workspaces/" in response.url


def _check_pictures(lab_page: LabPage, chapter: Chapter) -> None:
    pictures = lab_page.pictures()
    assert len(pictures) == chapter.source.read_text().count("data:image/png;base64")
    for number, picture in enumerate(pictures):
        assert picture.width > 100 and picture.height > 50, (number, picture)
        assert picture.shown > 100, (number, picture)
        assert picture.variance > 1, (number, picture)
        assert picture.alt and picture.caption, (number, picture)
        assert picture.alt != picture.caption, (number, picture)


def _check_folds(lab_page: LabPage, chapter: Chapter) -> None:
    """Code that only draws is out of sight, all other code is in sight."""
    notebook = nbformat.read(chapter.source, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    hidden = sum(
        c.metadata.get("jupyter", {}).get("source_hidden", False) for c in code
    )
    folded, shown = lab_page.folded()
    assert folded == hidden > 0
    assert len(shown) == len(code) - hidden


def _check_quiz(lab_page: LabPage) -> None:
    """Its buttons are there, and a choice is marked at once."""
    quiz = lab_page.notebook.locator(".widget-vbox", has=lab_page.page.locator(_RADIO))
    expect(quiz.locator(_RADIO).first).to_be_visible()
    quiz.locator(_RADIO).first.locator("input").first.check()
    verdict = quiz.locator(".widget-html-content").filter(
        has_text=re.compile(r"^(Correct\.|Not yet\.)")
    )
    expect(verdict).to_have_count(1)


def _tests(chapter: Chapter) -> list[str]:
    """The test cells of a student's copy, in order."""
    notebook = nbformat.read(chapter.work, as_version=4)
    return [
        _squeezed(cell.source)
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("grade")
    ]


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _first_heading() -> str:
    lines = (FOLDER / "README.md").read_text().splitlines()
    return next(line for line in lines if line.startswith("# ")).removeprefix("# ")
