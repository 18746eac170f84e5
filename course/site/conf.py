"""The web site: stored chapters, as they were verified, and the library's reference.

Built offline by ``make site``; nothing is executed, and every warning is an error.
"""

from pathlib import Path

import nbformat

from course.exercises import is_graded, is_solution
from course.syllabus import TITLE, chapters, parts

SITE = Path(__file__).resolve().parent

project = TITLE
author = "The Beyond the Black Box authors"
copyright = "2026, the authors; prose and figures CC BY 4.0, code BSD-3-Clause"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "sphinx_book_theme"
html_title = TITLE
nb_execution_mode = "off"
myst_enable_extensions = ["amsmath", "dollarmath", "html_image"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
suppress_warnings = ["config.cache"]


def _render_chapters() -> None:
    """Put the chapters under the site, answers and held-out tests folded away."""
    folder = SITE / "chapters"
    folder.mkdir(exist_ok=True)
    for chapter in chapters():
        notebook = nbformat.read(chapter.source, as_version=4)
        for cell in notebook.cells:
            if is_solution(cell) or is_graded(cell):
                cell.metadata.setdefault("tags", []).append("hide-input")
            for output in cell.get("outputs", []):
                _prefer_html(output)
        nbformat.write(notebook, folder / f"{chapter.slug}.ipynb")
    (SITE / "chapters.md").write_text(_contents())


def _prefer_html(output: dict) -> None:
    """Leave out the plain text of an output that also has a page to show."""
    if "text/html" in output.get("data", {}):
        output["data"].pop("text/plain", None)


def _contents() -> str:
    lines = ["# Chapters", ""]
    for number, title in parts().items():
        entries = [f"chapters/{c.slug}" for c in chapters() if c.part == number]
        lines += [f"```{{toctree}}\n:caption: {title}\n", *entries, "```", ""]
    return "\n".join(lines)


_render_chapters()
