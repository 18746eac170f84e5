"""What nbgrader's Validate says of a notebook that has been run already.

Pressed in JupyterLab, Validate first runs the notebook anew, which takes as long as the
chapter. Its judgement is what follows: which test cells have lost points, and why. It
is asked here of the outputs that a run has stored, with nbgrader's own code.
"""

from pathlib import Path

from nbgrader.preprocessors import CheckCellMetadata
from nbgrader.validator import Validator


def validated(path: Path) -> dict[str, list[dict[str, str]]]:
    """Judge a notebook by its outputs.

    Args:
        path: The notebook. Cells that were not run count as passing, as nbgrader has
            it, so ask elsewhere whether all were.

    Returns:
        Cells that "failed" and why, or whose tests have "changed"; nothing if all is
        well, on which JupyterLab says "Success!".
    """
    judge = Validator(preprocessors=[CheckCellMetadata])
    return judge.validate(str(path))
