"""The ways of installing agree, and the packages import what they may."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import PathDistribution, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {re.sub(r"[-_.]+", "-", n).lower(): v for n, v in pinned}


def requirements() -> list[Requirement]:
    texts = list(PROJECT["dependencies"])
    for extra in PROJECT["optional-dependencies"].values():
        texts += extra
    found = [Requirement(text) for text in texts]
    return [r for r in found if r.name != PROJECT["name"]]


@pytest.mark.parametrize("requirement", requirements(), ids=lambda r: r.name)
def test_every_requirement_is_pinned_inside_its_range(requirement: Requirement) -> None:
    pinned = pins()[re.sub(r"[-_.]+", "-", requirement.name).lower()]
    assert pinned in requirement.specifier
    assert "==" not in str(requirement.specifier), "a library pins nothing"


def test_outputs_are_made_with_the_pinned_torch() -> None:
    assert pins()["torch"] == "2.13.0" == version("torch").split("+")[0]


def test_conda_users_get_the_same_course() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == PROJECT["name"]
    *conda, pip = environment["dependencies"]
    assert f"python{PROJECT['requires-python']}" in conda
    assert "pip" in conda
    assert pip["pip"] == ["-c constraints.txt", "-e .[course,test]"]
    assert {"course", "test"} <= set(PROJECT["optional-dependencies"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked: built offline, from a copy, by the setuptools we have."""
    clone, built = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "LICENSE-docs"):
        shutil.copy(ROOT / name, clone)
    for package in ("unroll", "modular", "pinn", "course"):
        unwanted = shutil.ignore_patterns("work", "source", "site", "__pycache__")
        shutil.copytree(ROOT / package, clone / package, ignore=unwanted)
    program = "import setuptools.build_meta as b, sys; b.build_wheel(sys.argv[1])"
    line = [sys.executable, "-c", program, str(built)]
    done = subprocess.run(line, cwd=clone, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = built.glob("*.whl")
    zipfile.ZipFile(archive).extractall(built / "unpacked")
    return built / "unpacked"


def test_the_wheel_has_the_library_whole_and_nothing_else(wheel: Path) -> None:
    packed = {file.relative_to(wheel) for file in wheel.rglob("*.py")}
    packages = ("unroll", "modular", "pinn")
    assert packed == {
        file.relative_to(ROOT)
        for package in packages
        for file in (ROOT / package).rglob("*.py")
    }
    for package in packages:
        assert (wheel / package / "py.typed").exists()


def test_the_library_weighs_what_it_needs(wheel: Path) -> None:
    (told,) = wheel.glob("*.dist-info")
    needed = list(map(Requirement, PathDistribution(told).requires or []))
    extras = sorted(PROJECT["optional-dependencies"])
    assert extras == ["bench", "course", "docs", "hub", "pinn", "test"]

    def brings(extra: str) -> set[str]:
        return {
            r.name
            for r in needed
            if not r.marker or r.marker.evaluate({"extra": extra})
        }

    core = {"torch", "numpy", "scipy", "matplotlib", "tqdm", "scikit-learn"}
    assert brings("") == core
    assert brings("pinn") == core | {"deepxde", "meshpy", "scikit-fem", "shapely"}
    for extra in ("course", "docs", "hub", "test", "bench"):
        assert PROJECT["name"] in brings(extra), "each builds on another, up to pinn"


def test_the_wheel_works_without_what_only_pinn_needs(wheel: Path) -> None:
    program = (
        "import sys; sys.modules.update(deepxde=None, skfem=None, meshpy=None)\n"
        "import modular, unroll\n"
        "print(unroll.__file__, modular.__file__)\n"
        "import pinn"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=wheel,
        env=os.environ | {"PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
    )
    assert run.stdout.count(str(wheel)) == 2
    assert run.returncode == 1
    assert '"beyond-the-black-box[pinn]"' in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("package", ["unroll", "modular"])
def test_a_package_loads_only_what_it_needs(package: str) -> None:
    heavy = ["matplotlib", "sklearn", "deepxde", "IPython", "course"]
    program = (
        f"import sys, {package}\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "ruff", "check", "."],
        ["-m", "ruff", "format", "--check", "."],
        ["-m", "codespell_lib", "."],
        ["-c", "from importlinter.cli import lint_imports_command as c; c()"],
        ["-m", "mypy"],
    ],
    ids=["lint", "format", "spelling", "imports", "types"],
)
def test_the_house_rules(command: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("package", ["unroll", "modular", "pinn", "course"])
def test_files_stay_short(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        inside = file.relative_to(ROOT).parts
        if not {"chapters", "projects", "work"} & set(inside):  # prose with code
            assert len(file.read_text().splitlines()) <= 300, file


def test_functions_fit_one_screen() -> None:
    import ast

    for package in ("unroll", "modular", "pinn", "course"):
        for file in (ROOT / package).rglob("*.py"):
            if {"chapters", "work", "release"} & set(file.relative_to(ROOT).parts):
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.FunctionDef):
                    body = node.body[ast.get_docstring(node) is not None :]
                    lines = node.end_lineno - body[0].lineno + 1 if body else 0
                    assert lines <= 50, f"{file.name}: {node.name} has {lines} lines"


def test_no_machine_is_named() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Accounts that the administrator's page makes on a server of its reader's own.
    accounts = "teacher|member|filled|ada|ben"
    pattern = re.compile(rf"/(?:home|root|Users)/(?!(?:{accounts})\b)\w+|/opt/\w+")
    for name in listed.stdout.splitlines():
        file = ROOT / name
        if file.suffix in {".py", ".md", ".ipynb", ".yml", ".toml", ".txt", ".json"}:
            if file.name == "test_packaging.py" or not file.exists():
                continue
            found = pattern.search(file.read_text(errors="replace"))
            assert not found, f"{name} names {found[0]}"
