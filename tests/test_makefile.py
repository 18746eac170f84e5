"""``make lab`` and ``make test`` install once, and again only when they must."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# These tests may themselves run under make, whose flags are not meant for them.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFL"))}
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make here")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
        os.utime(tmp_path / name, (1e9, 1e9))
    return tmp_path


def plan(clone: Path, target: str) -> str:
    """What make would do, without doing it."""
    run = subprocess.run(
        ["make", "-n", target],
        cwd=clone,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def installed(clone: Path, extra: str) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
    (clone / ".venv" / "bin" / "python").touch()
    (clone / ".venv" / f".{extra}").touch()


@pytest.mark.parametrize(
    ("target", "extra"),
    [("lab", "course"), ("test", "test"), ("bench", "bench"), ("site", "docs")],
)
def test_a_fresh_clone_is_installed_first(clone: Path, target: str, extra: str) -> None:
    shown = plan(clone, target)
    assert "python3 -m venv .venv" in shown
    assert shown.index("Installing into .venv: a few") < shown.index("pip install")
    assert f'--constraint constraints.txt --editable ".[{extra}]"' in shown
    assert shown.index("pip install") < shown.index(f"-m course {target}")


def test_a_second_time_nothing_is_installed(clone: Path) -> None:
    installed(clone, "course")
    assert "pip" not in plan(clone, "lab")
    assert "-m course lab" in plan(clone, "lab")


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed(clone: Path, name: str) -> None:
    installed(clone, "course")
    late = (clone / ".venv" / ".course").stat().st_mtime + 10
    os.utime(clone / name, (late, late))
    assert "pip install" in plan(clone, "lab")


@pytest.mark.parametrize(
    ("arguments", "handed_on"),
    [
        (["grade"], ["grade"]),
        (["grade", "SUBMISSIONS=../my class"], ["grade", "../my class"]),
        (["check", "CHAPTER=11"], ["check", "11"]),
        (["test", "CHAPTER=11"], ["test", "--chapter", "11"]),
    ],
)
def test_values_reach_the_command_whole(
    clone: Path, arguments: list[str], handed_on: list[str]
) -> None:
    for extra in ("course", "test"):
        installed(clone, extra)
    python = clone / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    run = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=clone,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == ["-m", "course", *handed_on]


def test_an_answer_not_yet_right_is_no_error_of_make(clone: Path) -> None:
    installed(clone, "course")
    python = clone / ".venv" / "bin" / "python"
    python.write_text("#!/bin/sh\necho 1 of 7\nexit 1\n")
    python.chmod(0o755)
    line = ["make", "check", "CHAPTER=11"]
    run = subprocess.run(line, cwd=clone, env=ENVIRONMENT, capture_output=True)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"1 of 7\n", b"")


def test_an_old_python_is_refused_with_a_cure(clone: Path) -> None:
    old = clone / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    run = subprocess.run(
        ["make", "lab", f"PYTHON={old}"],
        cwd=clone,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert "try make PYTHON=python3.12" in run.stdout
    assert not (clone / ".venv").exists()
