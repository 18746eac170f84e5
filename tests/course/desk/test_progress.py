import json
from datetime import date
from pathlib import Path

import nbformat
import pytest

from course.building.bake import convert, write
from course.building.release import prepare_work
from course.building.syllabus import Chapter
from course.desk.progress import STUB, points, progress, record
from tests.course.notebooks import answer

DAY = date(2026, 11, 27)


@pytest.fixture
def work(tiny: Chapter) -> Chapter:
    tiny.source.parent.mkdir(parents=True)
    write(convert(tiny.text), tiny.source)  # a release needs no outputs
    prepare_work(tiny.folder)
    return tiny


def test_an_answer_counts_when_the_stub_is_gone(work: Chapter) -> None:
    answer(work, "def double(number):\n    return 3")
    assert progress(work) == "answered 1 of 1"
    answer(work, f"def double(number):\n    # {STUB}\n    return 3")
    assert progress(work) == "answered 1 of 1"
    answer(work, f"def double(number):\n    return 3\n\ndef half(number):\n    {STUB}")
    assert progress(work) == "answered 0 of 1"
    answer(work, "")
    assert progress(work) == "answered 0 of 1"


def test_what_a_check_said_is_shown_until_the_copy_changes(work: Chapter) -> None:
    answer(work, "def double(number):\n    return 3")
    record(work, [], DAY)
    assert progress(work) == "answered 1 of 1, passing 0 (checked 2026-11-27)"
    answer(work, "def double(number):\n    return 2 * number")
    shown = "answered 1 of 1, passing 0 (checked 2026-11-27, changed since)"
    assert progress(work) == shown
    record(work, ["01.1"], DAY)
    assert progress(work) == "answered 1 of 1, passing 1 (checked 2026-11-27)"
    answer(work, "def double(number):\n    return number + number")


def test_running_cells_does_not_make_a_copy_changed(work: Chapter) -> None:
    record(work, ["01.1"], DAY)
    notebook = nbformat.read(work.work, as_version=4)
    notebook.cells[1].execution_count = 7
    nbformat.write(notebook, work.work)
    assert "changed" not in progress(work)


def test_student_code_is_read_and_never_run(work: Chapter, tmp_path: Path) -> None:
    trace = tmp_path / "was run"
    answer(work, f"open({str(trace)!r}, 'w')")
    before = work.work.read_bytes()
    assert progress(work) == "answered 1 of 1"
    assert not trace.exists()
    assert work.work.read_bytes() == before


def test_a_copy_that_is_not_there_or_broken_is_told(work: Chapter) -> None:
    said = {
        "": "the file is empty",
        '{"half": ': "the file ends in the middle, after 9 bytes: it was not saved or "
        "copied whole",
        "[]": "the file holds a list, no notebook",
        '{"nbformat": "a|b"}': "the notebook's format is 'a/b', expected 4",
    }
    for text, why in said.items():
        work.work.write_text(text)
        assert progress(work) == f"cannot be read: {why}"
        assert points(work) == 0
    record(work, ["01.1"], DAY)  # says nothing, and does not fail
    work.work.unlink()
    assert progress(work) == "no copy yet"
    assert points(work) == 0


@pytest.mark.parametrize("mark", [None, "x", [], {"grade_id": None}])
def test_an_answer_cell_that_has_lost_its_mark_is_told(
    work: Chapter, mark: object
) -> None:
    notebook = json.loads(work.work.read_text())
    (cell,) = [c for c in notebook["cells"] if c["id"] == "ex01-1"]
    cell["metadata"]["nbgrader"] = mark
    work.work.write_text(json.dumps(notebook))
    told = "answered 0 of 1; the answer cell of 01.1 is lost: start a new copy"
    assert progress(work) == told


def test_a_damaged_record_of_a_check_counts_as_none(work: Chapter) -> None:
    record(work, ["01.1"], DAY)
    file = work.work.parent / ".check.json"
    for text in ('{"right": [', "[]", '{"right": []}'):
        file.write_text(text)
        assert progress(work) == "answered 0 of 1"


def test_points_are_those_of_what_passed_in_the_last_check(work: Chapter) -> None:
    assert points(work) == 0
    answer(work, "def double(number):\n    return 2 * number")
    assert points(work) == 0, "written, and not checked"
    record(work, ["01.1"], DAY)
    assert points(work) == 3
    record(work, [], DAY)
    assert points(work) == 0
    record(work, ["01.1"], DAY)
    work.work.write_text("")
    assert points(work) == 0, "a copy that cannot be read"
    work.work.unlink()
    assert points(work) == 0, "no copy, though a check was kept"
