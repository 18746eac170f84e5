"""Which notebooks in a folder are submissions, and what is wrong with the others."""

from collections.abc import Iterator
from pathlib import Path

from course.building.syllabus import Chapter, chapters


def submissions(folder: Path, root: Path) -> Iterator[tuple[str, Chapter]]:
    """Find ``<folder>/<student>/<chapter>/<chapter>.ipynb``.

    Args:
        folder: The folder.
        root: The course folder.

    Yields:
        Student and chapter of each.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder} is not a folder: expected submissions there; if they lie "
            "elsewhere, say where: make grade SUBMISSIONS=folder"
        )
    for student in sorted(path for path in folder.iterdir() if path.is_dir()):
        for chapter in chapters(root):
            if (student / chapter.slug / f"{chapter.slug}.ipynb").is_file():
                yield student.name, chapter


def astray(folder: Path, root: Path) -> dict[tuple[str, str], str]:
    """Tell why each notebook that is no submission is none, and what to do about it.

    Args:
        folder: The folder.
        root: The course folder.

    Returns:
        A line by student and notebook.
    """
    expected = {
        Path(s, c.slug, f"{c.slug}.ipynb") for s, c in submissions(folder, root)
    }
    slugs = [chapter.slug for chapter in chapters(root)]
    found = {}
    for path in sorted(folder.rglob("*.ipynb")):
        where = path.relative_to(folder)
        if where in expected or any(part.startswith(".") for part in where.parts):
            continue  # .ipynb_checkpoints, and what macOS adds to archives
        student, *rest = where.parts
        if not rest or student in slugs:
            student, rest = "<student>", where.parts
        named = (s for part in reversed(rest) for s in slugs if s in part)
        slug = next(named, "<chapter>")
        target = Path(student, slug, f"{slug}.ipynb")
        cure = f"rename it to {target.as_posix()}"
        if target in expected:
            cure = f"keep either it or {target.as_posix()}, under that name"
        why = f"not where a submission is expected; {cure}"
        found[student, Path(*rest).as_posix()] = why
    return found
