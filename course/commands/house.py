"""What keeps the house: ``test``, ``bench``, ``site``, ``clean``."""

import argparse
import shutil
import subprocess
import sys

from course import FOLDER, ROOT

# Two workers, a file to whichever is free, in pytest's order: the browser, by far the
# longest, comes first, and the chapters, a minute each, last. So both end together.
GATE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


def test(options: argparse.Namespace) -> int:
    """Check everything; further arguments go to pytest."""
    return _python("-m", "pytest", *(options.rest or GATE))


def bench(options: argparse.Namespace) -> int:
    """Run the benchmarks and store their results."""
    from course.building.environment import environment

    folder = ROOT / "tests" / "benchmarks"
    scripts = [*sorted(folder.glob("*/*.py")), folder / "tables.py"]
    with environment():
        for script in scripts:
            if '__name__ == "__main__"' in script.read_text():
                name = ".".join(script.relative_to(ROOT).with_suffix("").parts)
                print(f"== {name}", flush=True)
                if status := _python("-m", name):
                    return status
    return 0


def site(options: argparse.Namespace) -> int:
    """Build the web site."""
    site = FOLDER / "site"
    pages = site / "_build" / "html"
    return _python("-m", "sphinx", "-W", "-q", str(site), str(pages))


def clean(options: argparse.Namespace) -> int:
    """Remove what is generated."""
    for name in ("release", "autograded", "feedback", "site/_build"):
        shutil.rmtree(FOLDER / name, ignore_errors=True)
    for name in (".pytest_cache", ".ruff_cache", ".hypothesis", "tests/artefacts"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    return 0


def _python(*arguments: str) -> int:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT).returncode
