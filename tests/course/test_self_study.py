"""The page for who learns alone: its answers run, its times and orders are right."""

import doctest
import re

import pytest

from course import FOLDER
from course.building.syllabus import chapters

PAGE = (FOLDER / "site" / "self_study.md").read_text()
CHAPTERS = {chapter.id: chapter for chapter in chapters()}
ANSWERS = re.findall(
    r"^\*\*(\d+)\.\*\* (.+?)^<details><summary>Answer</summary>\n(.+?)^</details>",
    PAGE,
    re.MULTILINE | re.DOTALL,
)
THREADS = re.findall(r"^\| [^|]+ \| ((?:\d\d(?:, )?)+) \| ([\d.]+) h \|$", PAGE, re.M)
EVENINGS = re.findall(r"\| \[(\d\d) · (.+?)\]\((.+?)\) \| (\d+) min \|", PAGE)


def test_there_are_ten_questions() -> None:
    assert [number for number, _, _ in ANSWERS] == [str(k) for k in range(1, 11)]


@pytest.mark.parametrize("number, question, answer", ANSWERS)
def test_an_answer_is_shown_to_be_right(
    number: str, question: str, answer: str
) -> None:
    code = "import torch\n" + "".join(re.findall(r"```python\n(.+?)```", answer, re.S))
    example = doctest.DocTestParser().get_doctest(
        code.replace("import torch\n", ">>> import torch\n", 1), {}, number, None, None
    )
    assert doctest.DocTestRunner().run(example).failed == 0
    assert len(example.examples) > 1


@pytest.mark.parametrize("number, question, answer", ANSWERS)
def test_an_answer_says_where_it_is_needed(
    number: str, question: str, answer: str
) -> None:
    where = re.findall(
        r"everywhere|each\s+part|parts? [1-4]|chapters?\s+[\d, ]+", answer
    )
    assert where, number
    for chapter in re.findall(r"\b[1-4]\d\b", " ".join(where)):
        assert chapter in CHAPTERS


@pytest.mark.parametrize("number, title, path, minutes", EVENINGS)
def test_an_evening_is_a_chapter_that_needs_no_other(
    number: str, title: str, path: str, minutes: str
) -> None:
    chapter = CHAPTERS[number]
    assert (chapter.title, str(chapter.minutes)) == (title, minutes)
    assert path == f"chapters/{chapter.slug}.ipynb"
    check_order([number])


@pytest.mark.parametrize("order, hours", THREADS)
def test_a_thread_takes_as_long_as_its_chapters(order: str, hours: str) -> None:
    minutes = sum(CHAPTERS[number].minutes for number in order.split(", "))
    assert float(hours) * 60 == minutes
    check_order(order.split(", "))


def test_a_month_comes_in_an_order_that_can_be_followed() -> None:
    rows = re.findall(r"^\| [1-4] \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for column in zip(*rows, strict=True):
        check_order(re.findall(r"\d\d", ", ".join(column)))


def check_order(order: list[str]) -> None:
    """What a chapter needs of others has come before; what only helps need not."""
    for k, number in enumerate(order):
        for needed in CHAPTERS[number].prerequisites:
            (other,) = re.findall(r"^chapter (\d\d)", needed) or [None]
            helps = needed.endswith("helps")
            assert other is None or helps or other in order[:k], (number, needed)
