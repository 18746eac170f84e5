"""What the front pages say of the chapters is what the syllabus says."""

import doctest
import re
from pathlib import Path

import pytest

from course.building.syllabus import Chapter, chapters

ROOT = Path(__file__).parents[2]
CHAPTERS = pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.slug)


def row(page: Path, chapter: Chapter) -> str:
    rows = [
        line
        for line in page.read_text().splitlines()
        if line.startswith("|") and f"{chapter.id} · {chapter.title}" in line
    ]
    assert len(rows) == 1, f"{page.name} has {len(rows)} rows for chapter {chapter.id}"
    return rows[0]


@CHAPTERS
def test_the_course_page_lists_the_chapter(chapter: Chapter) -> None:
    shown = row(ROOT / "course" / "README.md", chapter)
    assert f"(work/{chapter.slug}/{chapter.slug}.ipynb)" in shown
    assert chapter.claim in shown
    assert f"| {chapter.minutes} min | {chapter.points} |" in shown


@CHAPTERS
def test_the_readme_lists_the_chapter(chapter: Chapter) -> None:
    shown = row(ROOT / "README.md", chapter)
    assert f"(course/source/{chapter.slug}/{chapter.slug}.ipynb)" in shown
    assert f"| {chapter.minutes} min | {chapter.points} |" in shown


@CHAPTERS
def test_the_chapter_makes_the_claim_of_the_syllabus(chapter: Chapter) -> None:
    assert f"# > **Claim.** {chapter.claim}" in chapter.text.read_text()


GUIDE = sorted((ROOT / "course" / "instructor").glob("*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", "course/README.md", "course/site/results.md"]
PAGES += [str(page.relative_to(ROOT)) for page in GUIDE]


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    file = ROOT / page
    for target in re.findall(r"\]\(([^)#]+)\)", file.read_text()):
        if "://" in target or target.startswith("work/"):
            continue
        assert (file.parent / target).exists(), f"{page} links to {target}"
    shown = r'<img[^>]*src="([^"]+)"|```{figure} (\S+)'
    for target in map("".join, re.findall(shown, file.read_text())):
        assert (file.parent / target).exists(), f"{page} shows {target}"


def test_the_readme_is_a_front_door() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 250
    for command in ("make lab", "make test"):
        assert f"\n{command} " in text
    assert "@software" in text and "make grade SUBMISSIONS=folder" in text


def test_the_readmes_examples_run() -> None:
    failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried > 10
    assert not failed
