"""Ranks of one's own: processes that are started, waited for, and ended together."""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from typing import Any

from torch.multiprocessing.spawn import (
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)

__all__ = ["run_ranks"]


def run_ranks(
    work: Callable[..., None],
    arguments: tuple[Any, ...],
    ranks: int,
    preload: Sequence[str],
    so: str = "",
) -> None:
    """Call ``work(rank, *arguments)`` in as many processes, and wait for them.

    Where there is a fork server, modules are imported once and not by every rank. If
    one rank dies, the others are ended.

    Args:
        work: A function that other processes can import.
        arguments: That can be pickled.
        ranks: How many.
        preload: Modules that ranks need.
        so: What the death of a rank means, for the message.

    Raises:
        RuntimeError: If a rank raises or dies; says which.
    """
    known = multiprocessing.get_all_start_methods()
    method = "forkserver" if "forkserver" in known else "spawn"
    if method == "forkserver":
        multiprocessing.get_context(method).set_forkserver_preload(list(preload))
    context = start_processes(
        _call, (work, arguments), ranks, join=False, daemon=True, start_method=method
    )
    try:
        while not context.join(timeout=1):
            pass
    except ProcessExitedException as error:
        how = error.signal_name or f"exit code {error.exit_code}"
        raise RuntimeError(
            f"rank {error.error_index} of {ranks} died ({how}): the others were ended"
            f"{so}"
        ) from error
    except ProcessRaisedException as error:
        raise RuntimeError(f"rank {error.error_index} of {ranks}: {error}") from error
    finally:
        for process in context.processes:
            process.kill()
            process.join()


def _call(rank: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    work(rank, *arguments)
