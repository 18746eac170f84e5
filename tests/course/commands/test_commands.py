import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from course.__main__ import main
from course.building.syllabus import chapter, chapters, parts
from course.commands import house

ROOT = Path(__file__).parents[3]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for name in "lab work check bake grade doctor test bench site clean".split():
        assert f"\n    {name} " in text


def test_an_unknown_chapter_is_told_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "99"]) == 1
    assert "no chapter is called '99': the course has 11" in capsys.readouterr().err


def test_a_misspelt_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["work", "--forse"])
    assert "unrecognized arguments: --forse" in capsys.readouterr().err


def test_a_folder_without_submissions_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["grade", str(tmp_path / "nowhere")]) == 1
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_the_home_folder_is_found_where_no_shell_has_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["grade", "~/my class"]) == 1
    assert f"{tmp_path / 'my class'} is not a folder" in capsys.readouterr().err


def test_a_grading_that_is_stopped_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("course.grading.grade.grade", stopped)
    assert main(["grade"]) == 130
    assert "stopped; the same command goes on from there" in capsys.readouterr().err


def test_a_python_without_the_packages_says_which_has_them() -> None:
    line = [sys.executable, "-S", "-m", "course", "check", "11"]  # no site-packages
    run = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.startswith("This Python does not have the course's packages (")
    assert ".venv/bin/python -m course check 11" in run.stderr
    assert "make check CHAPTER=11" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("folder", [ROOT / "course", Path(tempfile.gettempdir())])
def test_commands_run_from_any_folder(folder: Path) -> None:
    line = [sys.executable, "-m", "course", "check", "99"]
    run = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    assert "no chapter is called '99'" in run.stderr


GATE = "-n 2 --dist loadfile --no-loadscope-reorder".split()
SECOND = chapters()[1]
PATHS = ["tests/course", "tests/browser", f"course/source/{SECOND.slug}"]


@pytest.mark.parametrize(
    ("arguments", "handed_on"),
    [
        ([], GATE),
        (["tests/unroll", "-x"], ["tests/unroll", "-x"]),
        (["--chapter", SECOND.id], [*GATE, "--chapter", SECOND.slug, *PATHS]),
        (["--chapter", SECOND.id, "-x"], ["-x", "--chapter", SECOND.slug]),
        (["--c"], ["--c"]),  # no short form of ours: it is pytest's to read
    ],
    ids=["all", "paths", "a chapter", "a chapter and an option", "an option"],
)
def test_the_gate_runs_in_two_workers_and_further_arguments_replace_that(
    arguments: list[str], handed_on: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    monkeypatch.setattr(
        pytest, "main", lambda line: runs.append((Path.cwd(), line)) or 5
    )
    monkeypatch.chdir(tempfile.gettempdir())
    assert main(["test", *arguments]) == 5
    assert runs == [(ROOT, handed_on)]


def test_a_chapter_that_is_not_there_is_not_tested(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pytest, "main", lambda line: pytest.fail("it is run"))
    assert main(["test", "--chapter", "99"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("ValueError: no chapter is called '99': the course has 11")


def test_the_gate_begins_with_the_browser_and_ends_with_the_chapters() -> None:
    """pytest goes through testpaths in order, and through a folder by name."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
    paths = options["ini_options"]["testpaths"]
    notebooks = [p for p in paths if p.startswith("course/") and p != "course/kit"]
    assert "course/source" in notebooks
    assert (paths[0], paths[-len(notebooks) :]) == ("tests", notebooks)
    tested = {p.relative_to(ROOT / "tests") for p in ROOT.glob("tests/**/test_*.py")}
    assert min(tested).parts[0] == "browser"


def test_benchmarks_write_their_tables_last(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []
    monkeypatch.setattr(house, "_python", lambda *line: lines.append(line) or 0)
    assert main(["bench"]) == 0
    assert {module for module, _ in lines} == {"-m"}
    names = [name.removeprefix("tests.benchmarks.") for _, name in lines]
    assert names.pop() == "tables"
    assert names == sorted(names)
    families = {"course.robust", "modular.methods", "pinn.race", "unroll.lista"}
    assert families <= set(names)
    assert not [name for name in names if name.endswith("tables")]


def test_chapters_are_found_by_number_and_by_name() -> None:
    assert chapter("11") is chapter("11_ista")
    assert chapter("11").part == 1
    assert {c.part for c in chapters()} == set(parts())


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_lists_the_same_commands() -> None:
    run = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = [line.split()[1] for line in run.stdout.splitlines()]
    assert names == "help lab check test bench bake grade site doctor clean".split()


def test_cleaning_leaves_the_work_of_students_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("work", "release", "submitted", "feedback"):
        (tmp_path / "course" / name).mkdir(parents=True)
    monkeypatch.setattr(house, "FOLDER", tmp_path / "course")
    monkeypatch.setattr(house, "ROOT", tmp_path)
    assert main(["clean"]) == 0
    left = {p.name for p in (tmp_path / "course").iterdir()}
    assert left == {"work", "submitted"}
