"""What is graded already: an interrupted grading goes on from there."""

import hashlib
import json
from pathlib import Path

from course.building.syllabus import Chapter
from course.grading.limits import Limits

FILE = "stamps.json"


class Stamps:
    """Of each graded submission a digest of all that its points depend on.

    That is what the student handed in, the chapter, and the limits. They are kept
    beside the graded copies and go when those do.
    """

    def __init__(self, autograded: Path, submitted: Path, limits: Limits) -> None:
        """Read the stamps of earlier gradings.

        Args:
            autograded: nbgrader's folder of graded copies.
            submitted: The folder of submissions.
            limits: What one submission may use.
        """
        self._autograded, self._submitted = autograded, submitted
        self._limits = limits
        path = autograded / FILE
        self._known: dict[str, str] = (
            json.loads(path.read_text()) if path.exists() else {}
        )

    def holds(self, student: str, chapter: Chapter) -> bool:
        """Whether a submission is graded as it is now.

        Args:
            student: The student.
            chapter: The chapter.

        Returns:
            False, too, if its graded copy is gone.
        """
        name = _name(student, chapter)
        copy = self._autograded / name / chapter.source.name
        return copy.exists() and self._known.get(name) == self._digest(name, chapter)

    def drop(self, student: str, chapter: Chapter) -> None:
        """Forget a submission: it is about to be graded.

        Args:
            student: The student.
            chapter: The chapter.
        """
        if self._known.pop(_name(student, chapter), None):
            self._write()

    def keep(self, student: str, chapter: Chapter) -> None:
        """Note that a submission is graded.

        Args:
            student: The student.
            chapter: The chapter.
        """
        name = _name(student, chapter)
        self._known[name] = self._digest(name, chapter)
        self._write()

    def _digest(self, name: str, chapter: Chapter) -> str:
        digest = hashlib.sha256(repr(self._limits).encode())
        handed_in = sorted(
            p for p in (self._submitted / name).rglob("*") if p.is_file()
        )
        for path in [chapter.source, *handed_in]:
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _write(self) -> None:
        partial = self._autograded / f"{FILE}.partial"
        partial.write_text(json.dumps(self._known, indent=1))
        partial.replace(self._autograded / FILE)


def _name(student: str, chapter: Chapter) -> str:
    return f"{student}/{chapter.slug}"
