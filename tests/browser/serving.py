"""A copy of the course folder, served by JupyterLab the way ``make lab`` serves it."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course.building.release import prepare_work
from course.building.syllabus import FOLDER, Chapter, chapter
from course.desk.lab import command, environment, is_root
from course.desk.start import write_page

TOKEN = "opensesame"
START_SECONDS = 120

_GENERATED = shutil.ignore_patterns(
    "__pycache__", "work", "release", "submitted", "autograded", "feedback", "_build"
)
_MARKER = re.compile(r"^\s*### (BEGIN|END) SOLUTION\n?", re.MULTILINE)


@dataclass(frozen=True)
class Course:
    """A course folder of which tests may do what they like."""

    folder: Path

    def chapter(self, name: str) -> Chapter:
        """The chapter of this folder with that number or slug."""
        return chapter(name, self.folder)

    def untouched(self, chapter: Chapter) -> Path:
        """Another copy as a student gets it."""
        path = chapter.work.with_stem(f"{chapter.slug}_untouched")
        shutil.copy(chapter.work, path)
        return path

    def solved(self, chapter: Chapter) -> Path:
        """The student's copy with all the solutions in it, and no outputs."""
        source = nbformat.read(chapter.source, as_version=4)
        solutions = {_id(c): _MARKER.sub("", c.source) for c in source.cells}
        notebook = nbformat.read(chapter.work, as_version=4)
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("solution"):
                cell.source = solutions[_id(cell)].rstrip("\n")
        path = chapter.work.with_stem(f"{chapter.slug}_solved")
        nbformat.write(notebook, path)
        return path


@dataclass(frozen=True)
class Server:
    """A running JupyterLab."""

    url: str
    course: Course
    home: Path

    def shut_down_kernels(self) -> int:
        """Shut down every kernel, as the list of running ones offers it; count them."""
        running = json.loads(self._ask("GET", "kernels"))
        for kernel in running:
            self._ask("DELETE", f"kernels/{kernel['id']}")
        return len(running)

    def _ask(self, method: str, what: str) -> bytes:
        request = urllib.request.Request(
            f"{self.url}/api/{what}",
            method=method,
            headers={"Authorization": f"token {TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS) as answer:
            return answer.read()

    def address(self, path: Path | str = "", workspace: str = "") -> str:
        """The address at which a file of the course opens, or the start page."""
        if not path:
            return f"{self.url}/?token={TOKEN}"
        if isinstance(path, Path):
            path = path.relative_to(self.course.folder).as_posix()
        return f"{self.url}/lab/workspaces/{workspace}/tree/{path}?token={TOKEN}"


def copy_course(folder: Path) -> Course:
    """Copy the course, without anybody's work, and prepare a student's copies."""
    shutil.copytree(FOLDER, folder, ignore=_GENERATED)
    prepare_work(folder)
    write_page(folder)
    return Course(folder)


@contextmanager
def serve(course: Course, home: Path) -> Iterator[Server]:
    """Serve a course from a fresh home folder while the context lasts."""
    port = free_port()
    argv = [f"--port={port}", "--ServerApp.port_retries=0"]
    argv += [f"--IdentityProvider.token={TOKEN}"]
    line = command(argv, folder=course.folder, as_root=is_root(), opens_browser=False)
    variables = {**environment(course.folder), "HOME": str(home)}
    variables.pop("MPLBACKEND", None)  # which the tests set, and students do not
    log = home / "jupyterlab.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            line, cwd=course.folder, env=variables, stdout=output, stderr=output
        )
        try:
            wait_until_served(process, f"http://localhost:{port}/api", log)
            yield Server(f"http://localhost:{port}", course, home)
        finally:
            stop(process)


def stop(process: subprocess.Popen) -> None:
    """Ask a server to stop, and make it stop if it does not."""
    process.terminate()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def wait_until_served(process: subprocess.Popen, url: str, log: Path) -> None:
    """Wait until ``url`` answers; fail with the server's log if it never does."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    raise AssertionError(f"no answer from {url}; the server said:\n{log.read_text()}")


def _id(cell: nbformat.NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")
