"""Whatever students do to a notebook's cells, the chapter's own tests judge them."""

from collections.abc import Callable

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course.building.bake import bake, convert
from course.building.exercises import grade_id
from course.building.release import prepare_work
from course.building.restore import lost_answers, restored
from course.building.syllabus import Chapter
from course.grading.grade import grade
from tests.course.grading import points, submit

RIGHT = "def double(number):\n    return number + number"
WRONG = "def double(number):\n    return 3"
VISIBLE, HELD_OUT = "ex01-1-visible", "ex01-1-heldout"


def cell(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(c for c in notebook.cells if grade_id(c) == name)


def delete_a_test(notebook: NotebookNode) -> None:
    notebook.cells.remove(cell(notebook, HELD_OUT))


def delete_all_tests(notebook: NotebookNode) -> None:
    notebook.cells.remove(cell(notebook, HELD_OUT))
    notebook.cells.remove(cell(notebook, VISIBLE))


def empty_a_test(notebook: NotebookNode) -> None:
    cell(notebook, VISIBLE).source = "assert True"


def rename_a_test(notebook: NotebookNode) -> None:
    cell(notebook, VISIBLE).metadata.nbgrader.grade_id = "mine"


def want_more_points(notebook: NotebookNode) -> None:
    cell(notebook, VISIBLE).metadata.nbgrader.points = 100


def unlock_a_test(notebook: NotebookNode) -> None:
    cell(notebook, VISIBLE).metadata.nbgrader.update(locked=False, solution=True)


def copy_the_answer(notebook: NotebookNode) -> None:
    """As copy and paste do it: the same metadata, another cell id."""
    answer = cell(notebook, "ex01-1")
    first = {**answer, "id": "copy", "source": WRONG}
    notebook.cells.insert(notebook.cells.index(answer), nbformat.from_dict(first))


def copy_a_test(notebook: NotebookNode) -> None:
    again = nbformat.from_dict({**cell(notebook, VISIBLE), "id": "copy"})
    notebook.cells.append(again)


def turn_the_answer_into_text(notebook: NotebookNode) -> None:
    answer = cell(notebook, "ex01-1")
    answer.cell_type = "markdown"
    del answer["outputs"], answer["execution_count"]


def answer_in_a_new_cell(notebook: NotebookNode) -> None:
    answer = cell(notebook, "ex01-1")
    place = notebook.cells.index(answer)
    notebook.cells[place] = new_code_cell(answer.source)


def rename_the_answer(notebook: NotebookNode) -> None:
    cell(notebook, "ex01-1").metadata.nbgrader.grade_id = "mine"


def drop_all_metadata(notebook: NotebookNode) -> None:
    for each in notebook.cells:
        each.metadata.pop("nbgrader", None)


TAMPERINGS = [
    delete_a_test,
    delete_all_tests,
    empty_a_test,
    rename_a_test,
    want_more_points,
    unlock_a_test,
    copy_the_answer,
    copy_a_test,
    turn_the_answer_into_text,
    answer_in_a_new_cell,
    rename_the_answer,
    drop_all_metadata,
]


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda t: t.__name__)
def test_the_chapter_s_tests_are_there_once_and_behind_the_answer(
    tiny: Chapter, tamper: Callable
) -> None:
    master = convert(tiny.text)
    student = convert(tiny.text)
    cell(student, "ex01-1").source = RIGHT
    tamper(student)
    before = nbformat.writes(student)

    notebook = restored(student, master)

    assert nbformat.writes(student) == before
    nbformat.validate(notebook)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    graded = [c for c in code if grade_id(c) in (VISIBLE, HELD_OUT)]
    assert graded == [cell(master, VISIBLE), cell(master, HELD_OUT)]
    answers = [n for n, c in enumerate(code) if c.source == RIGHT]
    assert answers and answers[-1] < code.index(graded[0])
    named = [grade_id(c) for c in code if grade_id(c)]
    assert set(named) <= {"ex01-1", VISIBLE, HELD_OUT}
    assert len(named) == len(set(named))


def test_a_lost_answer_is_named_and_noted(tiny: Chapter) -> None:
    master = convert(tiny.text)
    student = convert(tiny.text)
    assert lost_answers(student, master) == []
    answer_in_a_new_cell(student)
    assert lost_answers(student, master) == ["ex01-1"]
    note = restored(student, master).cells[-3]
    assert note.source == "The answer cell `ex01-1` was missing. Its tests ran here:"


def test_tampering_neither_wins_nor_costs_points(tiny: Chapter) -> None:
    bake(tiny)
    prepare_work(tiny.folder)
    expected = {}
    for tamper, answer in [
        (delete_all_tests, RIGHT),
        (rename_a_test, RIGHT),
        (want_more_points, RIGHT),
        (copy_the_answer, RIGHT),
        (drop_all_metadata, RIGHT),
        (delete_all_tests, WRONG),
        (empty_a_test, WRONG),
        (drop_all_metadata, WRONG),
    ]:
        student = f"{tamper.__name__}-{'right' if answer is RIGHT else 'wrong'}"
        path = submit(tiny, student, tiny.work, {"ex01-1": answer})
        notebook = nbformat.read(path, as_version=4)
        tamper(notebook)
        nbformat.write(notebook, path)
        expected[student, tiny.slug] = 3 if answer is RIGHT else 0
    graded = grade(root=tiny.folder, progress=False)
    assert not graded.failures
    assert points(graded.csv) == expected
