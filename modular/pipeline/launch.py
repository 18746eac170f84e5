"""Real ranks from Python, for a notebook: torchrun without a command line."""

import os
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from modular._checks import check_positive
from modular._processes import run_ranks
from modular.pipeline.ranks import Ranks
from modular.pipeline.replay import check
from modular.pipeline.schedule import Op, as_schedule
from modular.pipeline.worker import Loss, check_stages, split

__all__ = ["Launched", "launch"]


@dataclass(frozen=True)
class Launched:
    """What real ranks found.

    Args:
        loss: Mean over all rows. Shape ``()``.
        gradients: Of every copy of a stage, by pipe and stage: a list of tensors, one
            a parameter, of its shape.
        processes: The number that the system gave each rank's process.
    """

    loss: Tensor
    gradients: dict[tuple[int, int], list[Any]]
    processes: tuple[int, ...]


def launch(
    schedule: Mapping[int, Sequence[Op]],
    stages: Sequence[nn.Module],
    loss: Loss,
    x: Tensor,
    y: Tensor,
    *,
    timeout: float = 60.0,
) -> Launched:
    r"""Compute the gradient of a batch on processes of their own, one a rank.

    Each is a rank of :class:`Ranks` on gloo and on this machine. They find each other
    through a file, not a port, and are ended before this returns. What they compute is
    :math:`\nabla \tfrac 1N \sum_m \ell_m`, as in GPipe, Huang et al. 2019.

    Args:
        schedule: Lists of operations, one a rank.
        stages: All parts of the model, in order; they are copied to the processes and
            stay as they are here. Classes defined in a notebook cannot be copied.
        loss: Of the last stage's output and targets; a mean over rows, shape ``()``.
        x: Data. Shape ``(batch, ...)``.
        y: Targets. Shape ``(batch, ...)``.
        timeout: Seconds to wait for a message.

    Returns:
        Loss, gradients and processes, as :class:`Launched`.

    Raises:
        TypeError: If stages or loss cannot be copied.
        ValueError: If schedule, stages and data do not fit, as :class:`Virtual` says;
            then nothing is started.
        RuntimeError: If a rank raises or dies; says which.

    Example:
        >>> from modular.pipeline import OneFOneB
        >>> stages, x = [nn.Linear(3, 3), nn.Linear(3, 3)], torch.randn(8, 3)
        >>> found = launch(OneFOneB().schedule(2, 4), stages, nn.MSELoss(), x, x)
        >>> len(set(found.processes)), [len(g) for g in found.gradients.values()]
        (2, [2, 2])
    """
    check_positive("timeout", timeout)
    schedule = as_schedule(schedule)
    check(schedule)
    check_stages(schedule, stages)
    split(x, y, schedule)
    job = (schedule, list(stages), loss, x, y, timeout, torch.get_default_dtype())
    with tempfile.TemporaryDirectory() as folder:
        try:
            torch.save(job, Path(folder) / "job.pt")
        except Exception as error:
            raise TypeError(
                f"{error}: expected stages and a loss that can be pickled, of classes "
                "that a module defines and not a notebook"
            ) from error
        run_ranks(_work, (folder,), len(schedule), [__name__])
        return torch.load(Path(folder) / "found.pt", weights_only=False)


def _work(rank: int, folder: str) -> None:
    """Do what one rank does, and let rank 0 write down what all have found."""
    job = torch.load(Path(folder) / "job.pt", weights_only=False)
    schedule, stages, loss, x, y, timeout, dtype = job
    torch.set_default_dtype(dtype)
    torch.set_num_threads(1)
    here = [name for _, name in socket.if_nameindex() if name.startswith("lo")]
    if here:  # all ranks are on this machine, whatever its name resolves to
        os.environ.setdefault("GLOO_SOCKET_IFNAME", here[0])
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=len(schedule),
        timeout=timedelta(seconds=timeout),
    )
    try:
        ranks = Ranks(schedule, stages, loss, x[:1], timeout=timeout)
        value = ranks.step(x, y)
        own = {
            at: [p.grad for p in stage.parameters()]
            for at, stage in ranks.copies.items()
        }
        everyone: list = [None] * len(schedule)
        dist.all_gather_object(everyone, (own, os.getpid()))
        gradients = {at: g for some, _ in everyone for at, g in some.items()}
        pids = tuple(pid for _, pid in everyone)
        if rank == 0:
            found = Launched(value, dict(sorted(gradients.items())), pids)
            torch.save(found, Path(folder) / "found.pt")
    except ConnectionError:
        time.sleep(1)  # the rank that broke down is heard before those it left waiting
        raise
    finally:
        dist.destroy_process_group()
