"""What every project keeps to: a brief with a measured baseline, and a notebook of it.

Outputs themselves are compared by nbval, in the same run.
"""

import ast
import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from course.building.bake import bake_project, project_texts
from course.building.syllabus import FOLDER
from tests.course.notebooks import assert_baked, assert_run

TEXTS = project_texts()
WORKED = [name for name in TEXTS if name.startswith("worked_")]
BRIEFS = [name for name in TEXTS if name not in WORKED]
PARTS = {"unroll": "unroll", "modular": "modular", "pinn": "pinn", "scale": "modular"}
ALL = pytest.mark.parametrize("name", list(TEXTS))
EACH_WORKED = pytest.mark.parametrize("name", WORKED)
EACH_BRIEF = pytest.mark.parametrize("name", BRIEFS)
ALLOWED = {"unroll", "modular", "pinn", "course", "torch", "numpy", "matplotlib"}
ALLOWED |= {"scipy", "sklearn", "deepxde", "math", "functools", "dataclasses"}
ALLOWED |= {"collections", "copy", "fractions", "itertools", "statistics"}
SECTIONS = [
    r"> \*\*Question\.\*\* [^#|]+\?",
    r"Why it matters: ",
    r"## The baseline, measured",
    r"\*\*The baseline to beat\*\*",
    r"## Three milestones",
    r"## Traps",
    r"## What a good answer contains",
    r"## Readings",
]


@cache
def notebook(name: str) -> NotebookNode:
    return nbformat.read(TEXTS[name].with_suffix(".ipynb"), as_version=4)


def code(name: str) -> list[NotebookNode]:
    return [c for c in notebook(name).cells if c.cell_type == "code"]


def prose(name: str) -> str:
    cells = notebook(name).cells
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


def section(name: str, title: str) -> str:
    return prose(name).split(f"## {title}\n")[1].split("\n## ")[0]


def test_there_are_two_projects_a_part() -> None:
    parts = [name.split("_")[0] for name in BRIEFS]
    assert sorted(parts) == sorted([*PARTS] * 2)


@ALL
def test_the_notebook_is_baked_from_its_text(name: str) -> None:
    assert_baked(notebook(name), TEXTS[name], name)


@ALL
def test_every_cell_was_run_in_order_without_error(name: str) -> None:
    assert_run(notebook(name))


@ALL
def test_every_picture_has_a_caption_and_alt_text(name: str) -> None:
    outputs = [o.get("data", {}) for c in code(name) for o in c.outputs]
    html = "\n".join(o.get("text/html", "") for o in outputs)
    images = re.findall(r"<img[^>]*>", html)
    assert images
    for image in images:
        assert re.search(r'alt="[^"]{40,}"', image), "alt text too short to help"
    assert html.count("<figcaption") == len(images)
    assert not any("image/png" in o for o in outputs), "use course.kit.figure"


@ALL
def test_headings_skip_no_level(name: str) -> None:
    levels = [len(h) for h in re.findall(r"^(#+) ", prose(name), re.MULTILINE)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert set(levels) <= {1, 2}


@ALL
def test_a_project_imports_the_library_and_little_else(name: str) -> None:
    tree = ast.parse("\n".join(c.source for c in code(name)))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    packages = {module.split(".")[0] for module in found}
    assert packages <= ALLOWED
    assert {m for m in found if m.startswith("course")} == {"course.kit"}
    if name not in WORKED:
        package = PARTS[name.split("_")[0]]
        assert package in packages, "a project builds on its part's package"


@ALL
def test_links_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", prose(name))
    assert "../instructor/rubrics.md" in targets
    for target in targets:
        assert (FOLDER / "projects" / target).exists(), f"{name} links to {target}"


@EACH_BRIEF
def test_a_brief_says_all_that_it_must(name: str) -> None:
    text = prose(name)
    places = [re.search(rf"^{s}", text, re.MULTILINE) for s in SECTIONS]
    missing = [s for s, p in zip(SECTIONS, places, strict=True) if p is None]
    assert not missing
    starts = [place.start() for place in places]
    assert starts == sorted(starts), "sections are out of order"
    for row in ("Part", "Before you start", "Time", "Baseline", "Graded by"):
        assert f"| **{row}** |" in text
    milestones = re.findall(
        r"^\d\. \*\*", section(name, "Three milestones"), re.MULTILINE
    )
    assert milestones == ["1. **", "2. **", "3. **"]
    assert "a control" in section(name, "What a good answer contains").replace(
        "\n", " "
    )


@EACH_BRIEF
def test_a_starter_prints_its_baseline(name: str) -> None:
    printed = [
        "".join(o.get("text", "") for o in cell.outputs if o.get("name") == "stdout")
        for cell in code(name)
    ]
    (baseline,) = filter(None, printed)  # and nothing else
    assert re.search(r"\d\.?\d", baseline)


@EACH_BRIEF
def test_readings_say_what_to_look_for(name: str) -> None:
    found = re.split(r"^- ", section(name, "Readings"), flags=re.MULTILINE)[1:]
    assert 3 <= len(found) <= 5
    for reading in found:
        assert re.match(r"\*\*[^*]+ \(\d{4}\)\*\*, \*", reading), reading
        assert "Look for" in " ".join(reading.split()), reading


def test_two_are_worked_each_its_own_brief() -> None:
    briefs = [
        re.search(r"This is the project \[.+?\]\((\w+)\.", prose(w)) for w in WORKED
    ]
    assert len({brief[1] for brief in briefs if brief}) == 2


@EACH_WORKED
def test_a_worked_example_answers_its_brief_and_scores_itself(name: str) -> None:
    text = prose(name)
    brief = re.search(r"This is the project \[.+?\]\((\w+)\.ipynb\)", text)
    assert brief and brief[1] in BRIEFS
    assert f"](../projects/{name}.ipynb)" in prose(brief[1])
    rubric = (FOLDER / "instructor" / "rubrics.md").read_text()
    criteria = re.findall(r"^\| \*\*(.+?)\*\* \|", rubric, re.MULTILINE)
    rows = re.findall(r"^\| (\w.+?) \| ([0-3]) \|", section(name, "Scored"), re.M)
    assert [row for row, _ in rows] == criteria
    told = re.search(r"\*\*(\d+)\*\* of (\d+)", section(name, "Scored"))
    assert int(told[1]) == sum(int(points) for _, points in rows)
    assert int(told[2]) == 3 * len(criteria)


def test_the_page_lists_every_project_with_its_title() -> None:
    page = (FOLDER / "projects" / "README.md").read_text()
    for name in WORKED:
        assert page.count(f"]({name}.ipynb)") == 1
    for name in BRIEFS:
        title = prose(name).splitlines()[0].removeprefix("# ")
        assert page.count(f"| [{title}]({name}.ipynb) |") == 1
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (FOLDER / "projects" / target).exists(), f"the page links to {target}"


def test_teachers_find_the_projects() -> None:
    for page in ("rubrics.md", "index.md"):
        text = (FOLDER / "instructor" / page).read_text()
        assert "](../projects/README.md)" in text


def test_a_project_is_baked_beside_its_text(tmp_path: Path) -> None:
    text = tmp_path / "projects" / "small.py"
    text.parent.mkdir()
    text.write_text("# %% [markdown]\n# # Small\n\n# %%\nprint(6 * 7)\n")
    assert project_texts(tmp_path) == {"small": text}
    baked = nbformat.read(bake_project(text), as_version=4)
    assert baked.cells[1].outputs[0].text == "42\n"
    assert sorted(p.name for p in text.parent.iterdir()) == ["small.ipynb", "small.py"]
