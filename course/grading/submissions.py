"""Which files in a folder are submissions, and what is wrong with the others."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nbformat import NotebookNode

from course.building.reading import LARGEST, Unreadable, parsed, read
from course.building.syllabus import Chapter, chapters
from course.grading.astray import Place, is_hidden, why_none

Astray = dict[tuple[str, str], str]
"""A sentence by student and file."""


@dataclass(frozen=True)
class Submission:
    """One student's notebook of one chapter.

    ``path`` is the notebook, or a zip archive with the notebook ``member`` in it.
    """

    student: str
    chapter: Chapter
    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """Student and chapter, as in ``ada/11_ista``."""
        return f"{self.student}/{self.chapter.slug}"

    def read(self) -> NotebookNode:
        """Read the notebook; of an archive nothing else is unpacked.

        Returns:
            The notebook, without outputs.

        Raises:
            Unreadable: If it is none.
        """
        if not self.member:
            return read(self.path)
        try:
            with zipfile.ZipFile(self.path) as archive:
                with archive.open(self.member) as file:
                    data = file.read(LARGEST + 1)
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            raise Unreadable(f"the archive is damaged or locked ({error})") from None
        if len(data) > LARGEST:
            raise Unreadable(f"unpacked it has more than {LARGEST // 2**20} MB")
        return parsed(data)

    def companions(self) -> list[Path]:
        """The files beside the notebook, without links and other notebooks."""
        if self.member:
            return []
        return [
            path
            for path in sorted(self.path.parent.rglob("*"))
            if path.is_file()
            and not path.is_symlink()
            and not is_hidden(path.relative_to(self.path.parent))
            and path.suffix.lower() != ".ipynb"
        ]


def submissions(folder: Path, root: Path) -> tuple[list[Submission], Astray]:
    """Find ``<folder>/<student>/<chapter>/<chapter>.ipynb``, zipped or not.

    Args:
        folder: The folder.
        root: The course folder.

    Returns:
        The submissions, by student and chapter, and why every other file, or empty
        folder, that looks handed in is none, with what to do about it.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder: expected submissions there; if they lie "
            "elsewhere, say where: make grade SUBMISSIONS=folder"
        )
    found: list[Submission] = []
    astray: Astray = {}
    for student in sorted(path for path in folder.iterdir() if path.is_dir()):
        if not is_hidden(Path(student.name)):
            own = {s.chapter.slug: s for s in _in_place(student, root)}
            own |= _zipped(student, root, own, astray)
            found += [own[c.slug] for c in chapters(root) if c.slug in own]
    astray |= _others(folder, root, found, astray)
    return found, astray


def _in_place(student: Path, root: Path) -> Iterator[Submission]:
    for chapter in chapters(root):
        path = student / chapter.slug / f"{chapter.slug}.ipynb"
        if path.is_file() and not path.is_symlink():
            yield Submission(student.name, chapter, path)


def _zipped(
    student: Path, root: Path, own: dict[str, Submission], astray: Astray
) -> dict[str, Submission]:
    """The chapters that a student has handed in as archives, where not as notebooks."""
    found: dict[str, Submission] = {}
    for path in sorted(student.rglob("*")):
        where = path.relative_to(student)
        if path.suffix.lower() != ".zip" or not path.is_file() or is_hidden(where):
            continue
        key = student.name, where.as_posix()
        try:
            members = _members(path, root)
        except Unreadable as error:
            astray[key] = str(error)
            continue
        for chapter, member in members:
            if chapter.slug in own or chapter.slug in found:
                astray[key] = f"{chapter.slug} is handed in twice; keep one of the two"
            else:
                submission = Submission(student.name, chapter, path, member)
                found[chapter.slug] = submission
    return found


def _members(path: Path, root: Path) -> list[tuple[Chapter, str]]:
    """The chapters' notebooks in an archive; it is read, never unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (OSError, ValueError, zipfile.BadZipFile):
        raise Unreadable("the archive is damaged: ask for it again") from None
    inside = [PurePosixPath(name.replace("\\", "/")) for name in names]
    by_name: dict[str, list[str]] = {}
    for name, member in zip(inside, names, strict=True):
        if not is_hidden(name):
            by_name.setdefault(name.name, []).append(member)
    known = [c for c in chapters(root) if f"{c.slug}.ipynb" in by_name]
    if not known:
        notebooks = [name for name in by_name if name.lower().endswith(".ipynb")]
        held = f"only {notebooks[0]}" if notebooks else "no notebook"
        raise Unreadable(f"it holds {held}, expected <chapter>.ipynb: unpack it")
    for chapter in known:
        if (number := len(by_name[f"{chapter.slug}.ipynb"])) > 1:
            name = f"{chapter.slug}.ipynb"
            raise Unreadable(f"it holds {number} notebooks called {name}: unpack it")
    return [(c, by_name[f"{c.slug}.ipynb"][0]) for c in known]


def _others(
    folder: Path, root: Path, found: list[Submission], told: Astray
) -> dict[tuple[str, str], str]:
    """Every other file and empty folder that looks handed in."""
    accepted = {s.path for s in found}
    place = Place(
        slugs=tuple(chapter.slug for chapter in chapters(root)),
        accepted=frozenset(path.relative_to(folder) for path in accepted),
    )
    others: Astray = {}
    for path in sorted(folder.rglob("*")):
        where = path.relative_to(folder)
        if path in accepted or is_hidden(where):
            continue
        why = why_none(path, where, place)
        key = place.named(where)
        if why and key not in told:
            others[key] = why
    return others
