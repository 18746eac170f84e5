"""A room of its own for each submission: what its code finds, and may write to.

Everywhere: an empty home folder, an empty folder for temporary files, IPython settings
of nobody, and no variable that looks like a secret. Where ``bwrap`` (bubblewrap, on
Linux) works, its processes see no others and no network, may write to the room and to
the copy that is graded and to nothing else, and cannot see what others handed in, the
gradebook or the solutions.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from course import PROJECT, ROOT

WITHOUT = (
    "Submissions ran without a sandbox. What they changed in the gradebook, the "
    "chapters or other submissions was looked for after each one; what else this user "
    "may read or write, they could. Install bubblewrap (apt-get install bubblewrap) or "
    "grade with an account that may be thrown away."
)
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|_KEY$|AUTH", re.IGNORECASE)


@dataclass(frozen=True)
class Room:
    """Where one submission runs.

    ``path`` is a folder of its own, ``work`` the folder of the copy that is graded,
    ``hidden`` are files and folders that it must not see; they are hidden in a sandbox
    only.
    """

    path: Path
    work: Path
    hidden: Sequence[Path] = ()
    confined: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes."""
        kept = {k: v for k, v in os.environ.items() if not _SECRET.search(k)}
        home, temporary = str(self.path / "home"), str(self.path / "tmp")
        own = {
            "HOME": home,
            "USERPROFILE": home,
            "TMPDIR": temporary,
            "TMP": temporary,
            "TEMP": temporary,
            "IPYTHONDIR": str(self.path / "ipython"),
            "MPLCONFIGDIR": str(self.path / "matplotlib"),
            "PYTHONNOUSERSITE": "1",
        }
        settings = ("XDG_", "JUPYTER_", "PYTHONSTARTUP", "PYTHONUSERBASE")
        return {k: v for k, v in kept.items() if not k.startswith(settings)} | own

    @property
    def prefix(self) -> list[str]:
        """What comes before a command line to run it in here."""
        if not self.confined:
            return []
        line = ["bwrap", "--unshare-all", "--die-with-parent"]
        line += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        for folder in _private():
            line += ["--tmpfs", str(folder)]
        for path in _needed():
            line += ["--ro-bind", str(path), str(path)]
        for path in self.hidden:
            if path.is_dir():
                line += ["--tmpfs", str(path)]
            elif path.exists():
                line += ["--ro-bind", "/dev/null", str(path)]
        for path in (self.path, self.work):
            line += ["--bind", str(path), str(path)]
        # A kernel watches its parent, which has no number in here that it knows.
        line += ["--setenv", "JPY_PARENT_PID", "1"]
        return [*line, "--chdir", str(self.work), "--"]


@contextmanager
def room(work: Path, hidden: Sequence[Path] = (), *, confined: bool) -> Iterator[Room]:
    """Make a room, and leave nothing of it, nor of what runs in it.

    Args:
        work: The folder of the copy that is graded.
        hidden: What is not to be seen.
        confined: Whether to make it a sandbox.

    Yields:
        The room.
    """
    with tempfile.TemporaryDirectory(
        prefix="room-", ignore_cleanup_errors=True
    ) as path:
        made = Room(Path(path).resolve(), work.resolve(), tuple(hidden), confined)
        for name in ("home", "tmp", "ipython", "matplotlib"):
            (made.path / name).mkdir()
        for fonts in _matplotlib().glob("fontlist-*.json"):  # a second to find anew
            shutil.copy(fonts, made.path / "matplotlib")
        with _adopting_orphans() as own:
            try:
                yield made
            finally:
                _end(_children() - own)


@cache
def can_confine() -> bool:
    """Whether a sandbox works here.

    Returns:
        False without ``bwrap``, and where the system does not let it.
    """
    if not shutil.which("bwrap"):
        return False
    made = Room(Path(tempfile.gettempdir()), Path(tempfile.gettempdir()), (), True)
    tried = subprocess.run([*made.prefix, "true"], capture_output=True)
    return tried.returncode == 0


def _private() -> list[Path]:
    """Folders of this user and of other programs."""
    folders = [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]
    with suppress(RuntimeError):
        folders.append(Path.home())
    found = {folder.resolve() for folder in folders if folder.is_dir()}
    return sorted(found - {Path("/")})


def _needed() -> list[Path]:
    """Where Python and the course lie; they may be below a private folder."""
    folders = [ROOT, Path(sys.prefix), Path(sys.base_prefix), *map(Path, sys.path)]
    found = {f.resolve() for f in folders if f.is_absolute() and f.exists()}
    private = _private()
    inside = {f for f in found if any(p in f.parents or p == f for p in private)}
    return sorted(inside - set(private))


def solutions() -> list[Path]:
    """Where answers are kept: in this clone, and in that which notebooks import.

    Returns:
        Folders, some of which may not exist.
    """
    names = ("course/source", "course/chapters", "tests/course", ".git")
    return [clone / name for clone in {ROOT, _installed()} for name in names]


def _installed() -> Path:
    """The clone of the installed course; this one if that cannot be known."""
    with suppress(metadata.PackageNotFoundError, TypeError, KeyError, ValueError):
        told = metadata.distribution(PROJECT).read_text("direct_url.json")
        address = urlsplit(json.loads(told)["url"])
        if address.scheme == "file":
            return Path(url2pathname(address.path))
    return ROOT


def _matplotlib() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MPLCONFIGDIR") or Path(base, "matplotlib"))


@contextmanager
def _adopting_orphans() -> Iterator[set[int]]:
    """Become the parent of what a submission leaves running (on Linux)."""
    with suppress(OSError, AttributeError, TypeError):
        import ctypes

        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    yield _children()


def _children() -> set[int]:
    """The processes whose parent this one is; none where that cannot be known."""
    found = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.add(int(status.parent.name))
    return found


def _end(processes: set[int]) -> None:
    """End processes, and those whose parents they were, until none is left."""
    before = _children() - processes
    while processes:
        for process in processes:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
            with suppress(OSError):
                os.waitpid(process, 0)
        processes = _children() - before
