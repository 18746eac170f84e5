"""Gradebooks are moved whole or not at all; PostgreSQL's turn is in the lesson."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from nbgrader import api
from nbgrader.api import Gradebook
from sqlalchemy import create_engine, text

from course.building.environment import environment
from course.hub.gradebook import main, move

COURSE = "beyond-the-black-box"


@pytest.fixture(autouse=True, scope="module")
def alembic() -> Iterator[None]:
    """nbgrader calls it by name, and asks it for every new gradebook: once will do."""
    with environment(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "get_alembic_version", cache(api.get_alembic_version))
        yield


def write(file: Path) -> str:
    """A gradebook with two students, one of whom has points; its address."""
    address = f"sqlite:///{file}"
    with Gradebook(address, COURSE) as book:
        book.add_assignment("11_ista")
        book.add_notebook("nb", "11_ista")
        cell = {"max_score": 3, "cell_type": "code"}
        book.add_grade_cell("test", "nb", "11_ista", **cell)
        for name in ("ada", "ben"):
            book.add_student(name)
        book.add_submission("11_ista", "ada")
        grade = book.find_grade("test", "nb", "11_ista", "ada")
        grade.auto_score, grade.manual_score = 2, 2.5
        book.db.commit()
    return address


def score(address: str) -> dict[str, float]:
    with Gradebook(address, COURSE) as book:
        return {s.id: s.score for s in book.students}


def rows(address: str) -> int:
    with create_engine(address).connect() as connection:
        return connection.execute(text("SELECT count(*) FROM student")).scalar_one()


@pytest.fixture
def old(tmp_path: Path) -> str:
    return write(tmp_path / "gradebook.db")


def test_all_rows_arrive_and_the_old_one_stays(
    old: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = f"sqlite:///{tmp_path / 'new.db'}"
    assert main([old, new]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "student: 2" in said and "grade: 1" in said
    assert score(new) == score(old) == {"ada": 2.5, "ben": 0}


def test_what_has_grades_is_not_written_over(
    old: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = write(tmp_path / "there.db")
    assert main([old, there]) == 1
    assert "new.db" not in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"there\.db already has rows in course, "):
        move(old, there)
    assert rows(there) == 2


def test_nothing_is_taken_for_a_gradebook_that_is_none(tmp_path: Path) -> None:
    empty, new = (f"sqlite:///{tmp_path / name}.db" for name in ("empty", "new"))
    with pytest.raises(ValueError, match=r"no gradebook at .*empty\.db"):
        move(empty, new)


def test_a_gradebook_of_another_version_is_to_be_upgraded_first(
    old: str, tmp_path: Path
) -> None:
    with create_engine(old).begin() as connection:
        connection.execute(
            text("UPDATE alembic_version SET version_num = '167914646830'")
        )
    with pytest.raises(ValueError, match="version 167914646830.*nbgrader db upgrade"):
        move(old, f"sqlite:///{tmp_path / 'new.db'}")
    assert (
        not (tmp_path / "new.db").exists() or not (tmp_path / "new.db").stat().st_size
    )


def test_two_addresses_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sqlite://"]) == 2
    assert "OLD NEW" in capsys.readouterr().err
