"""Grade a folder of submissions: nbgrader's gradebook, a CSV and HTML feedback.

Grading executes what students wrote. ``course.grading.sandbox`` says what that may do.
"""

import tempfile
import warnings
from pathlib import Path

from sqlalchemy.exc import SAWarning
from tqdm.auto import tqdm

from course.building.environment import environment
from course.building.syllabus import FOLDER
from course.grading.batch import Batch
from course.grading.gradebook import demand_writable
from course.grading.limits import DEFAULTS, Limits
from course.grading.outcome import Graded, not_graded
from course.grading.rebuild import recover
from course.grading.sandbox import can_confine
from course.grading.submissions import submissions


def grade(
    folder: Path | None = None,
    *,
    root: Path = FOLDER,
    limits: Limits = DEFAULTS,
    progress: bool = True,
    confined: bool | None = None,
) -> Graded:
    """Autograde every submission in a folder and write gradebook, CSV and feedback.

    A submission is ``<folder>/<student>/<chapter>/<chapter>.ipynb``, for example
    ``submitted/ada/11_ista/11_ista.ipynb``, or a zip archive in the student's folder
    with the notebook in it; it is read and never written. One that cannot be graded is
    told in the result and costs nobody else, and so is any other file in the folder.
    Grading again, also after an interruption, runs those submissions only that are new
    or have changed, or whose chapter or limits have; it keeps what a teacher has
    entered, points of their own and comments, and writes all feedback and the CSV anew.

    Args:
        folder: The folder; by default ``submitted`` in the course folder.
        root: The course folder, where ``gradebook.db``, ``grades.csv``,
            ``autograded/`` and ``feedback/`` are written.
        limits: What one submission may use. A cell that exceeds them gives no points,
            and the feedback says so.
        progress: Whether to show a progress bar.
        confined: Whether each submission runs in a sandbox; by default where one works.

    Returns:
        Where everything is.

    Raises:
        FileNotFoundError: If there is no such folder, or no submission in it; with
            what to do about the files that are there.
        GradingError: If the gradebook cannot be written.
    """
    folder = (folder or root / "submitted").absolute()
    found, others = submissions(folder, root)
    if not found:
        expected = (
            f"no submission in {folder}: expected <student>/<chapter>/"
            "<chapter>.ipynb, for example ada/11_ista/11_ista.ipynb"
        )
        raise FileNotFoundError("\n".join([expected, *not_graded(others)]))
    confined = can_confine() if confined is None else confined
    recover(root)
    demand_writable(root / "gradebook.db")
    with (
        environment(),
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(prefix="grading-") as stage,
    ):
        # nbgrader's own queries warn about the order in which they add rows.
        warnings.filterwarnings("ignore", category=SAWarning)
        grading = Batch(root, folder, Path(stage), limits, confined)
        grading.failures |= others
        grading.release(list(dict.fromkeys(s.chapter for s in found)))
        bar = tqdm(found, desc="grading", unit="notebook", disable=not progress)
        for submission in bar:
            bar.set_postfix_str(submission.name)  # who it was, if it ends here
            grading.run(submission, found)
        for submission in found:
            grading.write_feedback(submission)
        return grading.result(len(found) + len(others))
