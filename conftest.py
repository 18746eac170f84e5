"""One thread per process, no spinning, before anything imports torch."""

import os

os.environ.update(
    OMP_NUM_THREADS="1",
    OMP_WAIT_POLICY="PASSIVE",
    DDE_BACKEND="pytorch",
    MPLBACKEND="Agg",
)

pytest_plugins = ["tests.course.seam"]
