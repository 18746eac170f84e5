"""Commands of the course: ``python -m course lab`` and the others.

Everything ``make`` does is here too, for people without make.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Nothing else is imported up here: the doctor must speak when packages are missing.
FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parent
# Two workers, a file to whichever is free, in pytest's order: the browser, by far the
# longest, comes first, and the chapters, a minute each, last. So both end together.
GATE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")

_MISSING = (
    "This Python does not have the course's packages ({package} is missing): use the "
    "one that has them, as in `.venv/bin/python -m course check 11`, or "
    "`make check CHAPTER=11`."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The exit status: 0 for success.
    """
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.run not in (_lab, _test):
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    try:
        return options.run(options)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("course"):
            raise
        print(_MISSING.format(package=error.name), file=sys.stderr)
        return 1
    except (ValueError, FileExistsError, FileNotFoundError, RuntimeError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m course", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    add("lab", _lab, "open the course in JupyterLab")
    add("work", _work, "make the student's copies; existing ones stay as they are")
    one = add("check", _check, "say which exercises of your copy pass")
    one.add_argument("chapter", help="its number, for example 11")
    many = add("bake", _bake, "run chapters or projects and store their notebooks")
    many.add_argument("chapter", nargs="*", help="numbers or names; none means all")
    teacher = add("grade", _grade, "grade a folder of submissions")
    teacher.add_argument("submissions", nargs="?", type=Path, help="default: submitted")
    add("doctor", _doctor, "check this installation and say what to do about it")
    add("test", _test, "check everything; further arguments go to pytest")
    add("bench", _bench, "run the benchmarks and store their results")
    add("site", _site, "build the web site of the course")
    add("clean", _clean, "remove what is generated; never a student's copies")
    return parser


def _lab(options: argparse.Namespace) -> int:
    from course.lab import lab

    return lab(options.rest)


def _work(options: argparse.Namespace) -> int:
    from course.progress import write_page
    from course.release import prepare_work

    print("\n".join(prepare_work()))
    print(f"where you stand: {write_page().relative_to(ROOT)}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from course.check import check, report
    from course.progress import record, write_page
    from course.syllabus import chapter

    chosen = chapter(options.chapter)
    verdicts = check(chosen)
    print(report(chosen, verdicts))
    record(chosen, [v.exercise.id for v in verdicts if v.state == "passes"])
    write_page()
    return 0 if all(v.state == "passes" for v in verdicts) else 1


def _bake(options: argparse.Namespace) -> int:
    from course.bake import bake, bake_project, project_texts
    from course.syllabus import chapter, chapters

    texts = project_texts()
    for name in options.chapter or [c.id for c in chapters()] + list(texts):
        project = name in texts
        baked = bake_project(texts[name]) if project else bake(chapter(name))
        print(baked.relative_to(ROOT))
    return 0


def _grade(options: argparse.Namespace) -> int:
    from course.grade import grade, report

    # Quoted in the Makefile, so that no shell has looked at it.
    folder = options.submissions and options.submissions.expanduser()
    try:
        graded = grade(folder)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from there", file=sys.stderr)
        return 130  # as shells say it
    print(report(graded))
    return 1 if graded.failures else 0


def _doctor(options: argparse.Namespace) -> int:
    from course.doctor import doctor

    return doctor()


def _test(options: argparse.Namespace) -> int:
    return _python("-m", "pytest", *(options.rest or GATE))


def _bench(options: argparse.Namespace) -> int:
    from course.environment import environment

    scripts = sorted((ROOT / "tests" / "benchmarks").glob("*.py"))
    scripts.sort(key=lambda script: script.stem == "tables")  # from all the others
    with environment():
        for script in scripts:
            if '__name__ == "__main__"' in script.read_text():
                print(f"== {script.stem}", flush=True)
                if status := _python(str(script)):
                    return status
    return 0


def _site(options: argparse.Namespace) -> int:
    site = FOLDER / "site"
    pages = site / "_build" / "html"
    return _python("-m", "sphinx", "-W", "-q", str(site), str(pages))


def _clean(options: argparse.Namespace) -> int:
    for name in ("release", "autograded", "feedback", "site/_build"):
        shutil.rmtree(FOLDER / name, ignore_errors=True)
    for name in (".pytest_cache", ".ruff_cache", ".hypothesis", "tests/artefacts"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    return 0


def _python(*arguments: str) -> int:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
