"""What keeps the house: ``test``, ``bench``, ``site``, ``clean``."""

import argparse
import contextlib
import shutil
import subprocess
import sys

from course import FOLDER, ROOT

# Two workers; whichever is free gets the next file or, of a file about every chapter,
# the next chapter (tests/gate). The chapters' own cells come last, a minute each, so
# that both end together.
GATE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


def test(options: argparse.Namespace) -> int:
    """Check everything, or one chapter; further arguments go to pytest."""
    import pytest

    arguments = list(options.rest or GATE)
    if options.chapter:
        from course.building.syllabus import chapter

        slug = chapter(options.chapter).slug
        arguments += ["--chapter", slug]
        if not options.rest:  # which may name files
            arguments += ["tests/course", "tests/browser", f"course/source/{slug}"]
    # In this process, so that Ctrl-C and SIGTERM reach pytest, which has servers and
    # kernels to end.
    with contextlib.chdir(ROOT):
        return int(pytest.main(arguments))


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
    caches = (".pytest_cache", ".ruff_cache", ".mypy_cache", ".hypothesis")
    for name in (*caches, "tests/artefacts"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    return 0


def _python(*arguments: str) -> int:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT).returncode
