"""Commands of the course: ``python -m course lab`` and the others.

Everything ``make`` does is here too, for people without make.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

# Their own imports are inside them: the doctor must speak when packages are missing.
from course.commands import house, student, teacher

_MISSING = (
    "This Python does not have the course's packages ({package} is missing): use the "
    "one that has them, as in `.venv/bin/python -m course check 11`, or "
    "`make check CHAPTER=11`."
)
_Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The exit status: 0 for success.
    """
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.run not in (student.lab, house.test):
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

    def add(name: str, run: _Command, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=text, description=text, allow_abbrev=False
        )
        command.set_defaults(run=run)
        return command

    add("lab", student.lab, "open the course in JupyterLab")
    add(
        "work",
        student.work,
        "make the student's copies; existing ones stay as they are",
    )
    one = add("check", student.check, "say which exercises of your copy pass")
    one.add_argument("chapter", help="its number, 11, or an exercise of it, 11.3")
    many = add(
        "bake", teacher.bake, "run chapters or projects and store their notebooks"
    )
    many.add_argument("chapter", nargs="*", help="numbers or names; none means all")
    handed_in = add("grade", teacher.grade, "grade a folder of submissions")
    handed_in.add_argument(
        "submissions", nargs="?", type=Path, help="default: submitted"
    )
    add("doctor", student.doctor, "check this installation and say what to do about it")
    checked = add("test", house.test, "check all; further arguments go to pytest")
    checked.add_argument("--chapter", metavar="NN", help="check only this chapter")
    add("bench", house.bench, "run the benchmarks and store their results")
    add("site", house.site, "build the web site of the course")
    add("clean", house.clean, "remove what is generated; never a student's copies")
    return parser


if __name__ == "__main__":
    sys.exit(main())
