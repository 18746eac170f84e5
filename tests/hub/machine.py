"""A server of its own inside this one: its accounts, its folders, its processes.

bubblewrap makes it: the disk is read only, but for ``/etc``, ``/home``, ``/srv`` and
the like, which are folders of the test; all of its processes end with it. So commands
run here as the administrator's page says them, accounts are made and passwords set, and
nothing of it is left.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course import ROOT

_FOLDERS = ("etc", "home", "srv", "var/lib/postgresql")
_NEEDED = {
    "bwrap": "apt-get install bubblewrap",
    "nsenter": "apt-get install util-linux",
    "runuser": "apt-get install util-linux",
    "node": "apt-get install npm",
    "npm": "apt-get install npm",
}


@cache
def missing() -> str:
    """Why no such machine can be made here; empty if it can."""
    if not sys.platform.startswith("linux") or os.geteuid():
        return "only root can start the servers of several accounts"
    for program, cure in _NEEDED.items():
        if not shutil.which(program):
            return f"{program} is not here: {cure}"
    if not postgres():
        return "no PostgreSQL server is here: apt-get install postgresql"
    tried = subprocess.run(
        [*_wrapped(None), "mount", "-t", "proc", "proc", "/proc"],
        capture_output=True,
        text=True,
    )
    if tried.returncode:
        return f"bubblewrap cannot make a machine here: {tried.stderr.strip()}"
    return ""


def postgres() -> Path | None:
    """Where Debian keeps the programs of its newest PostgreSQL server."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(found, key=lambda path: int(path.parts[-3]))
    return newest[-1].parent if newest else None


@dataclass(frozen=True)
class Machine:
    """A running one."""

    folder: Path
    pid: int

    def path(self, inside: str) -> Path:
        """Where one of its own folders lies for us."""
        return self.folder / inside.lstrip("/")

    def line(self, command: Sequence[str], account: str = "root") -> list[str]:
        """The command line that runs ``command`` in it."""
        enter = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--ipc"]
        become = [] if account == "root" else ["runuser", "-u", account, "--"]
        there = ["env", f"--chdir={_home(account)}"]
        return [*enter, "--", *become, *there, *command]

    def run(
        self, command: Sequence[str], account: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it and say what became of it."""
        return subprocess.run(
            self.line(command, account),
            capture_output=True,
            text=True,
            timeout=120,
            env=_environment(account),
        )

    def do(self, script: str, account: str = "root") -> str:
        """Run lines of shell, all of which must succeed; return what they said."""
        done = self.run(["bash", "-euo", "pipefail", "-c", script], account)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, command: Sequence[str], log: Path) -> subprocess.Popen:
        """Start a server in it, as root."""
        with log.open("w") as output:
            return subprocess.Popen(
                self.line(command), stdout=output, stderr=output, env=_environment()
            )


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Run a machine whose folders lie in ``folder``, and end all that runs in it."""
    shutil.copytree("/etc", folder / "etc", symlinks=True)
    for name in _FOLDERS[1:]:
        (folder / name).mkdir(parents=True)
    shutil.chown(folder / "var/lib/postgresql", "postgres", "postgres")
    line = [*_wrapped(folder), "sh", "-c"]
    read, write = os.pipe()
    ready = 'mount -t proc proc /proc && echo ready && exec sleep "$1"'
    process = subprocess.Popen(
        [*line[:1], "--info-fd", str(write), *line[1:], ready, "sh", "infinity"],
        stdout=subprocess.PIPE,
        pass_fds=[write],
        text=True,
    )
    os.close(write)
    try:
        with os.fdopen(read) as told:
            pid = json.load(told)["child-pid"]
        assert process.stdout and process.stdout.readline() == "ready\n"
        yield Machine(folder, pid)
    finally:
        process.kill()
        process.wait()


def _wrapped(folder: Path | None) -> list[str]:
    line = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc"]
    line += ["--cap-add", "ALL", "--ro-bind", "/", "/", "--dev", "/dev"]
    line += ["--perms", "1777", "--tmpfs", "/tmp", "--tmpfs", "/run"]
    closed = _closed()
    for outer in sorted({*closed.values()} - {Path("/tmp")}):
        line += ["--tmpfs", str(outer)]
    for path, outer in closed.items():
        for parent in reversed(path.parents):
            if outer in parent.parents:
                line += ["--perms", "0755", "--dir", str(parent)]
        line += ["--ro-bind", str(path), str(path)]
    for name in _FOLDERS if folder else ():
        line += ["--bind", str(folder / name), f"/{name}"]
    return line


def _closed() -> dict[Path, Path]:
    """What every account needs and could not reach, with its outermost closed folder.

    That one is put out of sight, with what else lies in it.
    """
    found: dict[Path, Path] = {}
    for path in (ROOT, Path(sys.prefix), Path(sys.base_prefix)):
        outwards = [p for p in path.resolve().parents if not p.stat().st_mode & 1]
        if outwards or Path("/tmp") in path.resolve().parents:
            found[path.resolve()] = outwards[-1] if outwards else Path("/tmp")
    return found


def _home(account: str) -> str:
    return "/srv" if account == "root" else f"/home/{account}"


def _environment(account: str = "root") -> dict[str, str]:
    ours = {k: v for k, v in os.environ.items() if k.startswith(("COURSE_", "OMP_"))}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    known = {"PATH": path, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    return ours | known | {"HOME": _home(account)}
