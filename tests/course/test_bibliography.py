"""The bibliography has what the chapters tell to read, once, in the course's parts."""

import re

import pytest

from course import FOLDER
from course.building.syllabus import Chapter, chapters, parts

PAGE = (FOLDER / "site" / "bibliography.md").read_text()
ENTRIES = [line[2:] for line in PAGE.splitlines() if line.startswith("- ")]


@pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.slug)
def test_what_a_chapter_tells_to_read_is_there(chapter: Chapter) -> None:
    text = (FOLDER / "chapters" / f"{chapter.slug}.py").read_text()
    readings = re.sub(r"\n#\s*", " ", text.rpartition("## Readings")[2])
    found = re.findall(r"\*\*([^*]+?) \((\d{4})\)\*\*", readings)
    assert len(found) > 2
    for authors, year in found:
        first = re.split(r",| and | et al", authors)[0].strip()
        starts = [e for e in ENTRIES if re.match(rf"{re.escape(first)}\b", e)]
        assert any(f"({year})" in entry for entry in starts), (authors, year)


def test_an_entry_stands_there_once() -> None:
    assert len(set(ENTRIES)) == len(ENTRIES)


def test_its_sections_are_the_parts() -> None:
    assert re.findall(r"^## (.+)$", PAGE, re.MULTILINE) == list(parts().values())
