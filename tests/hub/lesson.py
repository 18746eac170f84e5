"""A lesson on the hub, in the browser: what the page for administrators promises."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import nbformat
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from course.building.syllabus import chapter
from tests.browser.conftest import ARTEFACTS, WINDOW
from tests.browser.lab_page import SECOND, LabPage
from tests.hub.pages import AssignmentList, Formgrader, sign_in
from tests.hub.running import CHAPTER, CLONE, EXCHANGE, Hub

ANSWERED = "ex11-1"
RIGHT = """\
def soft_threshold(v, theta):
    return v.sign() * (v.abs() - theta).clamp(min=0)
"""
# Wrong, and curious: it looks, while it is graded, for what its author must not see.
# Most of what comes after it fails.
SPYING = f"""\
from pathlib import Path

def soft_threshold(v, theta):
    return v - theta

seen = []
for place in ("{EXCHANGE}/inbound", "{CLONE}/submitted", "{CLONE}/source",
              "{CLONE}/autograded/ada", "/srv/jupyterhub", "/home/ada"):
    try:
        seen += [str(path) for path in Path(place).iterdir()]
    except OSError:
        pass
try:
    import psycopg
    psycopg.connect("dbname=gradebook host=/var/run/postgresql user=teacher")
    seen.append("the gradebook")
except Exception:
    pass
print("seen:", seen)
unroll = None
"""


@dataclass
class Lesson:
    """What came of it."""

    contexts: dict[str, BrowserContext]
    scores: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    feedback: str = ""


def points() -> float:
    """What the answered exercise is worth."""
    cells = nbformat.read(chapter(CHAPTER).source, as_version=4).cells
    told = [cell.metadata.get("nbgrader", {}) for cell in cells]
    tests = [n for n in told if n.get("grade_id", "").startswith(f"{ANSWERED}-")]
    return sum(n["points"] for n in tests)


def teach(hub: Hub, browser: Browser) -> Lesson:
    """Hold the lesson."""
    names = ("teacher", "ada", "ben")
    lesson = Lesson({name: browser.new_context(viewport=WINDOW) for name in names})
    # All three servers start at once, as they do when a lesson begins.
    pages = {
        name: sign_in(lesson.contexts[name], hub.url, name, hub.passwords[name])
        for name in names
    }
    try:
        formgrader = Formgrader(pages["teacher"], CHAPTER)
        for button in ("assign", "release"):
            lesson.said[button] = formgrader.press(button)
        for name, answer in (("ada", RIGHT), ("ben", SPYING)):
            hand_in(LabPage(pages[name], ARTEFACTS), answer)
        grade(formgrader, lesson)
        lesson.feedback = read_feedback(LabPage(pages["ada"], ARTEFACTS))
    except Exception:
        take_pictures(pages)
        raise
    take_pictures(pages)
    return lesson


def take_pictures(pages: Mapping[str, Page]) -> None:
    """Keep how all tabs look in the end, for people to see."""
    for name, page in pages.items():
        with suppress(Error):  # which would hide the one that counts
            page.screenshot(path=ARTEFACTS / f"hub_{name}.png", timeout=10 * SECOND)


def hand_in(lab: LabPage, answer: str) -> None:
    """Fetch the chapter, write one answer into it with the keyboard, submit it."""
    expect(lab.page.locator("#jp-main-dock-panel")).to_be_visible()
    assignments = AssignmentList(lab.page)
    assignments.press("released", "Fetch")
    assignments.open(CHAPTER)
    lab.wait_for_kernel()  # until then JupyterLab still arranges the page
    cell = lab.notebook.locator(".jp-CodeCell", has_text="def soft_threshold(").first
    cell.locator(".cm-content").click()
    lab.page.keyboard.press("ControlOrMeta+A")
    lab.page.keyboard.insert_text(answer)
    for line in filter(None, answer.splitlines()):
        expect(cell).to_contain_text(line)
    lab.save()
    lab.page.get_by_role("tab", name="Assignments").click()
    assignments.press("fetched", "Submit")
    expect(assignments.part("submitted")).to_contain_text(CHAPTER)


def grade(formgrader: Formgrader, lesson: Lesson) -> None:
    """Collect, autograde both, make feedback and release it."""
    lesson.said["collect"] = formgrader.press("collect")
    formgrader.open_submissions()
    for name in ("ada", "ben"):
        lesson.said[f"autograde {name}"] = formgrader.press("autograde", name)
        lesson.scores[name] = formgrader.score(name)
        for button in ("generate-feedback", "release-feedback"):
            lesson.said[f"{button} {name}"] = formgrader.press(button, name)


def read_feedback(lab: LabPage) -> str:
    """Fetch the feedback and open it; return what can be read there."""
    submitted = AssignmentList(lab.page).part("submitted")
    submitted.get_by_role("button", name="Fetch Feedback", exact=True).click()
    submitted.get_by_text("(view feedback)").click()
    files = lab.page.locator(".jp-DirListing-content")
    files.get_by_text(f"{CHAPTER}.html", exact=True).dblclick()
    body = lab.page.frame_locator(".jp-HTMLViewer iframe").locator("body")
    expect(body).to_contain_text("Score")
    return body.inner_text()
