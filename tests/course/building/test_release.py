import os
import shutil

import nbformat
import pytest
from nbgrader.apps import NbGraderAPI

from course.building.bake import bake
from course.building.environment import environment
from course.building.release import (
    GradingError,
    demand,
    nbgrader_config,
    prepare_work,
    release,
)
from course.building.syllabus import Chapter


@pytest.fixture
def baked(tiny: Chapter) -> Chapter:
    bake(tiny)
    return tiny


def test_a_release_holds_no_solution_and_no_held_out_test(baked: Chapter) -> None:
    text = release(baked).read_text()
    assert "return 2 * number" not in text
    assert "double(7)" not in text
    assert "raise NotImplementedError" in text
    assert "double(0) == 0" in text


def test_a_release_makes_no_gradebook(baked: Chapter) -> None:
    release(baked)
    assert not (baked.folder / "gradebook.db").exists()


def test_a_second_release_is_made_only_when_the_chapter_changes(
    baked: Chapter,
) -> None:
    first = release(baked).stat().st_mtime_ns
    assert release(baked).stat().st_mtime_ns == first
    late = baked.release.stat().st_mtime + 10
    os.utime(baked.source, (late, late))
    assert release(baked).stat().st_mtime_ns != first


def test_a_chapter_must_be_baked_before_it_is_released(tiny: Chapter) -> None:
    with pytest.raises(FileNotFoundError, match="course bake 01"):
        release(tiny)


def test_what_nbgrader_refuses_is_told(baked: Chapter) -> None:
    notebook = nbformat.read(baked.source, as_version=4)
    notebook.cells[4].metadata.nbgrader.grade_id = "ex01-1"  # twice
    nbformat.write(notebook, baked.source)
    with pytest.raises(GradingError, match="(?s)release chapter 01.*ex01-1"):
        release(baked)


def test_work_is_prepared_once_and_never_overwritten(baked: Chapter) -> None:
    (first,) = prepare_work(baked.folder)
    assert "01 Doubling: your copy is course/work/01_tiny/01_tiny.ipynb" == first
    baked.work.write_text("what I have done so far")
    (second,) = prepare_work(baked.folder)
    assert "stays as it is" in second
    assert baked.work.read_text() == "what I have done so far"


def change(chapter: Chapter) -> None:
    notebook = nbformat.read(chapter.source, as_version=4)
    notebook.cells[0].source += " and halving"
    nbformat.write(notebook, chapter.source)
    late = chapter.release.stat().st_mtime + 10
    os.utime(chapter.source, (late, late))


def test_a_changed_chapter_leaves_the_work_alone_and_says_so(baked: Chapter) -> None:
    prepare_work(baked.folder)
    change(baked)
    release(baked)
    baked.work.write_text("mine")  # saved after the change
    for _ in range(2):
        (line,) = prepare_work(baked.folder)
        assert "has changed since you began" in line
    assert baked.work.read_text() == "mine"
    baked.work.rename(baked.work.with_name("old.ipynb"))
    (line,) = prepare_work(baked.folder)
    assert "your copy is course/work" in line
    assert "and halving" in baked.work.read_text()
    (line,) = prepare_work(baked.folder)
    assert line.endswith("your copy stays as it is")


def test_a_release_made_anew_is_no_change(baked: Chapter) -> None:
    prepare_work(baked.folder)
    shutil.rmtree(baked.release.parent)  # as `make clean` does
    api = NbGraderAPI(config=nbgrader_config(baked.folder))
    with environment():
        demand(api.generate_assignment(baked.slug), "release")  # as `make grade` does
    late = baked.work.stat().st_mtime + 10
    os.utime(baked.release, (late, late))
    (line,) = prepare_work(baked.folder)
    assert line.endswith("your copy stays as it is")


def test_a_copy_from_before_releases_were_kept_is_told_of_later_changes(
    baked: Chapter,
) -> None:
    prepare_work(baked.folder)
    (baked.work.parent / ".release").unlink()
    (line,) = prepare_work(baked.folder)
    assert line.endswith("your copy stays as it is")
    change(baked)
    (line,) = prepare_work(baked.folder)
    assert "has changed since you began" in line


def test_a_file_that_a_student_lost_comes_back(baked: Chapter) -> None:
    prepare_work(baked.folder)
    baked.work.unlink()
    prepare_work(baked.folder)
    assert baked.work.exists()
