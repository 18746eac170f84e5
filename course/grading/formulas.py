"""Formulas in the feedback as MathML, which browsers show without the network."""

import html
import re
from collections.abc import Callable
from typing import Any

from latex2mathml.converter import convert
from latex2mathml.symbols_parser import convert_symbol
from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

_CODE_OR_FORMULA = re.compile(
    r"(?P<code>^(?P<fence>```+|~~~+).*?^(?P=fence)|(?P<ticks>`+)(?!`).+?(?P=ticks)|\\\$)"
    r"|\$\$(?P<display>.+?)\$\$"
    r"|\$(?P<inline>(?![\s$])(?:[^$\\\n]|\\.|\n(?!\s*\n))+)\$",
    re.MULTILINE | re.DOTALL,
)
_ARG = re.compile(r"\\arg(?![a-zA-Z])")
_BIG = re.compile(r"(?<=>)\\(?:[a-zA-Z]+|[|{}])(?=</mo>)")


class Formulas(NbGraderPreprocessor):
    """Puts a mark in the place of each formula, and the formula aside.

    Markdown would read stars and bars in it. The template of the feedback puts it back.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        """Called by nbgrader for every notebook."""
        aside: dict[str, str] = {}

        def put_aside(formula: str) -> str:
            mark = f"FORMULA{len(aside)}MARK"
            aside[mark] = formula
            return mark

        for cell in nb.cells:
            if cell.cell_type == "markdown":
                cell.source = without_formulas(cell.source, put_aside)
        resources["formulas"] = aside
        return nb, resources


def without_formulas(text: str, put_aside: Callable[[str], str]) -> str:
    r"""Replace each formula of a text; what stands in code is none.

    Args:
        text: Markdown.
        put_aside: Given a formula as MathML, returns what stands in its place.

    Returns:
        The text.

    Example:
        >>> without_formulas(r"Of $x$, `$y` and \$5", lambda formula: formula[:5])
        'Of <math, `$y` and \\$5'
    """

    def replace(match: re.Match) -> str:
        if match["code"]:
            return match[0]
        formula = match["display"] or match["inline"]
        return put_aside(mathml(formula, "block" if match["display"] else "inline"))

    return _CODE_OR_FORMULA.sub(replace, text)


def mathml(formula: str, display: str) -> str:
    """Convert a formula; one that cannot be converted is shown as it is written.

    Args:
        formula: LaTeX.
        display: ``"block"`` or ``"inline"``.

    Returns:
        HTML.
    """
    formula = _ARG.sub(r"\\operatorname{arg}", formula)  # not known to the converter
    try:
        return _BIG.sub(_fence, convert(formula, display=display))
    except Exception:  # students write what no converter expects
        return f"<code>{html.escape(formula)}</code>"


def _fence(command: re.Match) -> str:
    """Return a fence of given size, which the converter leaves as it is written."""
    code = convert_symbol(command[0])
    return f"&#x{code};" if code else command[0]
