"""Feedback shows formulas where there is no network."""

import json
import re

import nbformat
import pytest

from course.building.syllabus import Chapter, chapters
from course.grading.formulas import mathml, without_formulas
from course.grading.grade import grade
from tests.course.grading import submit


def formulas(text: str) -> tuple[str, list[str]]:
    found: list[str] = []
    rest = without_formulas(text, lambda f: found.append(f) or f"<{len(found)}>")
    return rest, found


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("of $x$ and $$y$$.", "of <1> and <2>."),
        ("`$x$` and ``a ` $y$``", "`$x$` and ``a ` $y$``"),
        ("```\n$x$\n```\n$y$", "```\n$x$\n```\n<1>"),
        (r"\$5 and $a\$b$", r"\$5 and <1>"),
        ("$5 alone", "$5 alone"),
        ("$a\nb$ but $c\n\nd$", "<1> but $c\n\nd$"),
        ("| $|x|$ | $a_*$ |", "| <1> | <2> |"),
    ],
)
def test_formulas_are_found_and_code_is_none(text: str, rest: str) -> None:
    assert formulas(text)[0] == rest


def test_a_formula_that_nothing_reads_is_shown_as_written() -> None:
    assert mathml(r"\left(<", "inline") == r"<code>\left(&lt;</code>"
    assert "<mo>arg</mo>" in mathml(r"\arg\min_x", "block")


@pytest.mark.parametrize("size", ["big", "Bigl", "biggr", "Bigg", "left"])
@pytest.mark.parametrize(
    ("fence", "character"),
    [("lfloor", "0230A"), ("rangle", "027E9"), ("|", "02016"), ("{", "0007B")],
)
def test_fences_of_given_size(size: str, fence: str, character: str) -> None:
    end = r"\right." if size == "left" else ""
    assert f">&#x{character};</mo>" in mathml(rf"\{size}\{fence} x{end}", "block")


@pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.id)
def test_every_formula_of_the_course_is_converted(chapter: Chapter) -> None:
    notebook = nbformat.read(chapter.source, as_version=4)
    texts = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    found = [formula for text in texts for formula in formulas(text)[1]]
    assert found
    for formula in found:
        assert formula.startswith("<math"), formula
        assert "\\" not in formula, formula


def test_a_page_of_feedback_is_whole_in_itself(released: Chapter) -> None:
    path = submit(released, "ada", released.source)
    notebook = json.loads(path.read_text())
    text = "Of *stars* $a * b * c$\n\n| a |\n|---|\n| $|x|_1$ |\n\n$$\\sum_i x_i$$"
    cell = {"cell_type": "markdown", "metadata": {}, "source": text}
    notebook["cells"].insert(0, cell)
    path.write_text(json.dumps(notebook))
    graded = grade(root=released.folder, progress=False)
    page = (graded.feedback / "ada" / "01_tiny" / "01_tiny.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=\"http[^>]+>", page)
    assert "mathjax.js" not in page.lower() and "cdnjs" not in page
    assert page.count("<math ") == 3
    assert 'display="block"' in page and "FORMULA" not in page
    assert "<em>stars</em>" in page and "<td>" in page
