"""Judging stored outputs agrees with pressing Validate, which runs the notebook."""

import nbformat
import pytest
from nbgrader.validator import Validator

from course.building.bake import bake, execute
from course.building.environment import environment
from course.building.release import nbgrader_config, prepare_work
from course.building.syllabus import Chapter
from tests.course.notebooks import answer
from tests.course.validating import validated

RIGHT = "def double(number):\n    return 2 * number"
WRONG = "def double(number):\n    return number + 1"


@pytest.mark.parametrize("code", [RIGHT, WRONG, "raise NotImplementedError"])
def test_it_says_of_a_run_copy_what_validate_says(tiny: Chapter, code: str) -> None:
    bake(tiny)
    prepare_work(tiny.folder)
    answer(tiny, code)
    with environment():
        pressed = Validator(config=nbgrader_config(tiny.folder)).validate(
            str(tiny.work)
        )
    notebook = nbformat.read(tiny.work, as_version=4)
    execute(notebook, tiny.work.parent, stop_at_errors=False)
    nbformat.write(notebook, tiny.work)
    found = validated(tiny.work)
    assert {*found} == {*pressed}
    sources = [cell["source"] for cell in found.get("failed", [])]
    assert sources == [cell["source"] for cell in pressed.get("failed", [])]
    assert bool(sources) == (code != RIGHT)


def test_changed_tests_are_no_success(tiny: Chapter) -> None:
    bake(tiny)
    prepare_work(tiny.folder)
    notebook = nbformat.read(tiny.work, as_version=4)
    (cell,) = [c for c in notebook.cells if c.id == "ex01-1-visible"]
    cell.source += "\npass"
    nbformat.write(notebook, tiny.work)
    assert {*validated(tiny.work)} == {"changed"}
