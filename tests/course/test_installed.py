from pathlib import Path

import pytest

from course import doctor, installed
from course.doctor import Finding


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
        "other versions than in constraints.txt: solver-one 2.1 (not 2.0)"
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
