import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
import webbrowser
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import course.building.release
from course.building.bake import bake
from course.building.syllabus import FOLDER, Chapter
from course.desk import lab
from course.desk.contents import MACHINERY
from course.desk.start import PAGE
from tests.browser.serving import free_port, wait_until_served


def _command(*argv: str, as_root: bool = False, opens_browser: bool = True) -> list:
    return lab.command(argv, as_root=as_root, opens_browser=opens_browser)


def test_the_server_runs_on_this_python_in_the_course_folder() -> None:
    line = _command()
    assert line[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={FOLDER}" in line
    assert f"--LabApp.default_url=/lab/tree/{PAGE}" in line


def test_root_is_allowed_only_for_root() -> None:
    assert "--allow-root" in _command(as_root=True)
    assert "--allow-root" not in _command(as_root=False)


def test_no_browser_is_opened_where_there_is_none() -> None:
    assert "--no-browser" in _command(opens_browser=False)
    assert "--no-browser" not in _command(opens_browser=True)


def test_further_arguments_come_last_so_that_they_count() -> None:
    line = _command("--port=9999", "--log-level=DEBUG", as_root=True)
    assert line[-2:] == ["--port=9999", "--log-level=DEBUG"]
    assert line.index("--log-level=WARN") < line.index("--log-level=DEBUG")


def test_open_tabs_are_kept_in_the_course_folder_and_ignored_by_git() -> None:
    (option,) = [o for o in _command() if o.startswith("--LabApp.workspaces_dir=")]
    folder = Path(option.partition("=")[2])
    assert folder == FOLDER / ".jupyter" / "workspaces"
    assert "workspaces/" in (FOLDER / ".jupyter" / ".gitignore").read_text()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_all_machinery_of_the_course_is_hidden_and_nothing_else() -> None:
    line = ["git", "ls-files", "--", "."]
    listed = subprocess.run(line, cwd=FOLDER, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = {name.split("/")[0] for name in listed.stdout.splitlines()}
    shown = {name for name in names - MACHINERY if not name.startswith(".")}
    assert shown == {"projects"}
    assert MACHINERY - {"release"} <= names, "a name that is no more"


def test_kernels_get_one_thread_and_the_right_backend() -> None:
    variables = lab.environment()
    assert variables["OMP_NUM_THREADS"] == "1"
    assert variables["OMP_WAIT_POLICY"] == "PASSIVE"
    assert variables["DDE_BACKEND"] == "pytorch"


def test_other_jupyter_settings_stay_behind_the_course_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("JUPYTER_CONFIG_PATH", raising=False)
    ours = str(FOLDER / ".jupyter")
    assert lab.environment()["JUPYTER_CONFIG_PATH"] == ours
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/etc/school")
    both = os.pathsep.join([ours, "/etc/school"])
    assert lab.environment()["JUPYTER_CONFIG_PATH"] == both
    assert os.environ["JUPYTER_CONFIG_PATH"] == "/etc/school"


@pytest.mark.parametrize(("user", "expected"), [(0, True), (1000, False)])
def test_root_is_who_has_the_number_0(
    user: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert lab.is_root() is expected


def test_nobody_is_root_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "geteuid")
    assert not lab.is_root()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (webbrowser.GenericBrowser("w3m"), False),
        (webbrowser.GenericBrowser("/usr/bin/www-browser"), False),
        (webbrowser.Chromium("chromium"), True),
        (webbrowser.BaseBrowser("windows-default"), True),
    ],
)
def test_a_browser_in_the_terminal_is_none(
    found: webbrowser.BaseBrowser, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "get", lambda: found)
    assert lab.has_browser() is expected


def _no_browser() -> None:
    raise webbrowser.Error("could not locate runnable browser")


def test_without_a_browser_the_course_starts_and_says_where_to_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = []
    monkeypatch.setattr(webbrowser, "get", _no_browser)
    monkeypatch.setattr(
        course.building.release, "prepare_work", lambda: ["11 has a copy"]
    )
    monkeypatch.setattr(lab, "write_page", lambda: lines.append("a page"))
    monkeypatch.setattr(lab, "serve", lambda line: lines.append(line) or 7)
    assert lab.lab(["--port=9999"]) == 7
    assert lines[0] == "a page"
    assert "--no-browser" in lines[1] and lines[1][-1] == "--port=9999"
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "11 has a copy"
    assert "?token=" in printed[1]


def test_a_server_gets_its_folder_and_environment_and_hands_on_its_status(
    tmp_path: Path,
) -> None:
    program = (
        "import os, pathlib; pathlib.Path('seen').write_text("
        "os.environ['JUPYTER_CONFIG_PATH'] + os.environ['OMP_NUM_THREADS'])\n"
        "raise SystemExit(3)"
    )
    assert lab.serve([sys.executable, "-c", program], tmp_path) == 3
    seen = (tmp_path / "seen").read_text()
    assert seen == f"{tmp_path / '.jupyter'}1"


def test_ctrl_c_leaves_the_question_to_jupyterlab(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Server:
        answers: Iterator = iter([KeyboardInterrupt(), KeyboardInterrupt(), 0])

        def wait(self, timeout: float) -> int:
            answer = next(self.answers)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        def poll(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: Server())
    before = signal.getsignal(signal.SIGTERM)
    assert lab.serve(["jupyterlab"]) == 0
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_start_page_is_kept_current_while_the_server_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = tmp_path / "drawn twice"

    def write_page(folder: Path) -> None:
        if not (folder / "drawn once").exists():
            (folder / "drawn once").touch()
            raise OSError("no space left on device")  # which must not end JupyterLab
        drawn.touch()
        raise AttributeError("a copy that nobody has thought of")  # nor must this

    monkeypatch.setattr(lab, "write_page", write_page)
    monkeypatch.setattr(lab, "REDRAWN_SECONDS", 0.01)
    program = f"import os\nwhile not os.path.exists({str(drawn)!r}): pass"
    assert lab.serve([sys.executable, "-c", program], tmp_path) == 0


@pytest.mark.parametrize("stubborn", [False, True])
def test_no_jupyterlab_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubborn: bool
) -> None:
    """Whatever ends the command ends its child, also one that does not listen."""
    children = []
    popen = subprocess.Popen

    def started(*args: object, **options: object) -> subprocess.Popen:
        children.append(popen(*args, **options))
        return children[0]

    def ends(folder: Path) -> None:
        if (tmp_path / "up").exists():
            raise SystemExit(3)

    monkeypatch.setattr(subprocess, "Popen", started)
    monkeypatch.setattr(lab, "write_page", ends)
    monkeypatch.setattr(lab, "REDRAWN_SECONDS", 0.05)
    monkeypatch.setattr(lab, "LAST_SECONDS", 0.5)
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if stubborn else "pass"
    program = f"import signal, time\n{deaf}\nopen('up', 'w')\ntime.sleep(60)"
    with pytest.raises(SystemExit):
        lab.serve([sys.executable, "-c", program], tmp_path)
    assert children[0].poll() is not None


@dataclass
class Running:
    """``python -m course lab``, as a student starts it, on a course of one chapter."""

    process: subprocess.Popen
    chapter: Chapter
    home: Path
    port: int
    log: Path
    token: str

    def ask(self, at: str, **form: str) -> tuple[str, str]:
        """GET or, with a form, POST; return the final address and the text."""
        data = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(f"http://localhost:{self.port}{at}", data)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=120) as answer:
            assert answer.status == 200
            return answer.url, answer.read().decode()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root, home = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("home")
    folder = root / "course"
    without = shutil.ignore_patterns(
        "__pycache__", "chapters", "source", "work", "release", "site", "submitted"
    )
    shutil.copytree(FOLDER, folder, ignore=without)
    chapter = _write_tiny_chapter(folder)
    port, log = free_port(), home / "log"
    line = [sys.executable, "-m", "course", "lab", f"--port={port}", "--no-browser"]
    variables = {**os.environ, "HOME": str(home), "PYTHONPATH": str(root)}
    with log.open("w") as output:
        process = subprocess.Popen(
            line,
            cwd=root,
            env=variables,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            wait_until_served(process, f"http://localhost:{port}/api", log)
            yield Running(process, chapter, home, port, log, _token(log))
        finally:
            _stop(process)


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # with the server, its own child
        raise


def _write_tiny_chapter(folder: Path) -> Chapter:
    from course.building.syllabus import chapters

    tiny = Path(__file__).parents[1] / "tiny"
    (folder / "chapters").mkdir()
    shutil.copy(tiny / "syllabus.yml", folder)
    shutil.copy(tiny / "01_tiny.txt", folder / "chapters" / "01_tiny.py")
    (chapter,) = chapters(folder)
    bake(chapter)
    return chapter


def _token(log: Path) -> str:
    """The token in the address that is printed for people without a browser."""
    words = log.read_text().split()
    address = next(word for word in words if f"/lab/tree/{PAGE}?token=" in word)
    return address.partition("token=")[2]


def test_the_first_address_leads_to_the_course_page(running: Running) -> None:
    address, text = running.ask("/")
    assert urllib.parse.urlsplit(address).path == f"/lab/tree/{PAGE}"
    assert "<title>JupyterLab</title>" in text


def test_the_files_of_the_course_are_served(running: Running) -> None:
    listed = json.loads(running.ask("/api/contents/")[1])["content"]
    assert {entry["name"] for entry in listed} == {PAGE, "projects", "work"}
    assert running.ask("/api/contents/syllabus.yml")[1], "hidden, not locked"
    path = "/api/contents/work/01_tiny/01_tiny.ipynb"
    cells = json.loads(running.ask(path)[1])["content"]["cells"]
    assert any("not written yet" in cell["source"] for cell in cells)


@pytest.mark.parametrize(
    ("plugin", "setting", "value"),
    [
        (
            "docmanager-extension:plugin",
            "defaultViewers",
            {"markdown": "Markdown Preview"},
        ),
        ("apputils-extension:notification", "fetchNews", "false"),
        ("apputils-extension:notification", "checkForUpdates", False),
    ],
)
def test_jupyterlab_takes_the_course_s_defaults(
    running: Running, plugin: str, setting: str, value: object
) -> None:
    _, text = running.ask(f"/lab/api/settings/@jupyterlab/{plugin}")
    assert json.loads(text)["schema"]["properties"][setting]["default"] == value


def test_validate_names_the_failing_cells_and_obeys_the_course_s_configuration(
    running: Running,
) -> None:
    path = "work/01_tiny/01_tiny.ipynb"
    answer = json.loads(running.ask("/assignments/validate", path=path)[1])
    assert answer["success"]
    failed = [cell["source"] for cell in answer["value"]["failed"]]
    assert [source.splitlines()[0] for source in failed] == [
        'assert double(unit) == 2, "doubling one gives two"',
        'assert double(0) == 0, "doubling nothing gives nothing"',
    ]
    configuration = running.chapter.folder / "nbgrader_config.py"
    before = configuration.read_text()
    configuration.write_text(before + "\nc.Validator.invert = True\n")
    answer = json.loads(running.ask("/assignments/validate", path=path)[1])
    assert answer == {"success": True, "value": {}}, "the configuration was not found"
    configuration.write_text(before)


def test_the_home_folder_gets_no_settings(running: Running) -> None:
    kept = running.home / ".jupyter"
    files = {p.relative_to(kept).as_posix() for p in kept.rglob("*") if p.is_file()}
    assert files <= {"migrated"}


# The last test of this file: the server is gone after it.
def test_a_terminated_command_stops_its_server(running: Running) -> None:
    running.process.terminate()
    assert running.process.wait(timeout=60) == 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        running.ask("/api")
