"""One process among several: the four verbs on ``torch.distributed``."""

import os
from collections import deque
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from modular.transport.base import Transport

__all__ = ["Rank"]

Key = tuple[str, int, int]  # state or credit, the receiver, whose loss


class Rank(Transport):
    """One of several processes; started by :class:`Processes` or by ``torchrun``.

    Args:
        timeout: Seconds to wait for a message before giving up.
        queue: Messages that may wait to be taken before a sender waits in turn.
        stand_in: Runs events in place of the method, as :class:`Calibrated` does.
    """

    def __init__(
        self, *, timeout: float = 60.0, queue: int = 2, stand_in: Any = None
    ) -> None:
        self.timeout, self.queue = timeout, queue
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.leads = self.rank == 0
        self.run = None if stand_in is None else stand_in.run
        self._sent: deque[tuple[dist.Work | None, Tensor, Key, int]] = deque()
        self._step = 0

    @classmethod
    def attached(cls, timeout: float = 60.0, backend: str = "gloo") -> "Rank":
        """Join the processes that ``torchrun`` started.

        Args:
            timeout: Seconds after which a rank that waits gives up.
            backend: ``"gloo"`` on CPUs, ``"nccl"`` on GPUs.

        Returns:
            The transport of this process.

        Raises:
            RuntimeError: If this process was not started by ``torchrun``.
            ConnectionError: If other processes are missing after the time-out.
        """
        if "RANK" not in os.environ:
            raise RuntimeError(
                "RANK is not set: expected to be started by torchrun, as in "
                "`torchrun --standalone --nproc-per-node 4 -m modular.run`"
            )
        try:
            dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
        except dist.DistError as error:
            rank, world = os.environ["RANK"], os.environ.get("WORLD_SIZE")
            raise ConnectionError(
                f"rank {rank} waited {timeout:g} s for a process that is missing: "
                f"expected {world}, start them all, as in "
                f"`torchrun --standalone --nproc-per-node {world} -m modular.run`"
            ) from error
        return cls(timeout=timeout)

    def start(self, modules: int) -> range:
        """Take a fair, contiguous share of the modules."""
        if self.world > modules:
            raise ValueError(
                f"there are {self.world} processes but {modules} modules: expected at "
                f"most {modules} processes"
            )
        ends = [modules * r // self.world for r in range(self.world + 1)]
        self.home = [r for r in range(self.world) for _ in range(ends[r], ends[r + 1])]
        self.modules = modules
        self._local: dict[tuple, Tensor] = {}
        return range(ends[self.rank], ends[self.rank + 1])

    def begin(self, step: int) -> None:
        """Begin a step; its number goes into the tags."""
        self._step = step

    def send_state(self, module: int, h: Tensor) -> None:
        """Send a state forward."""
        self._send(module, ("state", module, module), h)

    def recv_state(self, module: int, like: Tensor) -> Tensor:
        """Wait for the state of the module before."""
        return self._recv(module - 1, ("state", module, module), like)

    def send_credit(self, module: int, loss: int, g: Tensor) -> None:
        """Send credit back."""
        self._send(module, ("credit", module, loss), g)

    def recv_credit(self, module: int, loss: int, like: Tensor) -> Tensor:
        """Wait for the credit of a loss from the module after."""
        return self._recv(module + 1, ("credit", module, loss), like)

    def gather(self, part: dict[int, Any]) -> dict[int, Any]:
        """Return what all ranks know, by module."""
        parts: list[Any] = [None] * self.world
        dist.all_gather_object(parts, part)
        return {k: value for some in parts for k, value in some.items()}

    def close(self) -> None:
        """Wait until everything that was sent has been taken."""
        self._settle(0)

    def _tag(self, key: Key) -> int:
        kind, module, loss = key
        message = (module * self.modules + loss) * 2 + (kind == "credit")
        return (self._step * 2 * self.modules**2 + message) % 2**30

    def _send(self, module: int, key: Key, h: Tensor) -> None:
        peer = self.home[module]
        if peer == self.rank:
            self._local[key] = h
            return
        h = h.detach().contiguous()
        work = dist.isend(h, peer, tag=self._tag(key))
        self._sent.append((work, h, key, peer))  # h must live until it is taken
        self._settle(self.queue)

    def _settle(self, most: int) -> None:
        """Wait until at most so many messages wait to be taken."""
        while len(self._sent) > most:
            work, _, key, peer = self._sent.popleft()
            self._wait(work, key, peer)

    def _recv(self, sender: int, key: Key, like: Tensor) -> Tensor:
        if self.home[sender] == self.rank:
            return self._local.pop(key)
        h = torch.empty_like(like, memory_format=torch.contiguous_format)
        work = dist.irecv(h, self.home[sender], tag=self._tag(key))
        self._wait(work, key, self.home[sender])
        return h

    def _wait(self, work: dist.Work | None, key: Key, peer: int) -> None:
        if work is None:  # torch's word for a process outside of the group
            raise ConnectionError(f"rank {peer} is not in the group of {self.rank}")
        try:
            work.wait(timedelta(seconds=self.timeout))
        except RuntimeError as error:
            kind, module, loss = key
            what = "state" if kind == "state" else f"credit of loss {loss}"
            raise ConnectionError(
                f"rank {self.rank} lost rank {peer} in step {self._step}, at the "
                f"{what} for module {module} (time-out {self.timeout:g} s): see what "
                f"rank {peer} reports, or allow more time"
            ) from error
