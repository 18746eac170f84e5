"""What students get: chapters without solutions, and copies of their own to fill in.

Nothing a student has written is ever overwritten: a file that exists in the work
folder stays as it is, whatever has changed in the course since.
"""

import hashlib
import json
import shutil
from pathlib import Path

import nbformat
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from course.building.syllabus import FOLDER, Chapter, chapters


class GradingError(RuntimeError):
    """nbgrader could not do what it was asked to."""


def nbgrader_config(root: Path = FOLDER) -> Config:
    """Return the course's nbgrader configuration for a course folder at ``root``.

    Args:
        root: The course folder; another than this one is used by tests.

    Returns:
        The configuration.
    """
    config = PyFileConfigLoader("nbgrader_config.py", path=str(FOLDER)).load_config()
    config.CourseDirectory.root = str(root)
    return config


def release(chapter: Chapter) -> Path:
    """Make the notebook that students get, unless it is there and up to date.

    Args:
        chapter: The chapter, already baked.

    Returns:
        Path of the released notebook.

    Raises:
        FileNotFoundError: If the chapter has not been baked.
        GradingError: If nbgrader refuses, with what it said.
    """
    if not chapter.source.exists():
        raise FileNotFoundError(
            f"chapter {chapter.id} has no notebook yet: run "
            f"`python -m course bake {chapter.id}` first"
        )
    if _is_newer(chapter.release, chapter.source):
        return chapter.release
    from course.building import nbgrading  # nbgrader takes a second to load

    config = nbgrader_config(chapter.folder)
    config.SaveCells.enabled = False
    result = nbgrading.release(config, chapter.slug, no_database=True)
    demand(result, f"release chapter {chapter.id}")
    return chapter.release


def demand(result: dict, task: str) -> None:
    """Raise what nbgrader said if it did not succeed.

    Args:
        result: What a method of ``NbGraderAPI`` returned.
        task: What it was to do, for the message.

    Raises:
        GradingError: If it failed.
    """
    if not result["success"]:
        said = "\n".join(filter(None, (result.get("log"), result.get("error"))))
        raise GradingError(f"nbgrader could not {task}; it said:\n{said.strip()}")


def prepare_work(folder: Path = FOLDER) -> list[str]:
    """Give the student a copy of every chapter; leave the copies that exist alone.

    Args:
        folder: The course folder.

    Returns:
        One line for each chapter: what was done.

    Raises:
        GradingError: If a chapter cannot be released.
    """
    return [_prepare(chapter) for chapter in chapters(folder)]


def _prepare(chapter: Chapter) -> str:
    release(chapter)
    had_copy = chapter.work.exists()
    for file in sorted(chapter.release.parent.rglob("*")):
        target = chapter.work.parent / file.relative_to(chapter.release.parent)
        if file.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
            target.chmod(0o644)
    # A copy from before this was kept adopts the present chapter: what it was copied
    # from is unknown, its own text is the student's, and later changes are told.
    copied, present = chapter.work.parent / ".release", _digest(chapter.release)
    if not had_copy or not copied.exists():
        copied.write_text(present + "\n")
    name = f"{chapter.id} {chapter.title}"
    if not had_copy:
        return f"{name}: your copy is {_shown(chapter.work, chapter.folder)}"
    if copied.read_text().strip() != present:
        return (
            f"{name}: the chapter has changed since you began; your copy stays as it "
            "is (rename it and run this again to get the new one beside it)"
        )
    return f"{name}: your copy stays as it is"


def _digest(notebook: Path) -> str:
    """Of what a student reads: it stays the same when nbgrader writes it anew."""
    cells = nbformat.read(notebook, as_version=4).cells
    sources = json.dumps([(cell.cell_type, cell.source) for cell in cells])
    return hashlib.sha256(sources.encode()).hexdigest()[:16]


def _is_newer(path: Path, than: Path) -> bool:
    return path.exists() and path.stat().st_mtime >= than.stat().st_mtime


def _shown(path: Path, folder: Path) -> Path:
    return path.relative_to(folder.parent)
