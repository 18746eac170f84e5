"""The environment every kernel of the course is started in."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def variables() -> dict[str, str]:
    """Return the environment variables that the course sets, with their values.

    One thread, and no spinning while waiting: two threads on two busy cores can be
    thirty times slower than one. nbgrader calls ``alembic`` by name, so the folder of
    this interpreter comes first in the path, whether or not it has been activated.

    Returns:
        Values by name.
    """
    programs = str(Path(sys.executable).parent)
    return {
        "DDE_BACKEND": "pytorch",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", os.defpath)]),
    }


@contextmanager
def environment() -> Iterator[None]:
    """Set the course's variables in this process while the context lasts."""
    before = {name: os.environ.get(name) for name in variables()}
    os.environ.update(variables())
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
