"""Pictures that students paste into text, in the feedback.

The page needs each under the name that a link to it has once it is quoted, and ends
without a word of the grading where one is missing.
"""

import base64
import html
import re
from typing import Any
from urllib.parse import quote, unquote

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

_LINK = re.compile(r"<attachment:(?P<spaced>[^>\n]+)>|attachment:(?P<plain>[^\s\"'>]+)")
_SAFE = ":/?#@!$&()*+,;=%"
"""What Markdown leaves as it is in an address."""


class Attachments(NbGraderPreprocessor):
    """Gives every link to an attachment something to show."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: Any, cell_index: int
    ) -> tuple[NotebookNode, Any]:
        """Called by nbgrader for every cell."""
        if cell.cell_type == "markdown" and "attachment:" in cell.source:
            attached = dict(cell.get("attachments", {}))
            for link in _links(cell.source):
                found = attached.get(link) or attached.get(unquote(link))
                attached[quote(html.unescape(link), safe=_SAFE)] = found or _missing(
                    unquote(link)
                )
            cell.attachments = attached
        return cell, resources


def _links(text: str) -> set[str]:
    """The names that a text links to; brackets that close a link belong to none."""
    found = set()
    for match in _LINK.finditer(text):
        name = match["spaced"] or match["plain"]
        found.add(name)
        while name.endswith((")", "]")):
            name = name[:-1]
            found.add(name)
        found.add(name.split(")")[0])
    return found - {""}


def _missing(name: str) -> dict[str, str]:
    text = html.escape(f"missing picture: {name}")
    picture = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="480" height="32">'
        f'<text x="4" y="21" font-family="sans-serif">{text}</text></svg>'
    )
    return {"image/svg+xml": base64.b64encode(picture.encode()).decode()}
