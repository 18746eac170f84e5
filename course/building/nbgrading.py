"""nbgrader's steps, for exactly one notebook, wherever it lies.

nbgrader finds folders by patterns, so that ``( + [ { ^ $ |`` in a path, or brackets and
outer spaces in a name, find nothing. These are its own steps with the paths taken as
they are.
"""

import os
import re
from typing import Any

from nbgrader.apps import NbGraderAPI
from nbgrader.converters import Autograde, GenerateAssignment, GenerateFeedback
from nbgrader.converters.base import BaseConverter, NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import capture_log
from traitlets import validate
from traitlets.config import Config


class Folders(CourseDirectory):
    """nbgrader's folders; a name may begin or end with a space."""

    @validate("student_id")
    def _validate_student_id(self, proposal: dict) -> str:
        return proposal["value"]


class _Exact(BaseConverter):
    """What one step is done to: one notebook, whose path is no pattern."""

    def init_notebooks(self) -> None:
        name, student = self.coursedir.assignment_id, self.coursedir.student_id
        folder = self._format_source(name, student)
        notebook = os.path.join(folder, f"{name}.ipynb")
        if not os.path.isfile(notebook):
            raise NbGraderException(f"there is no {notebook}")
        self.assignments = {folder: [notebook]}
        self.notebooks = []

    def init_single_notebook_resources(self, notebook_filename: str) -> dict[str, Any]:
        name, student = self.coursedir.assignment_id, self.coursedir.student_id
        return {
            "unique_key": name,
            "output_files_dir": f"{name}_files",
            "nbgrader": {
                "student": student,
                "assignment": name,
                "notebook": name,
                "db_url": self.coursedir.db_url,
            },
        }

    def _format_source(
        self, assignment_id: str, student_id: str, escape: bool = False
    ) -> str:
        if not escape:
            return super()._format_source(assignment_id, student_id)
        # Both are patterns then, and the rest of the path is none.
        path = super()._format_source("\0assignment", "\0student")
        for name, pattern in (("assignment", assignment_id), ("student", student_id)):
            path = path.replace(f"\0{name}", f"\1{pattern}\1")
        literal = (
            part if number % 2 else re.escape(part)
            for number, part in enumerate(path.split("\1"))
        )
        return "(?s)" + "".join(literal)


class _Release(_Exact, GenerateAssignment):
    """The chapter without solutions."""


class _Grade(_Exact, Autograde):
    """The points of a submission."""


class _Feedback(_Exact, GenerateFeedback):
    """The page that a student gets back."""


def release(config: Config, assignment: str, **settings: Any) -> dict:
    """Make the release version of an assignment.

    Args:
        config: nbgrader's configuration.
        assignment: The assignment.
        settings: Attributes of the step, such as ``no_database``.

    Returns:
        ``success``, and what nbgrader said in ``log`` and ``error``.
    """
    return _run(_Release, config, assignment, ".", force=True, **settings)


def autograde(config: Config, assignment: str, student: str, **settings: Any) -> dict:
    """Run one submission and store its points in the gradebook.

    Args:
        config: nbgrader's configuration.
        assignment: The assignment.
        student: The student.
        settings: Attributes of the step, such as ``autograde_preprocessors``.

    Returns:
        ``success``, and what nbgrader said in ``log`` and ``error``.
    """
    return _run(_Grade, config, assignment, student, force=True, **settings)


def autograde_steps(config: Config) -> list[type]:
    """Return what ``autograde`` does to a submission that is in order, step by step.

    Args:
        config: nbgrader's configuration.

    Returns:
        nbgrader's preprocessors.
    """
    return list(Autograde(config=config).autograde_preprocessors)


def feedback(config: Config, assignment: str, student: str) -> dict:
    """Write the feedback on one graded submission.

    Args:
        config: nbgrader's configuration.
        assignment: The assignment.
        student: The student.

    Returns:
        ``success``, and what nbgrader said in ``log`` and ``error``.
    """
    config = Config(config)
    config.HTMLExporter.template_name = "feedback"
    return _run(_Feedback, config, assignment, student, force=True)


def _run(
    step: type[_Exact], config: Config, assignment: str, student: str, **settings: Any
) -> dict:
    folders = Folders(config=config)
    folders.assignment_id, folders.student_id = assignment, student
    api = NbGraderAPI(coursedir=folders, config=config)
    app = step(coursedir=folders, parent=api)
    for name, value in settings.items():
        setattr(app, name, value)
    return capture_log(app)
