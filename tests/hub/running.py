"""The course's hub on a machine set up as the administrator's page says."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from course import FOLDER, ROOT
from tests.browser.serving import free_port, stop, wait_until_served
from tests.hub.admin import commands
from tests.hub.machine import Machine, machine, postgres

CHAPTER = "11_ista"
CLONE = "/home/teacher/beyond-the-black-box/course"
INSTALLED = "/srv/beyond-the-black-box"
EXCHANGE = "/srv/nbgrader/exchange/beyond-the-black-box"
NPM_SECONDS = 60


@dataclass(frozen=True)
class Hub:
    """A running hub."""

    url: str
    machine: Machine
    token: str
    log: Path

    @property
    def passwords(self) -> dict[str, str]:
        """What the administrator hands out."""
        lines = self.machine.path("/srv/jupyterhub/passwords.txt").read_text()
        return dict(line.split(":", 1) for line in lines.splitlines())

    def ask(self, what: str, token: str = "") -> tuple[int, object]:
        """Ask the hub's own interface; return the status, and the answer if any."""
        headers = {"Authorization": f"token {token or self.token}"}
        request = urllib.request.Request(f"{self.url}/hub/api/{what}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, None

    def environment(self, account: str) -> dict[str, str]:
        """The variables with which somebody's server runs."""
        found = self.machine.do(
            f"pgrep -u {account} -f jupyterhub-singleuser | head -1"
        )
        told = self.machine.do(f"cat /proc/{found.strip()}/environ")
        pairs = (line.partition("=") for line in told.split("\0") if line)
        return {name: value for name, _, value in pairs}


def install_proxy() -> str:
    """Install the hub's proxy as ``make .venv/.proxy`` does; say why not if not."""
    place = Path(sys.prefix, "proxy")
    wanted = (FOLDER / "hub" / "package-lock.json").read_text()
    if (place / "complete").exists() and (place / "complete").read_text() == wanted:
        return ""
    place.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FOLDER / "hub" / name, place)
    line = ["npm", "ci", "--no-audit", "--no-fund", "--fetch-retries=0"]
    try:
        done = subprocess.run(
            line, cwd=place, capture_output=True, text=True, timeout=NPM_SECONDS
        )
    except subprocess.TimeoutExpired:
        return f"npm could not install the hub's proxy within {NPM_SECONDS} s"
    if done.returncode:
        return f"npm could not install the hub's proxy: {done.stderr[-300:].strip()}"
    (place / "complete").write_text(wanted)
    return ""


@contextmanager
def hub(folder: Path, students: Sequence[str] = ()) -> Iterator[Hub]:
    """Set up a machine and run the hub on it while the context lasts.

    Args:
        folder: An empty folder.
        students: Who is in the class, if not those of the page.
    """
    ports = [free_port() for _ in range(3)]
    settings = {
        "COURSE_TEST_PORTS": " ".join(map(str, ports)),
        "COURSE_TEST_TOKEN": secrets.token_hex(16),
    }
    with machine(folder) as made:
        set_up(made, students)
        os.environ.update(settings)
        log = folder / "hub.log"
        config = Path(__file__).with_name("hub_config.py")
        line = [sys.executable, "-m", "jupyterhub", "--config", str(config)]
        process = made.start(line, log)
        try:
            url = f"http://127.0.0.1:{ports[0]}"
            wait_until_served(process, f"{url}/hub/api", log)
            yield Hub(url, made, settings["COURSE_TEST_TOKEN"], log)
        finally:
            stop(process)
            for name in settings:
                os.environ.pop(name)


def set_up(made: Machine, students: Sequence[str] = ()) -> None:
    """What the page says, but for what is installed here already.

    Debian's package starts PostgreSQL itself where systemd runs; the teacher's clone
    is a copy of what Formgrader needs of it.
    """
    made.path(INSTALLED).symlink_to(ROOT)
    made.do(commands("The class"))
    if students:
        members = {"instructors": ["teacher"], "students": list(students)}
        made.path("/srv/jupyterhub/class.yml").write_text(yaml.safe_dump(members))
    made.do(commands("The class", 1))
    made.do(commands("The exchange"))
    data, programs = "/var/lib/postgresql/main", postgres()
    options = "-F -c listen_addresses='' -c unix_socket_directories=/var/run/postgresql"
    made.do(
        "install -d -o postgres /var/run/postgresql\n"
        "cd /var/lib/postgresql\n"
        f"runuser -u postgres -- {programs}/initdb --no-sync -D {data} "
        "--auth-local=peer --auth-host=scram-sha-256 >/dev/null\n"
        f"runuser -u postgres -- {programs}/pg_ctl -w -D {data} -l {data}/log "
        f'-o "{options}" start >/dev/null\n' + commands("The gradebook")
    )
    clone = made.path(CLONE)
    (clone / "source").mkdir(parents=True)
    for name in ("nbgrader_config.py", "syllabus.yml"):
        shutil.copy(FOLDER / name, clone)
    shutil.copytree(FOLDER / "source" / CHAPTER, clone / "source" / CHAPTER)
    made.do(commands("The teacher's copy").splitlines()[1])
