"""What holds for every test: one thread, no notebook's text, nothing left behind."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# No test is judged by the clock: who else computes decides about it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Before anything imports torch; threads that wait by spinning starve each other.
os.environ.update(
    OMP_NUM_THREADS="1",
    OMP_WAIT_POLICY="PASSIVE",
    DDE_BACKEND="pytorch",
    MPLBACKEND="Agg",
)

pytest_plugins = [
    "tests.course.seam",
    "tests.gate.clock",
    "tests.gate.interruption",
    "tests.gate.memory",
    "tests.gate.selection",
    "tests.gate.units",
]

# The texts of notebooks: to import one is to run it, in this process.
collect_ignore_glob = ["course/chapters/*.py", "course/projects/*.py"]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """A chapter's setup changes its process on purpose: undo it for the next test."""
    import matplotlib.pyplot as plt
    import torch

    dtype = torch.get_default_dtype()
    with plt.rc_context():
        yield
    torch.set_default_dtype(dtype)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
