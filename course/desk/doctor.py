"""``python -m course doctor``: what is wrong with this installation, and the cure.

Every check is a function that returns one finding. Whatever a check needs beyond the
standard library is imported inside it, so that the doctor can still speak when
packages are missing.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from course import FOLDER, PROJECT, ROOT
from course.desk.installed import missing, other_versions, outside_ranges

OLDEST_PYTHON = (3, 11)
INSTALL = (
    'in the repository, `python -m pip install -c constraints.txt -e ".[course,test]"` '
    "with this Python"
)
BROWSER_CURE = (
    "install one (on Debian and Ubuntu `apt-get install chromium`) or name its "
    "program in BROWSER_EXECUTABLE"
)

REINSTALL = (
    "`python -m pip install --force-reinstall --no-deps -c constraints.txt nbgrader` "
    "with this Python"
)

_GIGABYTE = 1024**3
_VALIDATE = "nbgrader.server_extensions.validate_assignment"
_BUTTON = "@jupyter/nbgrader"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_BROWSER_FILES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis: ``level`` is ``ok``, ``warning`` or ``problem``."""

    level: str
    what: str
    cure: str = ""

    def __str__(self) -> str:
        return f"{self.level:<9}{self.what}" + (f": {self.cure}" if self.cure else "")


def doctor() -> int:
    """Print the findings, one per line.

    Returns:
        1 if there is a problem, else 0; warnings do not count.
    """
    levels = []
    for finding in diagnose():
        print(finding, flush=True)
        levels.append(finding.level)
    return 1 if "problem" in levels else 0


def diagnose() -> Iterator[Finding]:
    """Run every check.

    Yields:
        One finding per check; a check that lacks a package is itself a problem.
    """
    for check in CHECKS:
        try:
            yield check()
        except ImportError as error:  # also when a distribution is not installed
            yield Finding("problem", f"{error} (in {check.__name__})", INSTALL)


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Python is recent enough."""
    text = "Python " + ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        return Finding("problem", f"{text} is too old", f"install Python {needed}")
    return Finding("ok", f"{text} at {sys.executable}")


def check_project() -> Finding:
    """A kernel that starts in another folder imports the packages of this one."""
    question = "import importlib.util as u; print(u.find_spec('unroll').origin)"
    line = [sys.executable, "-c", question]
    elsewhere = tempfile.gettempdir()
    asked = subprocess.run(line, cwd=elsewhere, capture_output=True, text=True)
    if asked.returncode:
        return Finding("problem", f"{PROJECT} is not installed", INSTALL)
    found = Path(asked.stdout.strip()).resolve().parent.parent
    if found != ROOT:
        text = f"notebooks import the packages of {found}, not of {ROOT}"
        return Finding("problem", text, INSTALL)
    return Finding("ok", f"{PROJECT} {metadata.version(PROJECT)} from {ROOT}")


def check_packages() -> Finding:
    """Everything is installed that the course needs."""
    names = missing(PROJECT, "course")
    if names:
        return Finding("problem", f"missing packages: {', '.join(names)}", INSTALL)
    return Finding("ok", "all packages are installed that the course needs")


def check_test_packages() -> Finding:
    """Everything is installed that ``make test`` needs; students can do without."""
    names = missing(PROJECT, "test")
    if names:
        text = f"missing packages, for `make test` only: {', '.join(names)}"
        return Finding("warning", text, INSTALL)
    return Finding("ok", "all packages are installed that the tests need")


def check_ranges() -> Finding:
    """No package is older or newer than the course can do with."""
    found = outside_ranges(PROJECT, "course")
    if found:
        return Finding("problem", "; ".join(found), INSTALL)
    return Finding("ok", "no package is too old or too new")


def check_versions(constraints: Path = ROOT / "constraints.txt") -> Finding:
    """Packages have the versions that the stored outputs were made with."""
    if not constraints.exists():
        cure = "run this from a clone of the repository"
        return Finding("warning", f"there is no {constraints}", cure)
    pairs = other_versions(constraints)
    if pairs:
        other = ", ".join(
            f"{n} {have} (not {want})" for n, (have, want) in pairs.items()
        )
        text = f"last digits may differ, by other versions than in {constraints.name}: "
        return Finding("warning", text + other, INSTALL)
    return Finding("ok", f"all packages have the versions of {constraints.name}")


def check_torch() -> Finding:
    """PyTorch works, and on what."""
    try:
        import torch
    except OSError as error:  # a library of the system is missing
        return Finding("problem", f"torch does not load ({error})", INSTALL)

    devices = [f"CPU ({torch.backends.cpu.get_cpu_capability()})"]
    if torch.cuda.is_available():
        devices.append(f"CUDA ({torch.cuda.get_device_name()})")
    if torch.backends.mps.is_available():
        devices.append("MPS")
    threads = f"{torch.get_num_threads()} threads (the course takes one)"
    what = f"torch {torch.__version__} on {', '.join(devices)}, {threads}"
    return Finding("ok", what)


def check_kernel() -> Finding:
    """The kernel ``python3`` of the notebooks is this Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    cure = "`python -m ipykernel install --sys-prefix` with this Python"
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Finding("problem", "Jupyter has no kernel python3", cure)
    program = spec.argv[0]
    # Jupyter takes a bare name for the Python it runs on itself.
    own = {"python", "python3", f"python3.{sys.version_info[1]}"}
    # Not resolved: a virtual environment's python links to the one it came from.
    if program in own or _absolute(program).parent == _absolute(sys.executable).parent:
        return Finding("ok", "notebooks run on this Python (kernel python3)")
    text = f"notebooks run on {program}, by the kernel in {spec.resource_dir}"
    return Finding("problem", text, f"remove that kernel, then {cure}")


def check_nbgrader() -> Finding:
    """The Validate button is there, and what it calls on the server."""
    from jupyter_core.paths import jupyter_config_dir, jupyter_config_path, jupyter_path
    from jupyter_server.extension.config import ExtensionConfigManager
    from jupyterlab_server.config import get_federated_extensions, get_page_config

    server = ExtensionConfigManager(read_config_path=jupyter_config_path())
    folders = jupyter_path("labextensions")
    enabled = server.get_jpserver_extensions()
    if not enabled.get(_VALIDATE, True):
        cure = f"delete its line in the jupyter_server_config of {jupyter_config_dir()}"
        return Finding("problem", f"the server extension {_VALIDATE} is off", cure)
    for name, found in (
        (_VALIDATE, enabled),
        (_BUTTON, get_federated_extensions(folders)),
    ):
        if name not in found:
            return Finding("problem", f"the extension {name} is missing", REINSTALL)
    disabled = get_page_config(folders).get("disabledExtensions", [])
    off = [name for name in disabled if name.startswith(_BUTTON)]
    if off:
        cure = f"`python -m jupyter labextension enable {off[0]}` with this Python"
        return Finding("problem", f"the extension {off[0]} is disabled", cure)
    return Finding("ok", "nbgrader's Validate button is enabled")


def check_disk(free: int | None = None) -> Finding:
    """There is room for notebooks and for what grading writes; ``free`` is in bytes."""
    free = shutil.disk_usage(FOLDER).free if free is None else free
    text = f"{free / _GIGABYTE:.1f} GB of disk space are free"
    if free < 2 * _GIGABYTE:
        level = "problem" if free < _GIGABYTE / 2 else "warning"
        return Finding(level, text, "make room: 2 GB are enough")
    return Finding("ok", text)


def check_work(folder: Path = FOLDER) -> Finding:
    """The student has a readable copy of every chapter."""
    from course.building.syllabus import chapters

    copies = [chapter.work for chapter in chapters(folder)]
    missing = [copy.name for copy in copies if not copy.exists()]
    if missing:
        text = f"no copy yet of {', '.join(missing)}"
        return Finding("warning", text, "`make lab` makes them")
    broken = [copy for copy in copies if not _is_notebook(copy)]
    if broken:
        cure = "rename it, then `make lab` makes a new one"
        return Finding("problem", f"{broken[0]} is no notebook any more", cure)
    return Finding("ok", f"{len(copies)} chapters to work on in {folder / 'work'}")


def check_make() -> Finding:
    """``make`` is there; one can do without."""
    if shutil.which("make"):
        return Finding("ok", "make is there")
    return Finding("warning", "no make", "write `python -m course` instead of `make`")


def check_browser() -> Finding:
    """A browser that the browser tests can drive; only they need one."""
    found = find_browser()
    if found:
        return Finding("ok", f"browser tests can drive {found}")
    return Finding("warning", "no Chromium or Chrome for browser tests", BROWSER_CURE)


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_project,
    check_packages,
    check_test_packages,
    check_ranges,
    check_versions,
    check_torch,
    check_kernel,
    check_nbgrader,
    check_disk,
    check_work,
    check_make,
    check_browser,
)


def find_browser(environment: Mapping[str, str] = os.environ) -> str | None:
    """Find a Chromium or Chrome.

    Args:
        environment: Where ``BROWSER_EXECUTABLE`` may name one.

    Returns:
        Its program, or None.
    """
    named = environment.get("BROWSER_EXECUTABLE")
    if named:
        return shutil.which(named)
    programs = (shutil.which(name) for name in (*_BROWSERS, *_BROWSER_FILES))
    return next(filter(None, programs), None)


def _absolute(program: str) -> Path:
    return Path(shutil.which(program) or program).absolute()


def _is_notebook(path: Path) -> bool:
    from course.building.reading import Unreadable, read

    try:
        read(path)
    except Unreadable:
        return False
    return True
