import json
import shlex
import sys
from pathlib import Path

import pytest

from course.desk import doctor
from course.desk.doctor import Finding


def test_no_problem_is_found_where_the_tests_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = doctor.doctor()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(doctor.CHECKS)
    assert [line for line in lines if line[:9].strip() not in ("ok", "warning")] == []
    assert status == 0


def test_only_a_problem_makes_the_doctor_fail(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def well() -> Finding:
        return Finding("ok", "all is well")

    def odd() -> Finding:
        return Finding("warning", "make is old", "get a new one")

    def bad() -> Finding:
        return Finding("problem", "no disk", "buy one")

    monkeypatch.setattr(doctor, "CHECKS", (well, odd))
    assert doctor.doctor() == 0
    monkeypatch.setattr(doctor, "CHECKS", (well, odd, bad))
    capsys.readouterr()
    assert doctor.doctor() == 1
    assert capsys.readouterr().out.splitlines() == [
        "ok       all is well",
        "warning  make is old: get a new one",
        "problem  no disk: buy one",
    ]


def test_a_check_that_lacks_a_package_is_a_problem_not_a_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(doctor, "CHECKS", (doctor.check_torch, doctor.check_make))
    first, second = doctor.diagnose()
    assert first.level == "problem"
    assert "torch" in first.what and "check_torch" in first.what
    assert "pip install -c constraints.txt" in first.cure
    assert "make" in second.what


@pytest.mark.parametrize("version", [(3, 10, 14), (2, 7, 18)])
def test_an_old_python_is_a_problem(version: tuple[int, ...]) -> None:
    finding = doctor.check_python(version)
    assert finding.level == "problem"
    assert ".".join(map(str, version)) in finding.what
    assert "3.11" in finding.cure


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 14, 1)])
def test_a_recent_python_is_fine(version: tuple[int, ...]) -> None:
    assert doctor.check_python(version).level == "ok"


def test_packages_of_another_folder_are_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "unroll").mkdir()
    (tmp_path / "unroll" / "__init__.py").touch()
    finding = doctor.check_project()
    assert finding.level == "problem"
    assert str(tmp_path) in finding.what


def test_packages_that_cannot_be_imported_are_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n')
    bare.chmod(0o755)  # -S: no site-packages
    monkeypatch.setattr(sys, "executable", str(bare))
    assert doctor.check_project() == Finding(
        "problem", "beyond-the-black-box is not installed", doctor.INSTALL
    )


def test_torch_is_told_with_its_devices() -> None:
    import torch

    finding = doctor.check_torch()
    assert finding.level == "ok"
    assert f"torch {torch.__version__} on CPU" in finding.what
    assert ("CUDA" in finding.what) == torch.cuda.is_available()


def test_a_torch_that_does_not_load_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libgomp.so.1 not found')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch")
    finding = doctor.check_torch()
    assert finding.level == "problem"
    assert "libgomp.so.1" in finding.what


def _use_kernel(folder: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = folder / "kernels" / "python3"
    kernel.mkdir(parents=True)
    spec = {"argv": [program, "-m", "ipykernel_launcher"], "display_name": "Python"}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(folder))


@pytest.mark.parametrize("program", ["python", "python3", sys.executable])
def test_a_kernel_of_this_python_is_fine(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_kernel(tmp_path, program, monkeypatch)
    assert doctor.check_kernel().level == "ok"


def test_a_kernel_of_another_python_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use_kernel(tmp_path, "/elsewhere/other/bin/python", monkeypatch)
    finding = doctor.check_kernel()
    assert finding.level == "problem"
    assert "/elsewhere/other/bin/python" in finding.what
    assert str(tmp_path) in finding.what
    assert "ipykernel install --sys-prefix" in finding.cure


def _configure(folder: Path, file: str, settings: dict, monkeypatch) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(folder))


def test_the_validate_button_is_enabled_by_installing_nbgrader() -> None:
    assert doctor.check_nbgrader() == Finding(
        "ok", "nbgrader's Validate button is enabled"
    )


def test_a_server_extension_switched_off_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "nbgrader.server_extensions.validate_assignment"
    off = {"ServerApp": {"jpserver_extensions": {name: False}}}
    _configure(tmp_path, "jupyter_server_config.json", off, monkeypatch)
    finding = doctor.check_nbgrader()
    assert finding.level == "problem"
    assert finding.what == f"the server extension {name} is off"


def test_a_button_switched_off_is_a_problem_with_the_command_that_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "@jupyter/nbgrader:validate-assignment"
    off = {"disabledExtensions": {name: True}}
    _configure(tmp_path, "labconfig/page_config.json", off, monkeypatch)
    finding = doctor.check_nbgrader()
    assert finding.level == "problem"
    assert f"labextension enable {name}" in finding.cure


def test_missing_extensions_are_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    import jupyter_core.paths

    monkeypatch.setattr(jupyter_core.paths, "jupyter_path", lambda *_: [])
    finding = doctor.check_nbgrader()
    assert finding == Finding(
        "problem", "the extension @jupyter/nbgrader is missing", doctor.REINSTALL
    )
    monkeypatch.setattr(jupyter_core.paths, "jupyter_config_path", lambda: [])
    assert "validate_assignment is missing" in doctor.check_nbgrader().what


@pytest.mark.parametrize(
    ("gigabytes", "level"), [(0.4, "problem"), (1.5, "warning"), (20, "ok")]
)
def test_disk_space_is_judged(gigabytes: float, level: str) -> None:
    finding = doctor.check_disk(int(gigabytes * 1024**3))
    assert finding.level == level
    assert f"{gigabytes:.1f} GB" in finding.what


def test_a_missing_copy_is_a_warning_and_a_broken_one_a_problem(tiny) -> None:
    finding = doctor.check_work(tiny.folder)
    assert finding.level == "warning"
    assert "01_tiny.ipynb" in finding.what
    assert "make lab" in finding.cure

    tiny.work.parent.mkdir(parents=True)
    tiny.work.write_text('{"cells": [')
    finding = doctor.check_work(tiny.folder)
    assert finding.level == "problem"
    assert str(tiny.work) in finding.what

    tiny.work.write_text('{"cells": []}')
    assert doctor.check_work(tiny.folder).level == "ok"


def test_without_make_the_other_way_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    finding = doctor.check_make()
    assert finding.level == "warning"
    assert "python -m course" in finding.cure


def _program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_browser_is_found_by_name_or_by_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "_BROWSER_FILES", ())
    assert doctor.find_browser({}) is None
    finding = doctor.check_browser()
    assert finding.level == "warning" and "apt-get install chromium" in finding.cure
    chrome = _program(tmp_path / "google-chrome")
    assert doctor.find_browser({}) == str(chrome)
    chromium = _program(tmp_path / "chromium")
    assert doctor.find_browser({}) == str(chromium)
    other = _program(tmp_path / "my-browser")
    assert doctor.find_browser({"BROWSER_EXECUTABLE": str(other)}) == str(other)


def test_a_browser_named_wrongly_is_not_replaced_by_another(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    assert doctor.find_browser({"BROWSER_EXECUTABLE": gone}) is None
