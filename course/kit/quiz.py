"""Quizzes that check themselves, with no answer to be read in the notebook.

A question carries the digest of its right answer, not the answer:

>>> seal("Is the Lasso convex?", "yes")
'f8480b887e36'

That keeps an honest reader from seeing it by accident; it is no secret.
"""

import hashlib
import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from IPython.display import display


def seal(text: str, choice: str) -> str:
    """Return the digest that stands for the right answer of a question.

    Args:
        text: The question, word for word.
        choice: The right choice, word for word.

    Returns:
        The first 12 hexadecimal digits of a SHA-256 digest.

    Example:
        >>> seal("1 + 1?", "2") == seal("1 + 1?", "3")
        False
    """
    return hashlib.sha256(f"{text}\n{choice}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Question:
    """One question with several choices, of which one is right.

    Args:
        text: The question.
        choices: At least two choices, all different.
        answer: ``seal(text, right_choice)``.
        hint: What to think of again, shown after a wrong choice.

    Raises:
        ValueError: If choices are fewer than two or repeat, if the hint is empty, or
            if no choice has the digest ``answer``.

    Example:
        >>> right = seal("1 + 1?", "2")
        >>> q = Question("1 + 1?", ["2", "3"], answer=right, hint="Count.")
        >>> q.mark("3")
        'Not yet. Count.'
        >>> q.mark("2")
        'Correct.'
    """

    text: str
    choices: Sequence[str]
    answer: str
    hint: str

    def __post_init__(self) -> None:
        if len(set(self.choices)) != len(self.choices) or len(self.choices) < 2:
            raise ValueError(
                f"choices of {self.text!r} must be two or more different texts, "
                f"got {list(self.choices)}"
            )
        if not self.hint.strip():
            raise ValueError(f"hint of {self.text!r} is empty")
        if self.answer not in {seal(self.text, choice) for choice in self.choices}:
            raise ValueError(
                f"answer {self.answer!r} of {self.text!r} fits none of its choices: "
                "seal the right choice again with course.kit.seal"
            )

    def mark(self, choice: str) -> str:
        """Say whether ``choice`` is right; after a wrong one, give the hint.

        Args:
            choice: One of the choices.

        Returns:
            ``"Correct."``, or ``"Not yet."`` with the hint.

        Raises:
            ValueError: If ``choice`` is not one of the choices.
        """
        if choice not in self.choices:
            raise ValueError(
                f"choice must be one of {list(self.choices)}, got {choice!r}"
            )
        if seal(self.text, choice) == self.answer:
            return "Correct."
        return f"Not yet. {self.hint}"


class _Shown:
    """Questions as text for readers and outputs, as radio buttons in JupyterLab."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = questions

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> dict[str, object]:
        bundle = dict(_widget(self.questions)._repr_mimebundle_())
        bundle["text/plain"] = "\n".join(
            f"{number}. {q.text}" + "".join(f"\n   ( ) {c}" for c in q.choices)
            for number, q in enumerate(self.questions, 1)
        )
        items = "".join(
            f"<li>{html.escape(q.text)}<ul>"
            + "".join(f"<li>{html.escape(c)}</li>" for c in q.choices)
            + "</ul></li>"
            for q in self.questions
        )
        bundle["text/html"] = f"<ol>{items}</ol>"
        return bundle


def quiz(*questions: Question) -> None:
    """Show questions with buttons to choose from; each choice is marked at once.

    Args:
        *questions: The questions, in order.

    Raises:
        ValueError: If there is no question.

    Example:
        >>> quiz()
        Traceback (most recent call last):
        ...
        ValueError: quiz needs at least one Question, got none
    """
    if not questions:
        raise ValueError("quiz needs at least one Question, got none")
    display(_Shown(questions))


def _widget(questions: Sequence[Question]) -> object:
    import ipywidgets as widgets

    rows: list[object] = []
    for number, question in enumerate(questions, 1):
        title = widgets.HTMLMath(f"<b>{number}. {html.escape(question.text)}</b>")
        buttons = widgets.RadioButtons(
            options=list(question.choices), value=None, layout={"width": "100%"}
        )
        verdict = widgets.HTML()
        buttons.observe(_marker(question, verdict), names="value")
        rows += [title, buttons, verdict]
    return widgets.VBox(rows)


def _marker(question: Question, verdict: object) -> Callable[[dict], None]:
    def mark(change: dict) -> None:
        verdict.value = f"<i>{html.escape(question.mark(change['new']))}</i>"

    return mark
