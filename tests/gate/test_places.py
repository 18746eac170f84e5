from course.building.syllabus import chapters
from tests.gate.places import place, unit

FIRST = chapters()[0].slug


# Not in the ids of these tests, which are about no chapter.
PLACES = {
    f"course/source/{FIRST}/{FIRST}.ipynb::Cell 3": ("nbval", FIRST),
    "course/projects/modular_cuts.ipynb::Cell 0": ("nbval", ""),
    f"tests/course/test_mutants.py::test_x[{FIRST}]": ("written", FIRST),
    f"tests/course/test_generated.py::test_x[{FIRST}]": ("generated", FIRST),
    f"tests/course/test_grading.py::test_x[{FIRST}-ada]": ("grading", FIRST),
    f"tests/browser/test_lab_chapters.py::test_x[{FIRST}]": ("browser", FIRST),
    "tests/browser/test_site.py::test_x[390]": ("browser", ""),
    f"tests/course/test_chapters.py::test_x[{FIRST}]": ("other", FIRST),
    f"tests/course/test_chapters.py::test_x[1{FIRST}]": ("other", ""),
    "tests/unroll/test_prox.py::test_x[11]": ("other", ""),
}


def test_tests_are_placed_by_their_ids() -> None:
    assert {nodeid: tuple(place(nodeid)) for nodeid in PLACES} == PLACES


def test_a_chapters_mutants_share_a_unit_and_other_checks_have_their_own() -> None:
    written, generated, other, grading, browser = (
        unit(f"tests/{file}.py::test_x[{FIRST}]")
        for file in (
            "course/test_mutants",
            "course/test_generated",
            "course/test_chapters",
            "course/test_grading",
            "browser/test_lab_chapters",
        )
    )
    assert written == generated
    assert len({written, other, grading, browser}) == 4
    assert other == "tests/course/test_chapters.py"


def test_units_of_two_chapters_differ() -> None:
    one, two = (
        unit(f"tests/course/test_grading.py::test_x[{c.slug}]") for c in chapters()[:2]
    )
    assert one != two
