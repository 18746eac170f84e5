"""Pages of the site that are made from other files: nothing is told twice."""

import ast
import importlib
import pkgutil
import re
import shutil
from collections import defaultdict
from pathlib import Path

import nbformat
import systems
from nbformat import NotebookNode

from course.building.exercises import exercises, is_graded, is_solution
from course.building.syllabus import Chapter, chapters, parts

PACKAGES = ("unroll", "modular", "pinn")
GLOSSARY = re.compile(r"^## Glossary\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
GOALS = re.compile(r"\| \*\*You will be able to\*\* \| (.+?) \|$", re.MULTILINE)
ROW = re.compile(r"^\| (?!Term )(.+?) \| (.+?) \|$", re.MULTILINE)


def write(site: Path) -> None:
    """Write every generated page below the folder ``site``."""
    for folder in ("chapters", "projects", "instructor"):
        shutil.rmtree(site / folder, ignore_errors=True)
        (site / folder).mkdir()
    for chapter in chapters():
        page = _page(chapter.source)
        nbformat.write(page, site / "chapters" / f"{chapter.slug}.ipynb")
    (site / "chapters.md").write_text(_contents())
    _write_projects(site.parent / "projects", site / "projects")
    (site / "glossary.md").write_text(_glossary())
    (site / "reference" / "families.md").write_text(_families())
    (site / "systems.md").write_text(systems.systems_page())
    (site / "methods.md").write_text(systems.methods_page())
    guide = site / "instructor"
    for page in (site.parent / "instructor").glob("*.md"):
        (guide / page.name).write_text(page.read_text())
    (guide / "goals.md").write_text(_goals())
    (guide / "graders.md").write_text(_misconceptions())
    contributing = (site.parents[1] / "CONTRIBUTING.md").read_text()
    (guide / "contributing.md").write_text(contributing)


def used_in() -> dict[str, list[Chapter]]:
    """Return which chapters use a public name, such as ``unroll.fista``."""
    found = defaultdict(list)
    for chapter in chapters():
        for name in _names(nbformat.read(chapter.source, as_version=4)):
            found[name].append(chapter)
    return found


def _write_projects(projects: Path, pages: Path) -> None:
    """Write the projects' page and their notebooks, as they were verified."""
    entries = []
    for path in sorted(projects.glob("*.ipynb")):
        nbformat.write(_page(path), pages / path.name)
        entries.append(path.stem)
    tree = ["", "```{toctree}", ":hidden:", "", *entries, "```", ""]
    (pages / "README.md").write_text(
        (projects / "README.md").read_text() + "\n".join(tree)
    )


def _page(path: Path) -> NotebookNode:
    """A notebook as it was verified: answers and tests folded, links to the library."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if is_solution(cell) or is_graded(cell) or "picture" in tags:
            cell.metadata.setdefault("tags", []).append("hide-input")
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):  # it shows more than plain text
                output["data"].pop("text/plain", None)
    links = ", ".join(f"{{py:obj}}`{name}`" for name in sorted(_names(notebook)))
    if links:
        text = f"## In the library\n\nThis page uses {links}."
        notebook.cells.append(nbformat.v4.new_markdown_cell(text, id="in-the-library"))
    return notebook


def _names(notebook: NotebookNode) -> set[str]:
    """Return the public names of our packages that the code of a notebook uses."""
    code = "\n".join(c.source for c in notebook.cells if c.cell_type == "code")
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module in PACKAGES:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
    return {name for name in found if _is_public(name)}


def _is_public(name: str) -> bool:
    package, _, attribute = name.partition(".")
    if package not in PACKAGES:
        return False
    return attribute in __import__(package).__all__


def _families() -> str:
    """What the front doors of families offer beyond their package's own."""
    lines = ["# Families and tools", "", "Imported by their own names.", ""]
    for package in map(importlib.import_module, PACKAGES):
        core = [getattr(package, name) for name in package.__all__]
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            door = importlib.import_module(found.name)
            own = [
                n for n in getattr(door, "__all__", ()) if getattr(door, n) not in core
            ]
            if own and not found.name.rpartition(".")[2].startswith("_"):
                lines += [f"## {found.name}", "", "```{eval-rst}"]
                lines += [f".. automodule:: {found.name}", "   :imported-members:"]
                lines += [f"   :members: {', '.join(own)}", "```", ""]
    return "\n".join(lines)


def _contents() -> str:
    """The table of contents: a tree for each part."""
    lines = ["# Chapters", ""]
    for number, title in parts().items():
        own = [chapter for chapter in chapters() if chapter.part == number]
        if not own:
            continue
        lines += [f"## {title}", ""]
        lines += ["| chapter | what it claims | time | points |", "|---|---|---|---|"]
        lines += [
            f"| [{c.id} · {c.title}](chapters/{c.slug}.ipynb) | {c.claim} "
            f"| {c.minutes} min | {c.points} |"
            for c in own
        ]
        entries = [f"chapters/{c.slug}" for c in own]
        lines += ["", "```{toctree}", ":hidden:", f":caption: {title}", ""]
        lines += [*entries, "```", ""]
    return "\n".join(lines)


def _glossary() -> str:
    """All chapters' glossaries as one, in alphabetical order."""
    meanings = defaultdict(list)
    for chapter in chapters():
        for cell in nbformat.read(chapter.source, as_version=4).cells:
            section = GLOSSARY.search(cell.source)
            for term, meaning in ROW.findall(section[1]) if section else []:
                link = f"[{chapter.id}](chapters/{chapter.slug}.ipynb)"
                meanings[term].append(f"{meaning} ({link})")
    lines = ["# Glossary", "", "| term | meaning, and the chapter that uses it |"]
    lines += ["|---|---|"]
    for term in sorted(meanings, key=lambda t: t.strip("$\\(").casefold()):
        lines.append(f"| {term} | {'; '.join(meanings[term])} |")
    return "\n".join([*lines, ""])


def _goals() -> str:
    """What a student can do after each chapter, as its card says."""
    lines = ["# Learning goals", "", "After a chapter, a student can ...", ""]
    for chapter in chapters():
        cells = nbformat.read(chapter.source, as_version=4).cells
        (goals,) = GOALS.findall("\n".join(cell.source for cell in cells))
        lines += [f"## {chapter.id} · {chapter.title}", ""]
        lines += [f"- {goal.strip()}" for goal in goals.split(";")]
        lines.append("")
    return "\n".join(lines)


def _misconceptions() -> str:
    """The wrong ideas that each exercise's tests are proved to catch."""
    lines = [
        "# Misconceptions",
        "",
        "Each exercise has visible and held-out tests of *properties*: what any right",
        "answer does, whatever it looks like. Below, for each exercise, the wrong",
        "ideas that its tests catch, and the unusual right answers that they accept.",
        "Both are tried in every run of the tests; when you read a submission that",
        "fails, look for its idea here.",
        "",
    ]
    for chapter in chapters():
        answers = importlib.import_module(f"tests.course.mutants.{chapter.slug}")
        lines += [f"## {chapter.id} · {chapter.title}", ""]
        for exercise in exercises(nbformat.read(chapter.source, as_version=4)):
            lines += [f"### {exercise.id} · {exercise.title}", ""]
            lines += [f"{exercise.dots}, {exercise.points} points", ""]
            for label, kind in (
                ("wrong", answers.MUTANTS),
                ("right", answers.ALTERNATIVES),
            ):
                own = [a.idea for a in kind if a.grade_id == exercise.grade_id]
                lines += [f"- *{label}:* {_plain(idea)}" for idea in own]
            lines.append("")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Text in which no character means anything to Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)
