import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import course.building.syllabus
import course.desk.progress
import course.desk.start
from course.__main__ import main
from course.building.bake import bake
from course.building.exercises import Exercise
from course.building.release import prepare_work
from course.building.syllabus import Chapter
from course.desk.check import Verdict, check, report, with_causes
from tests.course.notebooks import answer

SECOND = """
# %% [markdown]
# ### Exercise 01.2 · Four times a number
# Difficulty ●●○○○ · 1 point

# %% nbgrader={"grade": false, "grade_id": "ex01-2", "locked": false, \
"schema_version": 3, "solution": true, "task": false}
def fourfold(number):
    ### BEGIN SOLUTION
    return double(double(number))
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "ex01-2-visible", "locked": true, \
"points": 1, "schema_version": 3, "solution": false, "task": false}
assert fourfold(3) == 12, "three times four"
"""


@pytest.fixture
def work(tiny: Chapter) -> Chapter:
    bake(tiny)
    prepare_work(tiny.folder)
    return tiny


def test_an_untouched_copy_is_not_written_yet(work: Chapter) -> None:
    (verdict,) = check(work)
    assert verdict.state == "not written yet"
    text = report(work, [verdict])
    assert "0 of 1 exercises pass" in text
    assert text.splitlines()[-1] == "Held-out tests run when your work is graded."


def test_an_answer_that_only_held_out_tests_find_wrong_passes_and_is_not_called_right(
    work: Chapter,
) -> None:
    answer(work, "def double(number):\n    return {0: 0, 1: 2}[number]")
    (verdict,) = check(work)
    assert verdict.state == "passes"
    text = report(work, [verdict])
    assert "1 of 1 exercises pass their visible tests." in text
    assert "right" not in text
    assert text.splitlines()[-1] == "Held-out tests run when your work is graded."


def test_a_wrong_answer_is_told_the_missing_idea(work: Chapter) -> None:
    answer(work, "def double(number):\n    return number")
    (verdict,) = check(work)
    assert (verdict.state, verdict.idea) == ("not yet", "doubling one gives two")
    assert "doubling one gives two" in report(work, [verdict])


def test_another_error_is_told_with_its_kind(work: Chapter) -> None:
    answer(work, "def double(number):\n    return two * number")
    (verdict,) = check(work)
    assert verdict.idea == "NameError: name 'two' is not defined"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "def double(number):\n    return (number + number",
            "SyntaxError: '(' was never closed (line 2)",
        ),
        ("%precision 3\nx = 1 1", "SyntaxError: invalid syntax (line 2)"),
        ("one = half(2)", "NameError: name 'half' is not defined"),
    ],
)
def test_an_answer_cell_that_fails_itself_is_told_before_its_tests(
    work: Chapter, code: str, said: str
) -> None:
    answer(work, code)
    (verdict,) = check(work)
    assert verdict.state == "not yet"
    assert verdict.idea == f"your answer cell itself fails: {said}"


def test_a_slip_behind_a_working_answer_costs_no_points(work: Chapter) -> None:
    answer(work, "def double(number):\n    return 2 * number\n\none = half(2)")
    (verdict,) = check(work)
    assert verdict.state == "passes"


def test_a_warning_costs_the_points_and_is_told(work: Chapter) -> None:
    answer(
        work,
        "import warnings\ndef double(number):\n"
        "    warnings.warn('careful')\n    return 2 * number",
    )
    (verdict,) = check(work)
    assert (verdict.state, verdict.idea) == ("not yet", "the tests printed a warning")


def check_two(tiny: Chapter, double: str, fourfold: str) -> list[Verdict]:
    """Judge two answers, of which the second may call the first."""
    tiny.text.write_text(tiny.text.read_text() + SECOND)
    bake(tiny)
    prepare_work(tiny.folder)
    notebook = nbformat.read(tiny.work, as_version=4)
    for cell in notebook.cells:
        cell.source = {"ex01-1": double, "ex01-2": fourfold}.get(cell.id, cell.source)
    nbformat.write(notebook, tiny.work)
    return check(tiny)


@pytest.mark.parametrize("double", ["raise NotImplementedError", "return number"])
def test_an_answer_that_calls_a_failing_one_is_told_so(
    tiny: Chapter, double: str
) -> None:
    double = f"def double(number):\n    {double}"
    _, second = check_two(tiny, double, "fourfold = lambda n: double(double(n))")
    assert second.state == "not yet"
    assert second.idea == "it rests on your double (01.1): mend that first"


@pytest.mark.parametrize(
    ("bodies", "passing", "told"),
    [
        (["0", "f1()", "f2()"], "", "f1 (01.1): mend that first"),
        (["0", "0", "f1() + f2()"], "", "f1 (01.1), f2 (01.2): mend that first"),
        (["0", "f1()", "f2()"], "1", "f2 (01.2): mend that first"),
        (["0", "f1()", "f2() or NotImplementedError"], "", ""),  # not written yet
        (["0", "f1()", "f3()"], "", ""),  # itself only
        (["0", "f3()", "f2()"], "", ""),  # nothing to begin with
        (["0", "f1()", "0)"], "", ""),  # not even Python
    ],
)
def test_what_to_mend_first_is_where_the_calls_end(
    bodies: list[str], passing: str, told: str
) -> None:
    verdicts, cells = [], []
    for number, body in enumerate(bodies, 1):
        exercise = Exercise(f"01.{number}", "", 1, 1, f"ex01-{number}")
        state = "passes" if str(number) in passing else "not yet"
        verdicts.append(Verdict(exercise, state, "" if state == "passes" else "own"))
        cell = new_code_cell(f"def f{number}():\n    return {body}")
        cell.metadata.nbgrader = {"solution": True, "grade_id": exercise.grade_id}
        cells.append(cell)
    *_, last = with_causes(verdicts, new_notebook(cells=cells))
    assert last.idea == (f"it rests on your {told}" if told else "own")


def test_an_answer_that_calls_a_right_one_is_told_its_own_fault(tiny: Chapter) -> None:
    double = "def double(number):\n    return 2 * number"
    first, second = check_two(tiny, double, "fourfold = double")
    assert first.state == "passes"
    assert (second.state, second.idea) == ("not yet", "three times four")


def test_tests_that_a_student_changed_or_lost_run_all_the_same(work: Chapter) -> None:
    answer(work, "def double(number):\n    return 3")
    notebook = nbformat.read(work.work, as_version=4)
    notebook.cells = [c for c in notebook.cells if c.id != "ex01-1-heldout"]
    for cell in notebook.cells:
        if cell.id == "ex01-1-visible":
            cell.source = "assert True"
    nbformat.write(notebook, work.work)
    (verdict,) = check(work)
    assert verdict.state == "not yet"


def test_a_lost_answer_cell_is_named(work: Chapter) -> None:
    notebook = nbformat.read(work.work, as_version=4)
    notebook.cells = [c for c in notebook.cells if c.id != "ex01-1"]
    nbformat.write(notebook, work.work)
    with pytest.raises(ValueError, match="lost the cell 'ex01-1'"):
        check(work)


def test_a_copy_that_is_not_there_is_named(tiny: Chapter) -> None:
    with pytest.raises(FileNotFoundError, match="01_tiny.ipynb does not exist"):
        check(tiny)


def test_checking_leaves_the_copy_as_it_is(work: Chapter) -> None:
    before = work.work.read_bytes()
    check(work)
    assert work.work.read_bytes() == before


def test_the_command_keeps_the_verdict_and_draws_the_start_page_anew(
    work: Chapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    progress = course.desk.progress.progress
    monkeypatch.setattr(course.building.syllabus, "chapter", lambda name: work)
    monkeypatch.setattr(
        course.desk.start, "write_page", lambda: drawn.append(progress(work))
    )
    assert main(["check", "01"]) == 1
    answer(work, "def double(number):\n    return 2 * number")
    assert main(["check", "01"]) == 0
    assert drawn[0].startswith("answered 0 of 1, passing 0 (checked ")
    assert drawn[1].startswith("answered 1 of 1, passing 1 (checked ")
