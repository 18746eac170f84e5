"""The web site: stored chapters, as they were verified, and the library's reference.

Built offline by ``make site``; nothing is executed, and every warning is an error.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import pages

from course.building.syllabus import TITLE

project = TITLE
author = "The Beyond the Black Box authors"
copyright = "2026, the authors; prose and figures CC BY 4.0, code BSD-3-Clause"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build"]
html_theme = "sphinx_book_theme"
html_title = TITLE
html_static_path = ["static"]
html_css_files = ["course.css"]
nb_execution_mode = "off"
myst_enable_extensions = ["amsmath", "dollarmath", "html_image"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
suppress_warnings = ["config.cache"]
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "navbar_persistent": [],  # the sidebar has the search already
}

pages.write(Path(__file__).parent)
CHAPTERS = pages.used_in()


def link_chapters(app, what, name, obj, options, lines) -> None:  # noqa: ANN001
    """Say at the end of a docstring which chapters use the name."""
    chapters = ", ".join(
        f":doc:`{c.id} · {c.title} </chapters/{c.slug}>`"
        for c in CHAPTERS.get(name, [])
    )
    if chapters:
        lines += ["", f"**In the course:** {chapters}.", ""]


def setup(app) -> None:  # noqa: ANN001
    """Register the cross-links."""
    app.connect("autodoc-process-docstring", link_chapters)
