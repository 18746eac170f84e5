"""What student code may use while it is graded: seconds per cell, memory per kernel.

``nbgrader_config.py`` sets these limits, so the Validate button keeps to them too.
"""

import sys
import traceback
from dataclasses import dataclass
from types import TracebackType

from traitlets.config import Config

WARNING = (
    "This system cannot limit the memory of a process (Linux can): a submission that "
    "takes all of it stops this machine. Grade in a container with a limit."
)


@dataclass(frozen=True)
class Limits:
    """Limits of one submission.

    ``seconds`` is the time a cell may take, ``gigabytes`` the memory its kernel may
    hold. A chapter's own cells use 20 s of CPU at most, and a gigabyte; but the machine
    that grades may be busy.
    """

    seconds: int = 120
    gigabytes: float = 4

    def apply(self, config: Config) -> None:
        """Set the limits in a configuration of nbgrader.

        Args:
            config: The configuration; it is changed.
        """
        config.Execute.timeout = self.seconds
        text = f"this cell did not end within {self.seconds} s and was stopped"
        config.Execute.error_on_timeout = {
            "ename": "CellTimeoutError",
            "evalue": text,
            "traceback": [f"\x1b[0;31mCellTimeoutError\x1b[0m: {text}"],
        }
        # An expression, so that no name of ours is among the student's.
        here = f"__import__({__name__!r}, fromlist=['_'])"
        limit = f"{here}.limit_memory({self.gigabytes})"
        config.Execute.extra_arguments = [
            "--log-level=ERROR",
            f"--IPKernelApp.exec_lines={limit}",
        ]


DEFAULTS = Limits()


def can_limit_memory() -> bool:
    """Whether this system holds a process to the memory it is allowed.

    Returns:
        True on Linux; macOS takes the limit and ignores it, Windows has none.
    """
    return sys.platform == "linux"


def limit_memory(gigabytes: float) -> None:
    """Limit the memory of this process, an IPython kernel, for good.

    What asks for more gets a ``MemoryError`` that says so.

    Args:
        gigabytes: The limit, in units of 2^30 bytes; nothing happens where the system
            cannot keep it.
    """
    if not can_limit_memory():
        return
    import resource

    from IPython import get_ipython

    size = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))

    def tell(
        shell: object,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType,
        tb_offset: int | None = None,
    ) -> None:
        # The traceback holds the variables that took the memory: the next cells need
        # it, and so does IPython to show an error.
        traceback.clear_frames(trace)
        error.with_traceback(None)
        text = f"this cell needed more than the {gigabytes:g} GB a submission may use"
        shell.showtraceback((MemoryError, MemoryError(text), None))

    get_ipython().set_custom_exc((MemoryError,), tell)
