"""Ctrl-C, where code in between takes it for a fault or loses it."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stopped_by_ctrl_c(end: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` at the end if Ctrl-C was pressed, whatever came.

    What runs inside may swallow the interrupt, or fail because of it: nbgrader does the
    first, a kernel that has been stopped the second.

    Args:
        end: What to end when it is pressed, before the interrupt is raised.

    Yields:
        Nothing; in another thread than the main one, where no signals are, this does
        nothing.

    Raises:
        KeyboardInterrupt: If Ctrl-C was pressed, in place of any other error.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []

    def press(*event: object) -> None:
        pressed.append(event)
        end()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        yield
    except Exception:
        if not pressed:
            raise
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
