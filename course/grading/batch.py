"""One run over a folder of submissions, each for itself, whatever one of them does."""

import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from traitlets.config import Config

from course.building.interrupt import stopped_by_ctrl_c
from course.building.reading import Unreadable
from course.building.release import GradingError, demand, nbgrader_config
from course.building.syllabus import Chapter
from course.grading.gradebook import (
    has_points,
    impossible,
    opened,
    overtaken,
    write_table,
)
from course.grading.guard import Guard
from course.grading.limits import Limits
from course.grading.outcome import LOG, Graded, explain
from course.grading.rebuild import rebuild
from course.grading.sandbox import solutions
from course.grading.stamps import Stamps
from course.grading.submissions import Submission

if TYPE_CHECKING:  # nbgrader takes a second to load
    from course.grading.execution import Execution

TEMPLATE = Path(__file__).with_name("feedback.html.j2")
_ENDED = (
    "the last grading ended while it ran, so it was not run again: look at its code; "
    "to run it once more, delete {}"
)
_DATA = "source release submitted autograded feedback gradebook.db grades.csv"
_Key = tuple[str, str]


@dataclass
class Batch:
    """One run over a folder of submissions, and what has come of it so far."""

    root: Path
    folder: Path
    stage: Path
    limits: Limits
    confined: bool
    failures: dict[_Key, str] = field(default_factory=dict)
    look_again: list[str] = field(default_factory=list)
    without_feedback: dict[_Key, str] = field(default_factory=dict)
    unchanged: int = 0
    _broken: dict[str, str] = field(default_factory=dict)
    _refused: set[_Key] = field(default_factory=set)
    _execution: "Execution | None" = None

    @cached_property
    def config(self) -> Config:
        """nbgrader's, for what is staged here."""
        config = nbgrader_config(self.root)
        config.CourseDirectory.submitted_directory = str(self.stage / "submitted")
        config.HTMLExporter.template_file = str(TEMPLATE)
        self.limits.apply(config)
        return config

    @cached_property
    def stamps(self) -> Stamps:
        """What earlier gradings have left."""
        return Stamps(self.root / "autograded", self.limits)

    def execution(self, found: list[Submission]) -> "Execution":
        """What runs submissions, made when the first has to be run."""
        if self._execution is None:
            from course.grading.execution import Execution

            files = [s.path for s in found if s.path.is_file()]
            files += [s.chapter.source for s in found]
            (self.stage / "kept").mkdir()
            guard = Guard(files, self.root / "gradebook.db", self.stage / "kept")
            hidden = [self.root / name for name in _DATA.split()] + [self.folder]
            self._execution = Execution(
                self.config, guard, [*solutions(), *hidden], confined=self.confined
            )
        return self._execution

    def release(self, chapters: list[Chapter]) -> None:
        """Put the chapters into the gradebook, also those whose tests have changed."""
        for chapter in chapters:
            try:
                self._release(chapter)
            except GradingError as error:
                if "submissions associated" not in str(error):
                    self._broken[chapter.slug] = str(error)
                    continue
                self.look_again += rebuild(
                    self.config, self.root, chapter, lambda c=chapter: self._release(c)
                )

    def _release(self, chapter: Chapter) -> None:
        from course.building import nbgrading

        released = nbgrading.release(self.config, chapter.slug)
        demand(released, f"release {chapter.slug}")

    def run(self, submission: Submission, found: list[Submission]) -> None:
        """Run one submission, unless it has been; whatever happens, the next can."""
        key = submission.student, submission.chapter.slug
        if self._is_graded(submission):
            self.unchanged += 1
        elif submission.chapter.slug in self._broken:
            said = explain(self._broken[submission.chapter.slug], self.limits)
            self.failures[key] = f"its chapter cannot be released: {said}"
        elif self.stamps.is_suspect(submission):
            self.failures[key] = _ENDED.format(self.stamps.path)
            self.look_again.append(f"{', '.join(key)}: it may have ended a grading")
        else:
            try:
                with stopped_by_ctrl_c():
                    self._autograde(submission, found)
            except Unreadable as error:
                self._fail(submission, str(error))
            except Exception as error:  # the others are to be graded
                self._fail(submission, explain(str(error), self.limits), str(error))

    def _autograde(self, submission: Submission, found: list[Submission]) -> None:
        from course.building import nbgrading
        from course.grading.execution import Execute

        self._stage(submission)
        student, slug = submission.student, submission.chapter.slug
        execution = self.execution(found)
        step = nbgrading.autograde_steps(self.config)
        steps = [execution if kind is Execute else kind for kind in step]
        self.stamps.begin(submission)
        try:
            graded = nbgrading.autograde(
                self.config, slug, student, autograde_preprocessors=steps
            )
        finally:
            self.stamps.end()
        if execution.tampered:
            self.look_again.append(f"{student}, {slug}: {execution.tampered}")
            self._refused.add((student, slug))  # also the points of an earlier grading
            raise Unreadable(execution.tampered)
        demand(graded, f"grade {slug} of {student}")
        self.stamps.keep(submission)

    def _stage(self, submission: Submission) -> None:
        """Copy what a student handed in, as far as it counts."""
        notebook = submission.read()
        folder = self.stage / "submitted" / submission.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / submission.chapter.source.name)
        for path in submission.companions():
            target = folder / path.relative_to(submission.path.parent)
            if target.name == "timestamp.txt" and not _is_time(path):
                who = f"{submission.student}, {submission.chapter.slug}"
                self.look_again.append(
                    f"{who}: timestamp.txt holds no time, so nothing counts as late"
                )
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def _fail(self, submission: Submission, why: str, log: str = "") -> None:
        """Note why, and store what nbgrader said in place of earlier results."""
        self.failures[submission.student, submission.chapter.slug] = why
        self.stamps.drop(submission)
        shutil.rmtree(self.root / "autograded" / submission.name, ignore_errors=True)
        folder = self.root / "feedback" / submission.name
        shutil.rmtree(folder, ignore_errors=True)
        if log:
            folder.mkdir(parents=True)
            (folder / LOG).write_text(log + "\n", encoding="utf-8", errors="replace")

    def _is_graded(self, submission: Submission) -> bool:
        if not self.stamps.holds(submission):
            return False
        with opened(self.config) as gradebook:
            return has_points(gradebook, submission.student, submission.chapter)

    def write_feedback(self, submission: Submission) -> None:
        """Write a page for a submission that is graded, or say why there is none."""
        from course.building import nbgrading

        key = submission.student, submission.chapter.slug
        if key in self.failures:
            return
        if not self.stamps.holds(submission):
            self._fail(submission, "its graded copy was changed after it was graded")
            return
        with stopped_by_ctrl_c():
            written = nbgrading.feedback(self.config, key[1], key[0])
        if not written["success"]:
            said = "\n".join(filter(None, (written.get("log"), written.get("error"))))
            self.without_feedback[key] = explain(said, self.limits)

    def result(self, submissions: int) -> Graded:
        """Write the table, and tell what has come of it all."""
        with opened(self.config) as gradebook:
            refused = impossible(gradebook)
            without = {*refused, *self._refused}
            table = write_table(gradebook, self.root / "grades.csv", without)
            self.look_again += overtaken(gradebook)
        self.look_again += [f"{', '.join(k)}: {why}" for k, why in refused.items()]
        return Graded(
            gradebook=self.root / "gradebook.db",
            csv=table,
            feedback=self.root / "feedback",
            submissions=submissions,
            failures=self.failures,
            unchanged=self.unchanged,
            look_again=tuple(self.look_again),
            without_feedback=self.without_feedback,
            confined=self.confined,
        )


def _is_time(path: Path) -> bool:
    from nbgrader.utils import parse_utc

    try:
        text = path.read_text().strip()
        return not text or parse_utc(text) is not None
    except (ValueError, OverflowError):
        return False
