"""What every chapter keeps to: text and notebook agree, and the template is followed.

Outputs themselves are compared by nbval, in the same run.
"""

import ast
import re
from collections.abc import Iterable
from functools import cache

import nbformat
import pytest
from nbformat import NotebookNode

from course.building.exercises import (
    definitions,
    exercises,
    grade_id,
    is_graded,
    is_solution,
    names_read,
)
from course.building.syllabus import FOLDER, Chapter, chapters
from tests.course.notebooks import assert_baked, assert_run

CHAPTERS = pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.slug)

SECTIONS = [
    r"## Cold open",
    r"## 1\. ",
    r"## The library's version",
    r"## Signature result",
    r"## An experiment to change",
    r"## When it fails",
    r"## Quiz",
    r"## Summary",
    r"## Glossary",
    r"## Readings",
]


@cache
def notebook(chapter: Chapter) -> NotebookNode:
    return nbformat.read(chapter.source, as_version=4)


def code(chapter: Chapter) -> list[NotebookNode]:
    return [c for c in notebook(chapter).cells if c.cell_type == "code"]


def prose(chapter: Chapter) -> str:
    cells = notebook(chapter).cells
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


def html(chapter: Chapter) -> str:
    outputs = [o for c in code(chapter) for o in c.outputs]
    return "\n".join(o.get("data", {}).get("text/html", "") for o in outputs)


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def test_every_text_is_in_the_syllabus_and_every_folder_holds_one_notebook() -> None:
    assert {c.text for c in chapters()} == set((FOLDER / "chapters").glob("*.py"))
    stored = {p for p in (FOLDER / "source").rglob("*") if p.is_file()}
    assert {c.source for c in chapters()} == {
        p for p in stored if ".ipynb_checkpoints" not in p.parts
    }


@CHAPTERS
def test_the_notebook_is_baked_from_its_text(chapter: Chapter) -> None:
    assert_baked(notebook(chapter), chapter.text, chapter.id)


@CHAPTERS
def test_every_cell_was_run_in_order_without_error(chapter: Chapter) -> None:
    assert_run(notebook(chapter))


@CHAPTERS
def test_no_output_holds_an_address_or_a_path(chapter: Chapter) -> None:
    for cell in code(chapter):
        shown = re.sub(r"base64,[A-Za-z0-9+/=]+", "", str(cell.outputs))
        assert not re.search(r"0x[0-9a-f]{6,}|/home/|/tmp/|/Users/", shown), shown


@CHAPTERS
def test_every_picture_has_a_caption_and_alt_text(chapter: Chapter) -> None:
    images = re.findall(r"<img[^>]*>", html(chapter))
    assert len(images) >= 3
    for image in images:
        assert re.search(r'alt="[^"]{20,}"', image), "alt text too short to help"
    assert html(chapter).count("<figcaption") == len(images)
    for cell in code(chapter):
        for output in cell.outputs:
            assert "image/png" not in output.get("data", {}), (
                f"show it with course.kit.figure: {cell.source}"
            )


@CHAPTERS
def test_few_cells_ignore_their_output_and_each_says_why(chapter: Chapter) -> None:
    ignoring = [c for c in code(chapter) if "nbval-ignore-output" in tags(c)]
    assert len(ignoring) <= 0.05 * len(code(chapter))
    for cell in ignoring:
        assert re.match(r"# output ignored: \w+", cell.source)
    for cell in code(chapter):
        assert not {"nbval-skip", "raises-exception", "skip-execution"} & {*tags(cell)}
        assert "NBVAL_" not in cell.source, "use a tag, so that the tests see it"


@CHAPTERS
def test_the_chapter_follows_the_template(chapter: Chapter) -> None:
    text = prose(chapter)
    assert text.startswith(f"# {chapter.id} · {chapter.title}\n\n> **Claim.** ")
    for name in ("You will be able to", "Before you start", "Time", "Points"):
        assert f"**{name}**" in text
    assert "setup" in tags(code(chapter)[0])
    places = [re.search(rf"^{s}", text, re.MULTILINE) for s in SECTIONS]
    missing = [s for s, p in zip(SECTIONS, places, strict=True) if p is None]
    assert not missing
    starts = [place.start() for place in places]
    assert starts == sorted(starts), "sections are out of order"
    rounds = re.findall(r"^## \d+\. ", text, re.MULTILINE)
    assert 3 <= len(rounds) <= 7


@CHAPTERS
def test_chapters_that_the_text_names_exist(chapter: Chapter) -> None:
    named = re.findall(
        r"\b[Cc]hapters? ((?:\d\d(?:, | and | or | to )?)+)", prose(chapter)
    )
    assert {*re.findall(r"\d\d", " ".join(named))} <= {c.id for c in chapters()}


@CHAPTERS
def test_headings_skip_no_level(chapter: Chapter) -> None:
    text = re.sub(r"```.*?```", "", prose(chapter), flags=re.DOTALL)
    levels = [len(h) for h in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert levels.count(1) == 1
    for above, below in zip(levels, levels[1:], strict=False):
        assert below <= above + 1


@CHAPTERS
def test_the_card_agrees_with_the_syllabus(chapter: Chapter) -> None:
    assert re.search(rf"\*\*Time\*\* *\|[^|]*\b{chapter.minutes} min", prose(chapter))
    assert re.search(rf"\*\*Points\*\* *\|[^|]*\b{chapter.points}\b", prose(chapter))
    graded = [c for c in code(chapter) if is_graded(c)]
    assert sum(c.metadata.nbgrader.points for c in graded) == chapter.points


@CHAPTERS
def test_exercises_are_complete_and_grow_harder(chapter: Chapter) -> None:
    cells = notebook(chapter).cells
    found = exercises(notebook(chapter))
    assert len(found) >= 6
    numbers = [e.id for e in found]
    assert numbers == [f"{chapter.id}.{n}" for n in range(1, len(found) + 1)]
    difficulties = [e.difficulty for e in found]
    assert difficulties == sorted(difficulties)
    for e in found:
        own = [c for c in cells if e.owns(grade_id(c) or "")]
        assert [grade_id(c) for c in own] == [
            e.grade_id,
            f"{e.grade_id}-visible",
            f"{e.grade_id}-heldout",
        ]
        assert [is_solution(c) for c in own] == [True, False, False]
        assert sum(c.metadata.nbgrader.get("points", 0) for c in own) == e.points
        assert "### BEGIN HIDDEN TESTS" not in own[1].source
        assert "### BEGIN HIDDEN TESTS" in own[2].source
        assert own[0].outputs == own[1].outputs == own[2].outputs == []
        hints = cells[cells.index(own[2]) + 1].source
        assert re.findall(r"<summary>(Hint \d)</summary>", hints) == [
            "Hint 1",
            "Hint 2",
            "Hint 3",
        ]


@CHAPTERS
def test_every_assertion_tells_an_idea(chapter: Chapter) -> None:
    """A bare ``assert`` tells a student nothing."""
    for cell in code(chapter):
        if not is_graded(cell):
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Assert):
                assert node.msg is not None, ast.unparse(node)
        last = ast.parse(cell.source).body[-1]
        assert not isinstance(last, ast.Expr), (
            "nbgrader reads a trailing expression as partial credit: "
            + ast.unparse(last)
        )


@CHAPTERS
def test_a_wrong_answer_costs_points_of_its_own_exercise_only(chapter: Chapter) -> None:
    """Tests call no other exercise's answer, not through the chapter's functions."""
    owner: dict[str, str] = {}  # of each function of an answer: the exercise
    needs: dict[str, set[str]] = {}  # of each other function: the names it reads
    for cell in code(chapter):
        for function in [] if is_graded(cell) else definitions(ast.parse(cell.source)):
            if is_solution(cell):
                owner.setdefault(function.name, str(grade_id(cell)))
            else:
                needs[function.name] = names_read(function)
    for cell in code(chapter):
        if not is_graded(cell):
            continue
        own = str(grade_id(cell)).rpartition("-")[0]
        called = reached(names_read(ast.parse(cell.source)), needs, stop=owner)
        others = {name: owner[name] for name in called if name in owner}
        assert {*others.values()} <= {own}, f"{grade_id(cell)} calls {others}"
        taken = names_bound(ast.parse(cell.source)) & {*owner}
        assert not taken, f"{grade_id(cell)} binds {taken}"


def names_bound(tree: ast.Module) -> set[str]:
    """Names that a cell gives a value, and so takes from what had them before."""
    stored = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    bound = {n.id for n in stored if isinstance(n.ctx, ast.Store)}
    return bound | {function.name for function in definitions(tree)}


def reached(
    names: set[str], needs: dict[str, set[str]], stop: Iterable[str]
) -> set[str]:
    """These names, what the functions among them read, and so on."""
    found: set[str] = set()
    new = {*names}
    while new:
        found |= new
        new = {n for name in new - {*stop} for n in needs.get(name, ())} - found
    return found


def test_a_call_through_another_function_is_seen() -> None:
    read = names_read(ast.parse("x = f(y)\nfor i in range(3):\n    x += i"))
    assert read == {"f", "y", "range"}
    needs = {"f": {"g"}, "g": {"answer", "f"}, "answer": {"secret"}}
    assert reached({"f"}, needs, stop=["answer"]) == {"f", "g", "answer"}


@CHAPTERS
def test_the_notebook_stays_small(chapter: Chapter) -> None:
    assert chapter.source.stat().st_size < 1_000_000
