"""What came of a grading, in the lines that a teacher reads."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from course.grading.limits import WARNING, Limits, can_limit_memory
from course.grading.sandbox import WITHOUT

LOG = "error.txt"
"""What nbgrader said of a submission that it could not grade, beside the feedback."""

_CAUSES = {
    "DeadKernelError": (
        "its kernel died: the code ended the process, or had no memory left of the "
        "{gigabytes:g} GB a submission may use"
    ),
    "CellTimeoutError": (
        "a cell did not end within {seconds} s and could not be stopped"
    ),
    "OperationalError": (
        "the gradebook could not be written: close what else uses it and grade again"
    ),
    "InvalidNotebook": "a part of the notebook cannot be shown",
}
"""What the exceptions that end a grading mean to a teacher."""

_RAISED = re.compile(
    r"^ *(?:\w+\.)*(\w+(?:Error|Exception|Tampered|InvalidNotebook)): ?(.*)$",
    re.MULTILINE,
)
_BY_NBGRADER = "NbGraderException"  # says only that another was raised


@dataclass(frozen=True)
class Graded:
    """Where the results of a grading lie, and which submissions failed, and why.

    ``failures`` is by student and chapter, or by student and file if that is no
    submission. ``unchanged`` counts those graded earlier. ``without_feedback`` are
    graded but have no page, ``look_again`` is what a teacher should see to: submissions
    that did more than answer, points by hand that the tests have overtaken.
    """

    gradebook: Path
    csv: Path
    feedback: Path
    submissions: int
    failures: dict[tuple[str, str], str]
    unchanged: int = 0
    look_again: tuple[str, ...] = ()
    without_feedback: dict[tuple[str, str], str] = field(default_factory=dict)
    confined: bool = True


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
    lines += not_graded(graded.failures)
    if any((graded.feedback / Path(*f) / LOG).exists() for f in graded.failures):
        lines.append(f"  What nbgrader said of a submission is in its feedback, {LOG}.")
    lines += [
        f"  NO FEEDBACK {who}, {what}: graded; no feedback because {why}"
        for (who, what), why in graded.without_feedback.items()
    ]
    lines += [f"  LOOK AGAIN {text}" for text in graded.look_again]
    lines += [WITHOUT] if not graded.confined else []
    lines += [WARNING] if not can_limit_memory() else []
    return "\n".join(lines)


def not_graded(failures: dict[tuple[str, str], str]) -> list[str]:
    """Write a line for each submission that was not graded.

    Args:
        failures: Why, by student and chapter or file.

    Returns:
        The lines.
    """
    return [
        f"  NOT GRADED {who}, {what}: {why}" for (who, what), why in failures.items()
    ]


def explain(said: str, limits: Limits) -> str:
    """The cause of a failure in one line, read off what nbgrader printed.

    Args:
        said: What it printed.
        limits: What one submission may use.

    Returns:
        One sentence. What a student wrote may be in it, as it is.
    """
    raised = [pair for pair in _RAISED.findall(said) if pair[0] != _BY_NBGRADER]
    if not raised:
        lines = said.strip().splitlines()
        return lines[-1].strip() if lines else "nbgrader did not say why"
    kind, text = raised[-1]
    if kind in _CAUSES:  # the text may hold braces, these do not
        return _CAUSES[kind].format(seconds=limits.seconds, gigabytes=limits.gigabytes)
    return f"{kind}: {text}" if text else kind
