"""What a teacher calls: ``grade``, ``bake``."""

import argparse
import sys

from course import ROOT


def grade(options: argparse.Namespace) -> int:
    """Grade a folder of submissions."""
    from course.grading.grade import grade
    from course.grading.outcome import report

    # Quoted in the Makefile, so that no shell has looked at it.
    folder = options.submissions and options.submissions.expanduser()
    try:
        graded = grade(folder)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from there", file=sys.stderr)
        return 130  # as shells say it
    print(report(graded))
    return 1 if graded.failures else 0


def bake(options: argparse.Namespace) -> int:
    """Run chapters or projects and store their notebooks."""
    from course.building.bake import bake, bake_project, project_texts
    from course.building.syllabus import chapter, chapters

    texts = project_texts()
    for name in options.chapter or [c.id for c in chapters()] + list(texts):
        project = name in texts
        baked = bake_project(texts[name]) if project else bake(chapter(name))
        print(baked.relative_to(ROOT))
    return 0
