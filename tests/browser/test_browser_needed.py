import pytest

from tests.browser.conftest import demand_browser

NONE = {"BROWSER_EXECUTABLE": "/gone/browser"}


def test_without_a_browser_these_tests_are_skipped_with_the_cure() -> None:
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"):
        demand_browser(NONE)


def test_where_they_must_run_they_fail_without_a_browser() -> None:
    with pytest.raises(pytest.fail.Exception, match="no Chromium or Chrome found"):
        demand_browser({**NONE, "CI": "true"})


def test_a_browser_that_is_there_is_taken() -> None:
    program = {"BROWSER_EXECUTABLE": "sh", "CI": "true"}
    assert demand_browser(program).endswith("sh")
