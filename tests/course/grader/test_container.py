"""The container image for grading is what the requirements, make and the guide say.

Where no container engine works, nobody builds it: then the file is held against what it
must agree with, and what it runs is run here.
"""

import json
import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from course import ROOT
from tests.course.grading import Class

GUIDE = ROOT / "course" / "instructor"
SCRIPT = GUIDE / "grade_in_container.sh"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RESULTS = ("gradebook.db", "grades.csv", "autograded", "feedback")


def instructions() -> list[tuple[str, str]]:
    text = (GUIDE / "Containerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line]
    return [(kind, " ".join(value.split())) for kind, value in lines]


def told(kind: str) -> list[str]:
    return [value for name, value in instructions() if name == kind]


def command(program: str) -> str:
    """The guide's ``podman build`` or ``podman run``, on one line."""
    text = (GUIDE / "hub.md").read_text().replace("\\\n", " ")
    (found,) = re.findall(rf"^{program} .*$", text, re.MULTILINE)
    return " ".join(found.split())


@cache
def engine() -> str:
    """A container engine that works; empty without one."""
    for name in ("podman", "docker"):
        if shutil.which(name):
            asked = subprocess.run([name, "info"], capture_output=True, timeout=60)
            if not asked.returncode:
                return name
    return ""


def test_the_base_is_pinned_and_has_the_python_of_the_stored_outputs() -> None:
    (base,) = told("FROM")
    version = re.fullmatch(
        r"docker\.io/library/python:(\d+\.\d+\.\d+)-slim-[a-z]+", base
    )
    assert version, f"no patch version and no system: {base}"
    assert version[1] in SpecifierSet(PYPROJECT["requires-python"])
    first = (ROOT / "constraints.txt").read_text().splitlines()[0]
    made_with = re.search(r"on Python (\d+\.\d+)\.$", first)
    assert version[1].startswith(f"{made_with[1]}.")


def test_what_is_installed_is_what_make_installs_for_lab_and_grade() -> None:
    installs = [part for part in " ".join(told("RUN")).split("&&") if "pip" in part]
    assert all("--constraint constraints.txt" in part for part in installs)
    torch, rest = installs
    assert torch.split()[-1] == "torch" and "--no-deps" in torch
    assert "--index-url https://download.pytorch.org/whl/cpu" in torch
    extra = re.search(r'--editable "\.\[(\w+)\]"$', rest.strip())[1]
    assert extra in PYPROJECT["optional-dependencies"]
    makefile = (ROOT / "Makefile").read_text()
    for target in ("lab", "grade"):
        assert f"\n{target}: .venv/.{extra} " in makefile
    assert told("RUN")[1].endswith(f"&& touch .venv/.{extra}")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_make_finds_all_installed_and_downloads_nothing(tmp_path: Path) -> None:
    """The tree as the image has it: an environment elsewhere, and make's mark."""
    clone, environment = tmp_path / "clone", tmp_path / "venv"
    (environment / "bin").mkdir(parents=True)
    clone.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy2(ROOT / name, clone)
    link = re.search(r"ln -s (\S+) (\S+)", told("RUN")[1])
    assert f"-m venv {link[1]} " in told("RUN")[1]
    (clone / link[2]).symlink_to(environment)
    (environment / "bin" / "python").touch()
    (environment / ".course").touch()
    for target in ("lab", "grade"):
        line = ["make", "-n", target]
        run = subprocess.run(line, cwd=clone, capture_output=True, text=True)
        assert f"-m course {target}" in run.stdout
        assert "pip" not in run.stdout and "-m venv" not in run.stdout
    assert not re.search(r"pip|apt|curl|wget|git |http", SCRIPT.read_text())


def test_nobody_in_it_is_root_or_owns_the_tree() -> None:
    user = told("USER")[-1]
    assert re.search(rf"useradd .*--uid [1-9]\d+ {user}$", told("RUN")[-1])
    assert instructions()[-2:] == [("USER", user), ("CMD", told("CMD")[0])]
    assert "chown" not in str(instructions()) and "chmod" not in str(instructions())


def test_what_it_runs_is_there_and_takes_the_guide_s_folders() -> None:
    shell, script, clone, source, target = json.loads(told("CMD")[0])
    assert (shell, ROOT / script) == ("sh", SCRIPT)
    assert [clone] == told("WORKDIR")
    run = command("podman run")
    assert f":{source}:ro " in run and f":{target} " in run


def test_the_guide_runs_it_with_nothing_to_reach_and_nothing_to_write_to() -> None:
    build, run = command("podman build"), command("podman run")
    name = re.fullmatch(r"podman build -t (\S+) -f (\S+) \.", build)
    assert ROOT / name[2] == GUIDE / "Containerfile"
    assert run.endswith(f" {name[1]}")
    for option in (
        "--rm",
        "--network none",
        "--read-only",
        "--tmpfs /tmp:exec",
        "--cap-drop all",
        "--security-opt no-new-privileges",
        "--memory 8g",
        "--pids-limit 256",
    ):
        assert f" {option} " in run
    said = " ".join((GUIDE / "hub.md").read_text().split())
    assert "not built by the tests where there is no container engine" in said


def test_the_image_holds_nothing_generated_and_all_that_is_needed() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    names = [s for s in (ROOT / ".gitignore").read_text().splitlines() if s[0] != "#"]
    for name in names:
        plain = name.rstrip("/")
        expected = plain[1:] if plain.startswith("/") else f"**/{plain}"
        assert expected in ignored, "what git does not hold may be somebody's work"
    assert ".git" in ignored
    needed = ["Makefile", "constraints.txt", "pyproject.toml", "setup.py", "README.md"]
    needed += [*PYPROJECT["license-files"], "unroll", "modular", "pinn", "course"]
    needed += ["course/source", "course/kit", "course/syllabus.yml", str(SCRIPT)]
    assert not {*needed} & {*ignored}
    # Chapters quote the stored results, and nothing else below tests.
    assert ignored.index("tests") < ignored.index("!tests/benchmarks/results")


def grade_here(clone: Path, source: Path, target: Path) -> int:
    line = ["sh", str(SCRIPT), str(clone), str(source), str(target)]
    return subprocess.run(line, capture_output=True, timeout=60).returncode


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
@pytest.mark.parametrize("status", [0, 1])
def test_what_it_runs_grades_a_copy_and_keeps_what_comes_of_it(
    tmp_path: Path, status: int
) -> None:
    clone, source, target = (tmp_path / name for name in ("clone", "in", "out"))
    (clone / "course").mkdir(parents=True)
    (clone / "Makefile").write_text(
        "grade:\n"
        "\tcat course/grades.csv > course/before 2>/dev/null || true\n"
        "\tmkdir -p course/autograded course/feedback\n"
        "\techo page > course/feedback/$$(cat course/before | wc -l)\n"
        '\techo "$(SUBMISSIONS)" >> course/grades.csv\n'
        "\techo book > course/gradebook.db\n"
        f"\texit {status}\n"
    )
    source.mkdir()
    target.mkdir()
    before = sorted(clone.rglob("*"))
    assert bool(grade_here(clone, source, target)) is bool(status)
    assert {p.name for p in target.iterdir()} == {*RESULTS}
    assert (target / "grades.csv").read_text() == f"{source}\n"
    grade_here(clone, source, target)  # goes on from there
    assert (target / "grades.csv").read_text() == f"{source}\n" * 2
    assert {p.name for p in (target / "feedback").iterdir()} == {"0", "1"}
    assert sorted(clone.rglob("*")) == before, "the tree may be read only"


def test_the_image_is_built_and_grades_without_network(tmp_path: Path) -> None:
    if not engine():
        pytest.skip("no container engine works here (podman or docker)")
    (base,) = told("FROM")
    pulled = subprocess.run([engine(), "pull", base], capture_output=True, timeout=600)
    if pulled.returncode:
        pytest.skip(f"{engine()} cannot reach {base}: it needs the internet")
    build = command("podman build").replace("podman", engine(), 1).split()
    subprocess.run(build, cwd=ROOT, check=True, timeout=1800)
    given = Class(tmp_path / "course", "21_locks").released
    (tmp_path / "submitted" / "ada" / given.slug).mkdir(parents=True)
    shutil.copy(given.work, tmp_path / "submitted" / "ada" / given.slug)
    (tmp_path / "graded").mkdir()
    run = command("podman run").replace("podman", engine(), 1)
    if engine() == "docker":
        run = run.replace("--userns keep-id", '--user "$(id -u):$(id -g)"')
    subprocess.run(["sh", "-c", run], cwd=tmp_path, check=True, timeout=900)
    assert "ada" in (tmp_path / "graded" / "grades.csv").read_text()
