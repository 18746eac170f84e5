"""The list of chapters, read from ``syllabus.yml``."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from course import FOLDER

TITLE = "Beyond the Black Box"


@dataclass(frozen=True)
class Chapter:
    """One chapter, as ``syllabus.yml`` lists it, and where its files lie."""

    id: str
    slug: str
    title: str
    claim: str
    minutes: int
    points: int
    prerequisites: tuple[str, ...]
    folder: Path = FOLDER

    @property
    def part(self) -> int:
        """Number of the part, the first digit of the chapter's."""
        return int(self.id[0])

    @property
    def text(self) -> Path:
        """The text that people edit."""
        return self.folder / "chapters" / f"{self.slug}.py"

    @property
    def source(self) -> Path:
        """The notebook baked from the text, with solutions and outputs."""
        return self._notebook("source")

    @property
    def release(self) -> Path:
        """The notebook without solutions, as students get it."""
        return self._notebook("release")

    @property
    def work(self) -> Path:
        """The student's own copy."""
        return self._notebook("work")

    def _notebook(self, kind: str) -> Path:
        return self.folder / kind / self.slug / f"{self.slug}.ipynb"


@cache
def chapters(folder: Path = FOLDER) -> tuple[Chapter, ...]:
    """Return all chapters in the order of the course.

    Args:
        folder: The course folder, which holds ``syllabus.yml``.

    Returns:
        The chapters.
    """
    syllabus = yaml.safe_load((folder / "syllabus.yml").read_text())
    return tuple(
        Chapter(
            **{**entry, "prerequisites": tuple(entry["prerequisites"])}, folder=folder
        )
        for entry in syllabus["chapters"]
    )


def chapter(name: str, folder: Path = FOLDER) -> Chapter:
    """Return the chapter called ``name``.

    Args:
        name: The chapter's id (``"11"``) or slug (``"11_ista"``).
        folder: The course folder.

    Returns:
        The chapter.

    Raises:
        ValueError: If no chapter has that id or slug.
    """
    for candidate in chapters(folder):
        if name in (candidate.id, candidate.slug):
            return candidate
    known = ", ".join(c.id for c in chapters(folder))
    raise ValueError(f"no chapter is called {name!r}: the course has {known}")


def parts(folder: Path = FOLDER) -> dict[int, str]:
    """Return the titles of the parts, by number; a part may have no chapter yet.

    Args:
        folder: The course folder.

    Returns:
        Titles by part number.
    """
    return yaml.safe_load((folder / "syllabus.yml").read_text())["parts"]
