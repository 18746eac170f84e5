"""``python -m course lab``: JupyterLab, opened on the start page.

The folder ``.jupyter`` of the course changes two of JupyterLab's defaults while the
course is served: Markdown opens rendered, and nobody is asked about news. They are
defaults only: what students have set in their own home folder still counts, and
nothing is written there but what Jupyter itself keeps about a running server.
"""

import os
import signal
import subprocess
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from course.building.environment import variables
from course.building.syllabus import FOLDER
from course.desk.start import PAGE, write_page

START_PAGE = f"/lab/tree/{PAGE}"
REDRAWN_SECONDS = 5
LAST_SECONDS = 10
_SAID: set[str] = set()

# They run in the terminal, where they cannot show JupyterLab but hide its messages.
_TEXT_BROWSERS = {"www-browser", "links", "elinks", "lynx", "w3m"}


def lab(argv: Sequence[str] = ()) -> int:
    """Prepare the student's copies, then serve the course until it is stopped.

    Args:
        argv: Further arguments for ``jupyter lab``, for example ``["--port=9999"]``.

    Returns:
        The exit status of JupyterLab.
    """
    from course.building.release import prepare_work

    print("\n".join(prepare_work()))
    write_page()
    opens_browser = has_browser()
    if not opens_browser:
        print("No browser here: open the address that ends in ?token=... in yours.")
    print("Starting JupyterLab; Ctrl-C stops it.", flush=True)
    return serve(command(argv, as_root=is_root(), opens_browser=opens_browser))


def command(
    argv: Sequence[str] = (),
    *,
    folder: Path = FOLDER,
    as_root: bool,
    opens_browser: bool,
) -> list[str]:
    """Return the command line that serves the course.

    Args:
        argv: Further arguments for ``jupyter lab``; where they repeat one of ours, the
            later one counts.
        folder: The course folder.
        as_root: Whether this user is root, whom JupyterLab refuses unless told.
        opens_browser: Whether JupyterLab shall open a browser.

    Returns:
        The program and its arguments.

    Example:
        >>> line = command(["--port=9999"], as_root=True, opens_browser=False)
        >>> line[1:3], line[-3:]
        (['-m', 'jupyterlab'], ['--allow-root', '--no-browser', '--port=9999'])
    """
    flags = ["--allow-root"] if as_root else []
    flags += [] if opens_browser else ["--no-browser"]
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={folder}",
        f"--LabApp.default_url={START_PAGE}",
        "--ServerApp.contents_manager_class=course.desk.contents.Contents",
        # The tabs of other projects must not open here, nor ours there.
        f"--LabApp.workspaces_dir={folder / '.jupyter' / 'workspaces'}",
        "--log-level=WARN",
        *flags,
        *argv,
    ]


def environment(folder: Path = FOLDER) -> dict[str, str]:
    """Return the environment JupyterLab and its kernels are started in.

    Args:
        folder: The course folder.

    Returns:
        This process's variables, with the course's.
    """
    ours = str(folder / ".jupyter")
    theirs = os.environ.get("JUPYTER_CONFIG_PATH")
    paths = os.pathsep.join([ours, theirs] if theirs else [ours])
    return {**os.environ, **variables(), "JUPYTER_CONFIG_PATH": paths}


def serve(line: Sequence[str], folder: Path = FOLDER) -> int:
    """Run a server in the course folder and wait for its end; keep the page current.

    nbgrader's buttons look for ``nbgrader_config.py`` where the server was started,
    so the working directory matters.

    Args:
        line: What ``command`` returned.
        folder: The course folder.

    Returns:
        The exit status of the server.
    """
    server = subprocess.Popen(line, cwd=folder, env=environment(folder))
    before = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    try:
        while True:
            try:
                return server.wait(REDRAWN_SECONDS)
            except subprocess.TimeoutExpired:
                _redraw(folder)
            except KeyboardInterrupt:
                # JupyterLab got the Ctrl-C too and asks whether to stop: wait for it.
                continue
    finally:
        signal.signal(signal.SIGTERM, before)
        _end(server)


def _redraw(folder: Path) -> None:
    """Write the start page anew; what cannot be drawn must not end JupyterLab."""
    try:
        write_page(folder)
    except Exception as error:  # a full disk, or a file nobody has thought of
        said = f"the start page stays as it was: {type(error).__name__}: {error}"
        if said not in _SAID:
            _SAID.add(said)
            print(said, file=sys.stderr)


def _end(server: subprocess.Popen) -> None:
    """Leave no JupyterLab behind, whatever has ended this command."""
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(LAST_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def is_root() -> bool:
    """Whether this user is root (never so on Windows).

    Returns:
        True for root.
    """
    return hasattr(os, "geteuid") and os.geteuid() == 0


def has_browser() -> bool:
    """Whether there is a browser that can show JupyterLab.

    Returns:
        False if there is none, or only one that runs in the terminal.
    """
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    return getattr(browser, "basename", browser.__class__.__name__) not in (
        _TEXT_BROWSERS
    )
