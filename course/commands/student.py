"""What a student calls: ``lab``, ``work``, ``check``, ``doctor``."""

import argparse
import sys

from course import ROOT


def lab(options: argparse.Namespace) -> int:
    """Open JupyterLab; further arguments go to it."""
    from course.desk.lab import lab

    return lab(options.rest)


def work(options: argparse.Namespace) -> int:
    """Make the student's copies and the start page."""
    from course.building.release import prepare_work
    from course.desk.start import write_page

    print("\n".join(prepare_work()))
    print(f"where you stand: {write_page().relative_to(ROOT)}")
    return 0


def check(options: argparse.Namespace) -> int:
    """Say which exercises of a student's copy pass, and keep what was said."""
    from course.building.syllabus import chapter
    from course.desk.check import check, report
    from course.desk.progress import record
    from course.desk.start import write_page

    name, _, exercise = options.chapter.partition(".")
    chosen = chapter(name)
    print(f"Running your copy of {options.chapter} afresh ...", flush=True)
    try:
        verdicts = check(chosen, only=exercise)
    except KeyboardInterrupt:
        print("\nstopped before the end: nothing is said of your copy", file=sys.stderr)
        return 130  # as shells say it
    print(report(chosen, verdicts))
    if not exercise:
        record(chosen, [v.exercise.id for v in verdicts if v.state == "passes"])
        write_page()
    return 0 if all(v.state == "passes" for v in verdicts) else 1


def doctor(options: argparse.Namespace) -> int:
    """Check this installation."""
    from course.desk.doctor import doctor

    return doctor()
