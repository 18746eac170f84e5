"""The hub's files agree with each other, with make, and with what reads them."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import systemdspawner
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from course import FOLDER, ROOT
from tests.hub.admin import PAGE, boxes, commands

HUB = FOLDER / "hub"
COURSE = "beyond-the-black-box"


@pytest.fixture
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The class of the administrator's page."""
    text = re.search(r"class\.yml <<'END'\n(.*?)END", commands("The class"), re.S)
    assert text
    file = tmp_path / "class.yml"
    file.write_text(text[1])
    monkeypatch.setenv("COURSE_CLASS", str(file))
    return file


def load(name: str = "jupyterhub_config.py", folder: Path = HUB) -> Config:
    return PyFileConfigLoader(name, path=str(folder)).load_config()


def test_the_class_is_two_groups_by_the_names_that_nbgrader_knows(
    members: Path,
) -> None:
    config = load()
    assert config.JupyterHub.load_groups == {
        f"formgrade-{COURSE}": {"users": ["teacher"]},
        f"nbgrader-{COURSE}": {"users": ["ada", "ben", "cem"]},
    }
    assert config.Authenticator.allowed_users == {"teacher", "ada", "ben", "cem"}
    assert "admin_users" not in config.Authenticator


def test_what_nbgrader_is_told_is_the_course_of_the_clone(members: Path) -> None:
    ours = load("nbgrader_config.py", FOLDER)
    everyone = load("nbgrader_config.py", HUB / "everyone")
    assert (
        everyone.CourseDirectory.course_id == ours.CourseDirectory.course_id == COURSE
    )
    assert everyone.Execute.timeout == ours.Execute.timeout
    assert f"{everyone.Exchange.root}\n" in commands("The exchange")
    teachers = load("nbgrader_config.py", HUB / "instructor")
    root = Path(teachers.CourseDirectory.root)
    assert root == Path.home() / COURSE / "course"
    assert f"/home/teacher/{COURSE}\n" in commands("The teacher's copy")
    assert "gradebook?" in teachers.CourseDirectory.db_url


def test_systemd_is_asked_for_the_limits(
    members: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not run where the tests do: they stop at what it is asked for."""
    asked: dict = {}

    async def note(name: str, **unit: object) -> None:
        asked.update(unit, name=name)

    async def runs(name: str) -> bool:
        return bool(asked)

    async def failed(name: str) -> bool:
        return False

    monkeypatch.setattr(systemdspawner.systemd, "start_transient_service", note)
    monkeypatch.setattr(systemdspawner.systemd, "service_running", runs)
    monkeypatch.setattr(systemdspawner.systemd, "service_failed", failed)
    monkeypatch.setattr(systemdspawner.SystemdSpawner, "get_env", lambda self: {})
    monkeypatch.setattr(systemdspawner.SystemdSpawner, "get_args", lambda self: [])
    user = SimpleNamespace(name="root", id=1)
    config = load()
    assert config.JupyterHub.spawner_class == "systemdspawner.SystemdSpawner"
    spawner = systemdspawner.SystemdSpawner(config=config, user=user)
    asyncio.run(spawner.start())
    properties = asked["properties"]
    assert properties["MemoryMax"] == 2 * 2**30
    assert properties["CPUQuota"] == "100%"
    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices"):
        assert properties[name] == "yes"
    assert asked["name"] == "jupyter-root-singleuser"
    assert Path(asked["cmd"][0]).name == "jupyterhub-singleuser"
    said = " ".join(PAGE.read_text().split())
    assert "2 GB of memory and one processor" in said


def test_idle_servers_are_stopped_after_the_hour_of_the_page(members: Path) -> None:
    config = load()
    (service,) = config.JupyterHub.services
    assert service["command"][1:] == ["-m", "jupyterhub_idle_culler", "--timeout=3600"]
    (role,) = config.JupyterHub.load_roles
    assert role["services"] == [service["name"]]
    assert "nobody has used for an hour" in " ".join(PAGE.read_text().split())


def test_students_have_no_teachers_tools() -> None:
    disabled = json.loads((HUB / "student/labconfig/page_config.json").read_text())
    names = {name.split(":")[1] for name in disabled["disabledExtensions"]}
    assert names == {"course-list", "create-assignment", "formgrader"}


def test_nobody_is_asked_about_news() -> None:
    ours, theirs = (
        json.loads((folder / "labconfig/default_setting_overrides.json").read_text())
        for folder in (HUB / "everyone", FOLDER / ".jupyter")
    )
    assert ours == theirs


def test_the_proxy_is_locked_and_make_installs_it(tmp_path: Path) -> None:
    wanted = json.loads((HUB / "package.json").read_text())["dependencies"]
    lock = json.loads((HUB / "package-lock.json").read_text())["packages"]
    assert lock[""]["dependencies"] == wanted
    for name, version in wanted.items():
        assert lock[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in entry for name, entry in lock.items() if name)
    if not shutil.which("make"):
        pytest.skip("no make here")
    for name in ("Makefile", "course/hub/package-lock.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    line = ["make", "-n", ".venv/.proxy"]
    shown = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True).stdout
    assert "npm ci --prefix .venv/proxy" in shown
    assert "package-lock.json .venv/proxy" in shown


def test_the_service_and_the_page_name_what_there_is() -> None:
    unit = (HUB / "jupyterhub.service").read_text()
    text = unit + "".join(box for many in boxes().values() for box in many)
    for path in re.findall(rf"/srv/{COURSE}/([\w./-]+)", text):
        if not path.startswith(".venv"):
            assert (ROOT / path).exists(), path
    assert "make .venv/.hub .venv/.proxy" in commands("The course")
    assert "\nhub = [" in (ROOT / "pyproject.toml").read_text()
    start = commands("Start")
    assert "jupyterhub.service" in start and "enable --now jupyterhub" in start


def test_shell_is_shell() -> None:
    scripts = [box for many in boxes().values() for box in many]
    scripts += [file.read_text() for file in HUB.glob("*.sh")]
    assert len(scripts) > 8
    for script in scripts:
        done = subprocess.run(
            ["bash", "-n"], input=script, capture_output=True, text=True
        )
        assert not done.returncode, script + done.stderr
