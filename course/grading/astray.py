"""Why a file in a folder of submissions is none, and what to do about it."""

from dataclasses import dataclass
from pathlib import Path, PurePath

from course.building.reading import Unreadable, read

_UNGRADABLE = {
    ".html": "a web page cannot be graded",
    ".htm": "a web page cannot be graded",
    ".pdf": "a PDF cannot be graded",
    ".py": "a program cannot be graded",
    ".md": "a text cannot be graded",
    ".doc": "a text cannot be graded",
    ".docx": "a text cannot be graded",
}
_ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zst")
_FROM_SYSTEMS = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Place:
    """What is expected where: the chapters, and the submissions that are there."""

    slugs: tuple[str, ...]
    accepted: frozenset[Path]

    def named(self, where: Path) -> tuple[str, str]:
        """Student and file of a path below the folder of submissions."""
        student, rest = self._split(where)
        return student, Path(*rest).as_posix() if rest else "the folder"

    def cure(self, where: Path) -> str:
        """What to do about a notebook that lies elsewhere or is called otherwise."""
        student, rest = self._split(where)
        named = (s for part in reversed(rest) for s in self.slugs if s in part)
        slug = next(named, "<chapter>")
        target = Path(student, slug, f"{slug}.ipynb")
        if target in self.accepted:
            return f"keep either it or {target.as_posix()}, under that name"
        return f"rename it to {target.as_posix()}"

    def beside_a_submission(self, where: Path) -> bool:
        """Whether a file lies in the folder of a submission, or below it."""
        return any(s.parent in where.parents for s in self.accepted)

    def holds_a_submission(self, where: Path) -> bool:
        """Whether a submission lies in a folder: the teacher's links are followed."""
        return any(where in s.parents for s in self.accepted)

    def handed_in(self, where: Path) -> bool:
        """Whether the student of a file has handed in something else."""
        return any(s.parts[0] == where.parts[0] for s in self.accepted)

    def _split(self, where: Path) -> tuple[str, tuple[str, ...]]:
        student, *rest = where.parts
        if student in self.slugs or (not rest and where.suffix):
            return "<student>", where.parts
        return student, tuple(rest)


def is_hidden(where: PurePath) -> bool:
    """Whether a path is of no student: checkpoints, and what systems add.

    Args:
        where: The path, relative to the folder of submissions or inside an archive.

    Returns:
        True for ``.ipynb_checkpoints``, ``__MACOSX`` and the like.

    Example:
        >>> is_hidden(PurePath("__MACOSX/ada/._11_ista.ipynb"))
        True
    """
    return any(
        part.startswith(".") or part.lower() in _FROM_SYSTEMS for part in where.parts
    )


def why_none(path: Path, where: Path, place: Place) -> str:
    """Say why something is no submission.

    Args:
        path: A file or a folder that is no submission.
        where: The same, relative to the folder of submissions.
        place: What is expected.

    Returns:
        A sentence; empty if it may lie there: data beside a notebook, for example.
    """
    if path.is_symlink() and not place.holds_a_submission(where):
        return "it is a link, and links are not followed"
    if path.is_dir():
        is_empty = not any(not is_hidden(p.relative_to(path)) for p in path.iterdir())
        return "it is empty: nothing was handed in" if is_empty else ""
    if why := _like_a_notebook(path, where, place):
        return why
    suffix = path.suffix.lower()
    if suffix == ".zip":  # below a student's folder they are opened
        return f"it is of no student: move it to <student>/{path.name}"
    if suffix in _ARCHIVES:
        return "only zip archives are opened: unpack it"
    if place.beside_a_submission(where):
        return ""
    if suffix in _UNGRADABLE:
        return f"{_UNGRADABLE[suffix]}: ask for the notebook (.ipynb)"
    if len(where.parts) == 1 or place.handed_in(where):
        return ""
    return "it is no notebook: ask for the notebook (.ipynb)"


def _like_a_notebook(path: Path, where: Path, place: Place) -> str:
    """Why a file is no submission that is a notebook, or is called like one."""
    name = path.name.lower()
    if name.endswith(".ipynb"):
        return f"not where a submission is expected; {place.cure(where)}"
    if name.endswith(".json") or ".ipynb" in name:
        try:
            read(path)
        except (Unreadable, OSError):
            return ""
        return f"a notebook under another name; {place.cure(where)}"
    return ""
