"""What the tests of grading share; three students hand in every chapter.

``perfect`` hands in the chapter's own answers and what their tests rely on: nbval runs
the whole of it, with as much memory as a submission may use. ``blank`` hands in what
was given out, whole. ``mixed`` has every second answer wrong in a known way, and the
whole chapter around them where the tests are asked for one chapter. What the third must
get is computed here, in this process, from the test cells that the mixed answers pass.
"""

import contextlib
import csv
import importlib
import io
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode
from nbgrader.api import Gradebook

from course.building.exercises import grade_id, is_graded, is_solution
from course.building.release import prepare_work
from course.building.syllabus import FOLDER, Chapter, chapters
from course.grading.grade import grade
from course.grading.outcome import Graded


def submit(
    chapter: Chapter,
    student: str,
    path: Path,
    answers: Mapping[str, str] | None = None,
    *,
    whole: bool = True,
) -> Path:
    """Hand in the notebook at ``path``, with other answers in place of some of its.

    If not the ``whole``, then without the cells that no test relies on.
    """
    folder = chapter.folder / "submitted" / student / chapter.slug
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{chapter.slug}.ipynb"
    shutil.copy(path, target)
    if answers or not whole:
        notebook = nbformat.read(target, as_version=4)
        notebook.cells = [c for c in notebook.cells if whole or is_needed(c)]
        for cell in notebook.cells:
            cell.source = (answers or {}).get(cell.id, cell.source)
        nbformat.write(notebook, target)
    return target


def points(table: Path) -> dict[tuple[str, str], float | None]:
    """Points by student and chapter, None for no score; every row of the table once."""
    with table.open() as file:
        rows = list(csv.DictReader(file))
    found = {(row["student_id"], row["assignment"]): row["score"] for row in rows}
    assert len(found) == len(rows)
    return {where: float(score) if score else None for where, score in found.items()}


@dataclass
class Class:
    """One chapter, in a course folder of its own, graded for three students."""

    folder: Path
    slug: str
    whole: bool = False

    @cached_property
    def released(self) -> Chapter:
        """The chapter with a student's copy."""
        source = self.folder / "source" / self.slug
        shutil.copytree(FOLDER / "source" / self.slug, source)
        syllabus = yaml.safe_load((FOLDER / "syllabus.yml").read_text())
        syllabus["chapters"] = [
            entry for entry in syllabus["chapters"] if entry["slug"] == self.slug
        ]
        (self.folder / "syllabus.yml").write_text(yaml.safe_dump(syllabus))
        prepare_work(self.folder)
        (chapter,) = chapters(self.folder)
        return chapter

    @cached_property
    def graded(self) -> Graded:
        """Handed in three times, and graded."""
        chapter = self.released
        submit(chapter, "perfect", chapter.source, whole=False)
        submit(chapter, "blank", chapter.work)
        answers = mixed_answers(chapter)
        submit(chapter, "mixed", chapter.source, answers, whole=self.whole)
        return grade(root=self.folder, progress=False)

    def autograded(self, student: str) -> Path:
        """The copy that nbgrader has run."""
        self.graded  # noqa: B018  (graded once)
        return self.folder / "autograded" / student / self.slug / f"{self.slug}.ipynb"

    def cells(self, student: str) -> dict[str, float]:
        """Points of each graded cell, as the gradebook has them."""
        with Gradebook(f"sqlite:///{self.graded.gradebook}") as gradebook:
            notebook = gradebook.find_submission_notebook(self.slug, self.slug, student)
            return {g.name: g.score for g in notebook.grades}


def mixed_answers(chapter: Chapter) -> dict[str, str]:
    """A wrong answer to every second exercise, the first of its mutants."""
    known = importlib.import_module(f"tests.course.mutants.{chapter.slug}").MUTANTS
    wrong = {m.grade_id: m.code for m in reversed(known)}
    return {name: wrong[name] for name in sorted(wrong)[::2]}


def is_needed(cell: NotebookNode) -> bool:
    """Whether points may depend on it: setup, "given", the answers and their tests."""
    given = {"setup", "given"} & {*cell.metadata.get("tags", [])}
    return bool(given) or is_solution(cell) or is_graded(cell)


def expected_points(
    notebook: NotebookNode, folder: Path, answers: Mapping[str, str]
) -> dict[str, float]:
    """Points of each graded cell, found by running what tests may rely on here."""
    names: dict = {}
    found = {}
    quiet = contextlib.redirect_stdout(io.StringIO())
    with contextlib.chdir(folder), warnings.catch_warnings(), quiet:
        for cell in notebook.cells:
            if not is_needed(cell):
                continue
            passed = _passes(answers.get(cell.id, cell.source), names)
            if is_graded(cell):
                found[grade_id(cell)] = passed * cell.metadata.nbgrader.points
    return found


def _passes(code: str, names: dict) -> bool:
    """Whether code raises nothing and writes nothing to stderr."""
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            exec(compile(code, "cell", "exec"), names)
    except Exception:  # any error costs the points
        return False
    return not stderr.getvalue()
