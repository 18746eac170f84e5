"""What is graded already, and what ended the last grading: the next goes on from there.

An entry is a digest of all that the points of a submission depend on.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from course.grading.guard import digest
from course.grading.limits import Limits
from course.grading.submissions import Submission

FILE = "stamps.json"
RUNNING = "running.json"


class Stamps:
    """Of each graded submission a digest of all that its points depend on.

    That is what the student handed in, the chapter, and the limits; and of the graded
    copy what it held then. They are kept beside the graded copies and go when those do.
    """

    def __init__(self, autograded: Path, limits: Limits) -> None:
        """Read the stamps of earlier gradings.

        Args:
            autograded: nbgrader's folder of graded copies.
            limits: What one submission may use.
        """
        self._autograded, self._limits = autograded, limits
        self._known: dict[str, list[str]] = {
            name: stamp
            for name, stamp in _read(autograded / FILE).items()
            if isinstance(stamp, list)  # other than before graded copies were noted
        }
        ended = _read(autograded / RUNNING)
        self._suspects: dict[str, str] = ended.get("suspects", {})
        if "name" in ended:  # the grading ended in its midst
            self._suspects[ended["name"]] = ended["digest"]

    @property
    def path(self) -> Path:
        """The file that names what ended gradings."""
        return self._autograded / RUNNING

    def holds(self, submission: Submission) -> bool:
        """Whether a submission is graded as it is now.

        Args:
            submission: The submission.

        Returns:
            False, too, if its graded copy is gone or has changed.
        """
        known = self._known.get(submission.name)
        return known is not None and known == self._stamp(submission)

    def is_suspect(self, submission: Submission) -> bool:
        """Whether a grading has ended while this submission, as it is now, ran.

        Args:
            submission: The submission.

        Returns:
            True until the student hands in something else.
        """
        suspect = self._suspects.get(submission.name)
        return suspect is not None and suspect == self._digest(submission)

    def begin(self, submission: Submission) -> None:
        """Note that a submission is about to run, and forget its points.

        Args:
            submission: The submission.
        """
        if self._known.pop(submission.name, None):
            self._write(FILE, self._known)
        self._suspects.pop(submission.name, None)
        running = {"name": submission.name, "digest": self._digest(submission)}
        self._write(RUNNING, {**running, "suspects": self._suspects})

    def end(self) -> None:
        """Note that it runs no longer, whatever came of it."""
        if self._suspects:
            self._write(RUNNING, {"suspects": self._suspects})
        else:
            self.path.unlink(missing_ok=True)

    def keep(self, submission: Submission) -> None:
        """Note that a submission is graded.

        Args:
            submission: The submission.
        """
        self._known[submission.name] = self._stamp(submission)
        self._write(FILE, self._known)

    def drop(self, submission: Submission) -> None:
        """Forget the points of a submission, so that it is graded again.

        Args:
            submission: The submission.
        """
        if self._known.pop(submission.name, None):
            self._write(FILE, self._known)

    def _stamp(self, submission: Submission) -> list[str]:
        copy = self._autograded / submission.name / submission.chapter.source.name
        return [self._digest(submission), digest(copy)]

    def _digest(self, submission: Submission) -> str:
        found = hashlib.sha256(repr(self._limits).encode())
        files = [submission.chapter.source, submission.path, *submission.companions()]
        for path in files:
            found.update(path.name.encode("utf-8", "surrogateescape"))
            found.update(digest(path).encode())
        return found.hexdigest()

    def _write(self, name: str, content: Any) -> None:
        self._autograded.mkdir(parents=True, exist_ok=True)
        partial = self._autograded / f"{name}.partial"
        partial.write_text(json.dumps(content, indent=1))
        partial.replace(self._autograded / name)


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):  # without it, everything is graded again
        return {}
    return content if isinstance(content, dict) else {}
