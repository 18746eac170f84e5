"""What a chapter imports: the setup cell, figures one can read, quizzes.

>>> from course.kit import figure, quiz, setup
"""

from course.kit.figure import figure
from course.kit.quiz import Question, quiz, seal
from course.kit.setup import setup

__all__ = ["Question", "figure", "quiz", "seal", "setup"]
