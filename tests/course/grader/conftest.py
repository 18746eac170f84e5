"""The tiny chapter, baked and released once and copied for each test."""

import shutil
from pathlib import Path

import pytest

from course.building.bake import bake
from course.building.release import prepare_work
from course.building.syllabus import Chapter, chapters
from tests.course.conftest import TINY


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "course"
    (folder / "chapters").mkdir(parents=True)
    shutil.copy(TINY / "syllabus.yml", folder)
    shutil.copy(TINY / "01_tiny.txt", folder / "chapters" / "01_tiny.py")
    bake(chapters(folder)[0])
    prepare_work(folder)
    return folder


@pytest.fixture
def released(made: Path, tmp_path: Path) -> Chapter:
    """The chapter 01 of a fresh course folder, with a student's copy."""
    shutil.copytree(made, tmp_path / "course")
    return chapters(tmp_path / "course")[0]
