"""What ``make bench`` says of the ends of the version ranges is itself checked."""

from tests.benchmarks.course.versions import count, named

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest">
<testcase classname="tests.one" name="test_a" time="0.1" />
<testcase classname="tests.one" name="test_b"><failure message="no" /></testcase>
<testcase classname="tests.two" name="test_c"><error message="no">1</error></testcase>
<testcase classname="tests.two" name="test_d"><skipped message="no GPU" /></testcase>
</testsuite></testsuites>"""


def test_verdicts_are_counted_and_failures_named() -> None:
    assert count(REPORT) == {
        "passed": 1,
        "skipped": 1,
        "failed": ["tests.one::test_b", "tests.two::test_c"],
    }


def test_the_versions_told_are_those_of_the_packages_that_are_named() -> None:
    names = named()
    assert {"torch", "numpy", "deepxde", "jupyterlab", "pytest-xdist"} <= set(names)
    assert {"jupyterhub", "psycopg", "sphinx"} <= set(names), "extras of the tests' own"
    assert len(names) == len(set(names))
    assert "beyond-the-black-box" not in names
    assert all(name == name.lower() and "_" not in name for name in names)
