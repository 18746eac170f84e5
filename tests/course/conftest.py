"""A course of one tiny chapter, so that the machinery is tested in seconds."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from course.building.syllabus import Chapter, chapters

pytest.register_assert_rewrite(
    *(f"tests.course.{name}" for name in ("grading", "notebooks"))
)

TINY = Path(__file__).parent / "tiny"


@pytest.fixture(scope="session", autouse=True)
def alembic_is_asked_once() -> Iterator[None]:
    """For every new gradebook, nbgrader has another process name the tables' version.

    That takes three seconds of CPU, and the answer is the same each time.
    """
    from nbgrader import api

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "get_alembic_version", cache(api.get_alembic_version))
        yield


@pytest.fixture
def tiny(tmp_path: Path) -> Chapter:
    """The chapter 01 of a fresh course folder, not yet baked."""
    folder = tmp_path / "course"
    (folder / "chapters").mkdir(parents=True)
    (folder / "syllabus.yml").write_text((TINY / "syllabus.yml").read_text())
    text = (TINY / "01_tiny.txt").read_text()
    (folder / "chapters" / "01_tiny.py").write_text(text)
    (chapter,) = chapters(folder)
    return chapter
