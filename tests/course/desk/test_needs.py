"""One exercise is judged by running what it needs and nothing else."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course.building.bake import bake
from course.building.exercises import exercises, grade_id, is_graded
from course.building.release import prepare_work
from course.building.syllabus import Chapter, chapters
from course.desk import check as checking
from course.desk.check import check
from course.desk.needs import bound, needed
from tests.course.desk.test_check import SECOND

SLOW = "\n# %%\nslow = 'a training'\n"


def cells(*sources: str) -> list[NotebookNode]:
    found = [new_code_cell(source) for source in sources]
    found[-1].metadata.nbgrader = {"grade_id": "ex01-1", "solution": True}
    return found


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["a = 1", "b = 2", "a"], [0]),
        (["a = 1", "a = 2", "a"], [1]),  # the last counts
        (["a = 1", "a += 1", "a"], [0, 1]),
        (["a = []", "a.append(1)", "b.append(1)", "a"], [0, 1]),
        (["a = {}", "a['x'] = 1", "a"], [0, 1]),
        (["import m", "m.draw()", "m.use()"], [0]),
        (["a = 1", "def f():\n    return a", "f()"], [0, 1]),
        (["k = 5", "for k in range(3):\n    print(k)", "[k for k in range(2)]"], []),
        (["a = 1", "if a:\n    b = 1\nelse:\n    b = 2", "b"], [0, 1]),
        (["b = 0", "if x:\n    b = 1", "b"], [0, 1]),
        (["y = 1", "for i in range(3):\n    y = i\n    z = y", "z"], [1]),
        (["with f() as g:\n    a = g", "a"], [0]),
        (["try:\n    a = 1\nexcept E:\n    a = 2", "a"], [0]),
        (["%precision 3\na = 1", "a"], [0]),
        (["a = = 1", "a"], []),
        (["x = 1", "def f(x):\n    return x", "f(2)"], [1]),
        (["class A:\n    b = c", "c = 1", "A()"], [0]),
    ],
)
def test_cells_are_chosen_by_the_names_in_them(
    sources: list[str], expected: list[int]
) -> None:
    every = cells(*sources)
    assert needed(every, {"ex01-1"}) == [*(every[n] for n in expected), every[-1]]


@pytest.mark.parametrize("chapter", chapters(), ids=lambda c: c.id)
def test_every_exercise_of_the_course_needs_a_small_part_of_its_chapter(
    chapter: Chapter,
) -> None:
    notebook = nbformat.read(chapter.source, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    for exercise in exercises(notebook):
        chosen = needed(notebook.cells, {exercise.grade_id})
        assert len(chosen) <= len(code) / 3, exercise.id
        own = [c for c in code if exercise.owns(grade_id(c) or "")]
        assert [c for c in chosen if c in own] == own
        others = [c for c in chosen if is_graded(c) and c not in own]
        assert not others, "a test of another exercise"


def test_the_names_that_cells_bind() -> None:
    assert bound(cells("a, b = 1, 2\nimport c.d", "def e(): pass")) == set("abce")


@pytest.fixture
def two(tiny: Chapter) -> Chapter:
    tiny.text.write_text(tiny.text.read_text() + SLOW + SECOND)
    bake(tiny)
    prepare_work(tiny.folder)
    return tiny


def write(chapter: Chapter, **answers: str) -> None:
    notebook = nbformat.read(chapter.work, as_version=4)
    for cell in notebook.cells:
        cell.source = answers.get(cell.id.replace("-", "_"), cell.source)
    nbformat.write(notebook, chapter.work)


RIGHT = "def double(number):\n    return 2 * number"


def test_one_exercise_is_judged_alone(
    two: Chapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    execute = checking.execute

    def counted(notebook: NotebookNode, *rest: object, **options: object) -> None:
        runs.append([c.source for c in notebook.cells])
        execute(notebook, *rest, **options)

    monkeypatch.setattr(checking, "execute", counted)
    write(two, ex01_1=RIGHT, ex01_2="def fourfold(n):\n    return double(double(n))")
    (verdict,) = check(two, only="2")
    assert (verdict.exercise.id, verdict.state) == ("01.2", "passes")
    (run,) = runs
    assert RIGHT in run and "slow = 'a training'" not in run

    write(two, ex01_1="def double(number):\n    return 3")
    (verdict,) = check(two, only="2")
    assert verdict.idea == "it rests on your double (01.1): mend that first"
    assert len(runs) == 3

    write(two, ex01_1=RIGHT, ex01_2="fourfold = lambda n: globals()['slow']")
    (verdict,) = check(two, only="2")
    assert verdict.state == "not yet"

    hidden = "fourfold = lambda n: eval('len(slow) and 12')"  # no name to be read
    write(two, ex01_2=hidden)
    (verdict,) = check(two, only="2")
    assert verdict.state == "passes", "all of the chapter had to run"
    with pytest.raises(ValueError, match="no exercise is called 01.9: .* 01.1, 01.2"):
        check(two, only="9")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_is_told_in_one_line(two: Chapter, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    waits = f"import time\nopen({str(begun)!r}, 'w')\ntime.sleep(300)"
    write(two, ex01_1=waits)
    program = (
        "import sys, course.building.syllabus as s; from pathlib import Path\n"
        f"c = s.chapters(Path({str(two.folder)!r}))[0]\n"
        "s.chapter = lambda name: c\n"
        "from course.__main__ import main; sys.exit(main(['check', '01']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out.startswith("Running your copy of 01 afresh")
    assert told.strip() == "stopped before the end: nothing is said of your copy"


def test_a_damaged_copy_is_told_with_a_cure(two: Chapter) -> None:
    two.work.write_text('{"cells": [')
    with pytest.raises(ValueError, match="ends in the middle.*; rename it, then `make"):
        check(two)
