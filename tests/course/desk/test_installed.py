from pathlib import Path

import pytest

from course.desk import doctor, installed
from course.desk.doctor import Finding


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package of some version with some requirements, as pip would."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, version: str, *requires: str) -> None:
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {line}" for line in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n")

    return install


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    return tmp_path / "constraints.txt"


def test_missing_packages_are_named(package, monkeypatch: pytest.MonkeyPatch) -> None:
    package(
        "atlas", "1", 'lacking_one; extra == "course"', 'atlas[course]; extra=="test"'
    )
    monkeypatch.setattr(doctor, "PROJECT", "atlas")
    finding = doctor.check_packages()
    assert finding == Finding(
        "problem", "missing packages: lacking-one", doctor.INSTALL
    )
    assert doctor.check_test_packages().level == "warning"
    assert "lacking-one" in doctor.check_test_packages().what


def test_what_packages_need_themselves_counts_and_markers_are_obeyed(package) -> None:
    package("atlas", "1", "middle[fast]>=2", 'never; python_version < "3"')
    package("middle", "2", "deep", 'quick; extra == "fast"', 'slow; extra == "slow"')
    assert installed.requirements("atlas", "") == {"middle", "deep", "quick"}
    assert installed.missing("atlas", "") == ["deep", "quick"]


def test_requirements_that_run_in_a_circle_come_to_an_end(package) -> None:
    package("hen", "1", "egg")
    package("egg", "1", "hen")
    assert installed.requirements("hen", "") == {"egg"}


def test_a_project_that_is_not_installed_is_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "PROJECT", "never-heard-of")
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_packages,))
    (finding,) = doctor.diagnose()
    assert finding.level == "problem" and "never-heard-of" in finding.what


@pytest.mark.parametrize(
    ("version", "needed", "told"),
    [
        ("1.16.0", "<1.16,>=1.15", "is too new (needed: >=1.15, <1.16)"),
        ("1.14.9", "<1.16,>=1.15", "is too old (needed: >=1.15, <1.16)"),
        ("2.7.1+cpu", ">=2.8", "is too old (needed: >=2.8)"),
        ("3.0", ">=2,!=3.0", "is too new (needed: >=2, !=3.0)"),
    ],
)
def test_a_version_out_of_range_is_a_problem_that_says_which_way(
    version: str,
    needed: str,
    told: str,
    package,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package("atlas", "1", f'middle{needed}; extra == "course"')
    package("middle", version)
    monkeypatch.setattr(doctor, "PROJECT", "atlas")
    assert doctor.check_ranges() == Finding(
        "problem", f"middle {version} {told}", doctor.INSTALL
    )


def test_versions_in_their_ranges_are_fine(
    package, monkeypatch: pytest.MonkeyPatch
) -> None:
    package("atlas", "1", "middle>=2", "absent>=1", 'other<1; extra == "test"')
    package("middle", "2.13.0+cpu")
    package("other", "7")
    monkeypatch.setattr(doctor, "PROJECT", "atlas")
    assert doctor.check_ranges().level == "ok"


def test_an_extra_that_another_names_counts(
    package, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(
        "atlas",
        "1",
        "core>=2",
        'atlas[sea]; extra == "course"',
        'ship<2; extra == "sea"',
    )
    package("core", "1")
    package("ship", "2")
    monkeypatch.setattr(doctor, "PROJECT", "atlas")
    assert doctor.check_ranges().what == (
        "core 1 is too old (needed: >=2); ship 2 is too new (needed: <2)"
    )


def test_every_version_that_is_wrong_is_told(
    package, monkeypatch: pytest.MonkeyPatch
) -> None:
    package("atlas", "1", "one>=2", "two<2")
    package("one", "1")
    package("two", "2")
    monkeypatch.setattr(doctor, "PROJECT", "atlas")
    assert doctor.check_ranges().what == (
        "one 1 is too old (needed: >=2); two 2 is too new (needed: <2)"
    )


def test_other_versions_are_a_warning_that_names_them(
    package, constraints: Path
) -> None:
    package("solver_one", "2.1")
    package("torchlike", "2.13.0+cpu")
    constraints.write_text(
        "# made by pip\nsolver-one==2.0\ntorchlike==2.13.0\nabsent==1.0\n"
    )
    finding = doctor.check_versions(constraints)
    assert finding.level == "warning"
    assert finding.what == (
        "last digits may differ, by other versions than in constraints.txt: "
        "solver-one 2.1 (not 2.0)"
    )
    assert finding.cure == doctor.INSTALL


def test_the_local_part_of_a_version_does_not_count(package, constraints: Path) -> None:
    package("torchlike", "2.13.0+cpu")
    constraints.write_text("torchlike==2.13.0\n")
    assert doctor.check_versions(constraints).level == "ok"
    constraints.write_text("torchlike==2.13.1\n")
    assert "2.13.0+cpu (not 2.13.1)" in doctor.check_versions(constraints).what


def test_missing_constraints_are_told(constraints: Path) -> None:
    finding = doctor.check_versions(constraints)
    assert finding.level == "warning"
    assert str(constraints) in finding.what
