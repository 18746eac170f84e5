"""The exercises of a chapter, as its notebook states them."""

import ast
import re
from dataclasses import dataclass

from nbformat import NotebookNode

_HEADING = re.compile(
    r"^### Exercise (?P<id>(?P<chapter>\d\d)\.(?P<number>\d+)) · (?P<title>.+)\n+"
    r"Difficulty (?P<dots>●+○*) · (?P<points>\d+) points?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Exercise:
    """One exercise: its number, title, difficulty from 1 to 5, points and cells."""

    id: str
    title: str
    difficulty: int
    points: int
    grade_id: str

    @property
    def dots(self) -> str:
        """The difficulty as the chapter shows it."""
        return "●" * self.difficulty + "○" * (5 - self.difficulty)

    def owns(self, grade_id: str) -> bool:
        """Whether a cell with this ``grade_id`` belongs to the exercise."""
        return grade_id == self.grade_id or grade_id.startswith(self.grade_id + "-")


def exercises(notebook: NotebookNode) -> list[Exercise]:
    """Read the exercises off a notebook's headings.

    Args:
        notebook: A chapter's notebook, of any kind.

    Returns:
        The exercises, in order.

    Raises:
        ValueError: If a heading of an exercise does not follow the template.
    """
    found = []
    for cell in notebook.cells:
        if cell.cell_type != "markdown" or "### Exercise" not in cell.source:
            continue
        match = _HEADING.search(cell.source)
        if not match or len(match["dots"]) != 5:
            raise ValueError(
                "an exercise starts with '### Exercise 11.1 · Title' and then "
                f"'Difficulty ●●○○○ · 3 points', got {cell.source[:90]!r}"
            )
        found.append(
            Exercise(
                id=match["id"],
                title=match["title"],
                difficulty=match["dots"].count("●"),
                points=int(match["points"]),
                grade_id=f"ex{match['chapter']}-{match['number']}",
            )
        )
    return found


def grade_id(cell: NotebookNode) -> str | None:
    """Return the ``grade_id`` of a cell that nbgrader knows, else None."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_graded(cell: NotebookNode) -> bool:
    """Whether a cell gives points."""
    return bool(cell.metadata.get("nbgrader", {}).get("grade"))


def is_solution(cell: NotebookNode) -> bool:
    """Whether students write in a cell."""
    return bool(cell.metadata.get("nbgrader", {}).get("solution"))


def definitions(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    """Return the functions and classes that a cell defines."""
    return [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]


def names_read(tree: ast.AST) -> set[str]:
    """Return the names that a piece of code reads and does not bind itself."""
    nodes = [*ast.walk(tree)]
    names = [n for n in nodes if isinstance(n, ast.Name)]
    bound = {n.id for n in names if not isinstance(n.ctx, ast.Load)}
    bound |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    return {n.id for n in names} - bound
