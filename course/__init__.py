"""The chapters, their graders and the commands that serve them."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parent
"""The course folder of this clone."""
ROOT = FOLDER.parent
"""The clone."""
PROJECT = "beyond-the-black-box"
"""What is installed from it."""
