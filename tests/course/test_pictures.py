"""Code that only draws is folded, and only such code: what teaches stays open."""

import ast
import re

import nbformat
import pytest
from nbformat import NotebookNode

from course.building.syllabus import Chapter, chapters

CHAPTERS = pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.slug)


def tags(cell: NotebookNode) -> set[str]:
    return {*cell.metadata.get("tags", [])}


def shows(statement: ast.stmt) -> bool:
    """Whether a statement is ``figure(...)``."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(call, ast.Call) and ast.unparse(call.func) == "figure"


def code(chapter: Chapter) -> list[tuple[NotebookNode, bool]]:
    """The code cells, each with whether students are asked to change it."""
    found, inside = [], False
    for cell in nbformat.read(chapter.source, as_version=4).cells:
        if cell.cell_type == "code":
            found.append((cell, inside))
        elif "\n## " in f"\n{cell.source}":
            inside = "## An experiment to change" in cell.source
    return found


@CHAPTERS
def test_code_that_draws_is_folded(chapter: Chapter) -> None:
    """But for what tests rely on, and for what is there to be changed."""
    for cell, to_be_changed in code(chapter):
        if any(map(shows, ast.parse(cell.source).body)):
            assert to_be_changed or tags(cell) & {"picture", "given"}, cell.source


@CHAPTERS
def test_what_is_folded_only_draws(chapter: Chapter) -> None:
    """No function is hidden, and nothing that goes on after the picture."""
    for cell, _ in code(chapter):
        hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        assert hidden == ("picture" in tags(cell)), cell.source
        if hidden:
            body = ast.parse(cell.source).body
            assert shows(body[-1]), cell.source
            assert not any(isinstance(s, ast.FunctionDef) for s in body), cell.source


@CHAPTERS
def test_text_in_pictures_can_be_read(chapter: Chapter) -> None:
    """No text is set smaller than 8 points."""
    sizes = re.findall(
        r"(?:fontsize|labelsize|title_fontsize)=([\d.]+)", chapter.text.read_text()
    )
    assert all(float(size) >= 8 for size in sizes), sorted(set(sizes))


@CHAPTERS
def test_the_last_code_is_open(chapter: Chapter) -> None:
    """The browser sees by its number that all cells before it have run."""
    assert "picture" not in tags(code(chapter)[-1][0])
