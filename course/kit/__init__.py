"""What a chapter imports: setup, figures one can read, quizzes, stored results.

>>> from course.kit import figure, quiz, setup, stored
"""

from course.kit.figure import figure
from course.kit.quiz import Question, quiz, seal
from course.kit.results import stored
from course.kit.setup import setup

__all__ = ["Question", "figure", "quiz", "seal", "setup", "stored"]
