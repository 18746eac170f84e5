"""Grade a folder of submissions: nbgrader's gradebook, a CSV and HTML feedback.

Grading executes what students wrote, with the rights of who runs it: use a machine
or a user account that may be thrown away.
"""

import contextlib
import re
import shutil
import signal
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.exc import SAWarning
from tqdm.auto import tqdm
from traitlets.config import Config

from course.building.environment import environment
from course.building.release import GradingError, demand, nbgrader_config
from course.building.syllabus import FOLDER, Chapter
from course.grading.gradebook import has_points, opened, overtaken, write_table
from course.grading.limits import DEFAULTS, WARNING, Limits, can_limit_memory
from course.grading.stamps import Stamps
from course.grading.submissions import astray, submissions

if TYPE_CHECKING:  # nbgrader takes a second to load
    from nbgrader.apps import NbGraderAPI

_CAUSES = {
    "NotJSONError": "the file is no notebook",
    "DeadKernelError": (
        "its kernel died: the code ended the process, or had no memory left of the "
        "{gigabytes:g} GB a submission may use"
    ),
    "CellTimeoutError": (
        "a cell did not end within {seconds} s and could not be stopped"
    ),
}
"""What the exceptions that end a grading mean to a teacher."""

LOG = "error.txt"
TEMPLATE = Path(__file__).with_name("feedback.html.j2")
_RAISED = re.compile(r"^ +(?:\w+\.)*(\w+(?:Error|Exception)): (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Graded:
    """Where the results of a grading lie, and which submissions failed, and why.

    ``failures`` is by student and chapter, or by student and notebook if that lies
    where no submission is expected. ``unchanged`` counts those graded earlier,
    ``overruled`` tells of points that a teacher has entered and that are fewer than the
    tests give now.
    """

    gradebook: Path
    csv: Path
    feedback: Path
    submissions: int
    failures: dict[tuple[str, str], str]
    unchanged: int = 0
    overruled: tuple[str, ...] = ()


def grade(
    folder: Path | None = None,
    *,
    root: Path = FOLDER,
    limits: Limits = DEFAULTS,
    progress: bool = True,
) -> Graded:
    """Autograde every submission in a folder and write gradebook, CSV and feedback.

    A submission is ``<folder>/<student>/<chapter>/<chapter>.ipynb``, for example
    ``submitted/ada/11_ista/11_ista.ipynb``; it is read and never written. One that
    cannot be graded is told in the result and costs nobody else, and so is any other
    notebook in the folder. Grading again, also after an interruption, runs those
    submissions only that are new or have changed, or whose chapter or limits have; it
    keeps what a teacher has entered, points of their own and comments, and writes all
    feedback and the CSV anew.

    Args:
        folder: The folder; by default ``submitted`` in the course folder.
        root: The course folder, where ``gradebook.db``, ``grades.csv``,
            ``autograded/`` and ``feedback/`` are written.
        limits: What one submission may use. A cell that exceeds them gives no points,
            and the feedback says so.
        progress: Whether to show a progress bar.

    Returns:
        Where everything is.

    Raises:
        FileNotFoundError: If there is no such folder, or no submission in it; with
            what to do about the notebooks that are there.
        GradingError: If a chapter cannot be released.
    """
    from nbgrader.apps import NbGraderAPI

    folder = (folder or root / "submitted").resolve()
    found = list(submissions(folder, root))
    others = astray(folder, root)
    if not found:
        expected = (
            f"no submission in {folder}: expected <student>/<chapter>/"
            "<chapter>.ipynb, for example ada/11_ista/11_ista.ipynb"
        )
        raise FileNotFoundError("\n".join([expected, *_not_graded(others)]))
    config = _config(root, folder)
    limits.apply(config)
    api = NbGraderAPI(config=config)
    stamps = Stamps(root / "autograded", folder, limits)
    failures, unchanged = dict(others), 0
    with environment(), warnings.catch_warnings():
        # nbgrader's own queries warn about the order in which they add rows.
        warnings.filterwarnings("ignore", category=SAWarning)
        for chapter in dict.fromkeys(chapter for _, chapter in found):
            demand(api.generate_assignment(chapter.slug), f"release {chapter.slug}")
        bar = tqdm(found, desc="grading", unit="notebook", disable=not progress)
        for student, chapter in bar:
            try:
                with _stopped_by_ctrl_c():
                    if _is_graded(config, student, chapter, stamps):
                        unchanged += 1
                    else:
                        _autograde(api, student, chapter, stamps)
                    _write_feedback(api, student, chapter)
            except GradingError as error:
                failures[student, chapter.slug] = _explain(error, limits)
                _keep_log(str(error), root / "feedback" / student / chapter.slug)
        with opened(config) as gradebook:
            table = write_table(gradebook, root / "grades.csv")
            overruled = overtaken(gradebook)
    return Graded(
        gradebook=root / "gradebook.db",
        csv=table,
        feedback=root / "feedback",
        submissions=len(found) + len(others),
        failures=failures,
        unchanged=unchanged,
        overruled=overruled,
    )


def report(graded: Graded) -> str:
    """Write the result of a grading as the lines a teacher reads.

    Args:
        graded: What ``grade`` returned.

    Returns:
        Text of several lines.
    """
    done = graded.submissions - len(graded.failures)
    already = f", {graded.unchanged} of them earlier" if graded.unchanged else ""
    lines = [
        f"{done} of {graded.submissions} submissions graded{already}",
        f"  gradebook  {graded.gradebook}",
        f"  table      {graded.csv}",
        f"  feedback   {graded.feedback}/<student>/<chapter>/",
    ]
    lines += _not_graded(graded.failures)
    if any((graded.feedback / Path(*f) / LOG).exists() for f in graded.failures):
        lines.append(
            "  What nbgrader said of a submission is in its feedback, error.txt."
        )
    lines += [f"  LOOK AGAIN {text}" for text in graded.overruled]
    if not can_limit_memory():
        lines.append(WARNING)
    return "\n".join(lines)


def _not_graded(failures: dict[tuple[str, str], str]) -> list[str]:
    return [
        f"  NOT GRADED {who}, {what}: {why}" for (who, what), why in failures.items()
    ]


def _config(root: Path, submissions: Path) -> Config:
    config = nbgrader_config(root)
    config.CourseDirectory.submitted_directory = str(submissions)
    config.HTMLExporter.template_file = str(TEMPLATE)
    return config


@contextlib.contextmanager
def _stopped_by_ctrl_c() -> Iterator[None]:
    """Raise an interrupt that nbgrader has swallowed: it takes it for a fault."""
    pressed = []

    def press(*event: object) -> None:
        pressed.append(event)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        yield
    except GradingError:
        if not pressed:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _is_graded(config: Config, student: str, chapter: Chapter, stamps: Stamps) -> bool:
    if not stamps.holds(student, chapter):
        return False
    with opened(config) as gradebook:
        return has_points(gradebook, student, chapter)


def _autograde(
    api: "NbGraderAPI", student: str, chapter: Chapter, stamps: Stamps
) -> None:
    stamps.drop(student, chapter)
    graded = api.autograde(chapter.slug, student, force=True, create=True)
    demand(graded, f"grade {chapter.slug} of {student}")
    stamps.keep(student, chapter)


def _write_feedback(api: "NbGraderAPI", student: str, chapter: Chapter) -> None:
    feedback = api.generate_feedback(chapter.slug, student, force=True)
    demand(feedback, f"write feedback on {chapter.slug} for {student}")


def _explain(error: GradingError, limits: Limits) -> str:
    """The cause of a failure in one line, read off what nbgrader printed."""
    raised = _RAISED.findall(str(error))
    if not raised:
        return str(error).splitlines()[-1].strip()
    kind, text = raised[-1]
    cause = _CAUSES.get(kind, f"{kind}: {text}")
    return cause.format(seconds=limits.seconds, gigabytes=limits.gigabytes)


def _keep_log(text: str, folder: Path) -> None:
    """Store what nbgrader said in place of the feedback of an earlier grading."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / LOG).write_text(text + "\n")
