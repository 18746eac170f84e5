"""``--chapter 13``: everything about one chapter, and nothing else."""

import pytest

from course.building.syllabus import chapter
from tests.gate.places import place


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the option."""
    parser.addoption(
        "--chapter", metavar="NN", help="run only the tests about this chapter"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a chapter that is not in the syllabus before anything is collected."""
    if name := config.getoption("chapter"):
        try:
            chapter(name)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Leave out what is about no chapter, or about another."""
    if not (name := config.getoption("chapter")):
        return
    slug = chapter(name).slug
    others = [item for item in items if place(item.nodeid).chapter != slug]
    items[:] = [item for item in items if place(item.nodeid).chapter == slug]
    config.hook.pytest_deselected(items=others)
