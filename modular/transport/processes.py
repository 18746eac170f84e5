"""Modules in processes of their own, on ``torch.distributed``.

Every rank holds the whole partition, trains its own modules and draws the same batches,
so that only states and credit are sent. Which messages there are follows from the
schedule; a message's tag is its step, module and loss. The result is bitwise that of
:class:`InProcess`: the same operations on the same numbers.
"""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from modular._chance import loader_chance, set_loader_chance
from modular._checks import check_count, check_positive
from modular._processes import run_ranks
from modular.transport.base import Transport
from modular.transport.rank import Rank

__all__ = ["Processes"]

_NEEDED = ("modular.transport.rank", "torch._dynamo")  # optimisers want dynamo
_SO = (
    ", the weights are those from before; with checkpoint=PATH the next fit goes on "
    "from the last whole epoch"
)


class Processes(Transport):
    """Let every module, or several at a time, live in a process of their own.

    From Python, ``Trainer.fit`` starts the processes, trains and brings weights,
    optimiser states and history back; partition, method, optimiser and loader must be
    picklable (``functools.partial``, no lambda), and a script needs ``if __name__ ==
    "__main__"``. The processes find each other through a file, not a port. Under
    ``torchrun`` they are there already: use ``modular.transport.Rank.attached()``.
    Ctrl-C leaves the weights from before; what ``checkpoint=PATH`` has kept is not
    lost.

    After Gomez et al. 2022 (JMLR 23(171)), whose modules live in threads.

    Args:
        ranks: Processes, at most one per module.
        timeout: Seconds after which a rank that waits gives up.
        queue: Messages that may wait to be taken before a sender waits in turn.
        stand_in: :class:`Calibrated` costs to sleep instead of computing, or None.
        backend: ``"gloo"`` on CPUs, ``"nccl"`` with one GPU per rank.

    Raises:
        TypeError: If ``ranks`` or ``queue`` is not an int.
        ValueError: If they or ``timeout`` are not positive.

    Example:
        >>> Processes(4, timeout=30).ranks
        4
    """

    def __init__(
        self,
        ranks: int,
        *,
        timeout: float = 60.0,
        queue: int = 2,
        stand_in: Any = None,
        backend: str = "gloo",
    ) -> None:
        check_count("ranks", ranks, least=1)
        check_count("queue", queue, least=1)
        check_positive("timeout", timeout)
        self.ranks, self.backend = ranks, backend
        self.options = {"timeout": timeout, "queue": queue, "stand_in": stand_in}

    def start(self, modules: int) -> range:
        """Refuse more processes than modules."""
        if self.ranks > modules:
            raise ValueError(
                f"ranks is {self.ranks} but there are {modules} modules: expected "
                f"at most {modules}"
            )
        return range(modules)

    def _refuse(self, *message: Any) -> Any:
        """Refuse: nothing runs in this process."""
        raise RuntimeError("nothing runs in the process that calls: use Trainer.fit")

    send_state: Callable[..., None] = _refuse
    recv_state: Callable[..., Tensor] = _refuse
    send_credit: Callable[..., None] = _refuse
    recv_credit: Callable[..., Tensor] = _refuse

    def fit(self, trainer: Any, *plan: Any, **options: Any) -> Any:
        """Start the processes, let them train, bring the results back."""
        if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
            raise RuntimeError(
                "fit runs inside torch.autocast, which other processes do not see: "
                "expected Trainer(..., options=Options(autocast=torch.bfloat16))"
            )
        loader = plan[1]
        with tempfile.TemporaryDirectory() as folder:
            _write_job(Path(folder) / "job.pt", self, trainer, plan, options)
            try:
                run_ranks(_work, (folder, self.ranks), self.ranks, _NEEDED, _SO)
            except KeyboardInterrupt:
                return trainer.history
            told = torch.load(Path(folder) / "result.pt", weights_only=False)
        for k, worker in trainer.workers.items():
            worker.load_state_dict(told["modules"][k])
            worker.trace = told["traces"][k]
        trainer.history, trainer.steps = told["history"], told["steps"]
        trainer.generator.set_state(told["generator"])
        set_loader_chance(loader, told["loader"])
        return trainer.history


def _write_job(
    path: Path, transport: Processes, trainer: Any, plan: tuple, options: dict
) -> None:
    """Write what the ranks need to know."""
    job = {
        "make": {
            "partition": trainer.partition,
            "method": trainer.method,
            "options": trainer.options,
        },
        "resting": {k: _names(w) for k, w in trainer.workers.items()},
        "optimizer": trainer.optimizer,
        "kind": type(trainer),
        "states": {k: worker.state_dict() for k, worker in trainer.workers.items()},
        "told": [trainer.history, trainer.steps, trainer.generator.get_state()],
        "transport": transport.options,
        "backend": transport.backend,
        "plan": plan,
        "options": options,
        "chance": torch.get_rng_state(),
        "dtype": torch.get_default_dtype(),
    }
    try:
        torch.save(job, path)
    except Exception as error:
        raise TypeError(
            f"{error}: expected a partition, method, optimizer and loader that can be "
            "pickled, such as functools.partial(torch.optim.Adam, lr=2e-3), no lambda"
        ) from error


def _names(worker: Any) -> list[str]:
    """Return the names of the layers that were in evaluation mode from the start."""
    layers = worker.block.net.named_modules()
    return [name for name, layer in layers if layer in worker.resting]


def _own_gpu(rank: int) -> Callable[[Any, str], Any]:
    """Return a map that moves what was on a GPU to the rank's own."""
    return lambda storage, place: storage.cuda(rank) if "cuda" in place else storage


def _work(rank: int, folder: str, ranks: int) -> None:
    """Train as one of the ranks."""
    job = torch.load(
        Path(folder) / "job.pt", weights_only=False, map_location=_own_gpu(rank)
    )
    if job["backend"] == "nccl":
        torch.cuda.set_device(rank)
    torch.set_default_dtype(job["dtype"])
    torch.set_num_threads(1)
    dist.init_process_group(
        job["backend"],
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=job["transport"]["timeout"]),
    )
    try:
        transport = Rank(**job["transport"])
        trainer = job["kind"](
            **job["make"], optimizer=job["optimizer"], transport=transport
        )
        torch.set_rng_state(job["chance"])
        for k, worker in trainer.workers.items():
            worker.load_state_dict(job["states"][k])
            layers = dict(worker.block.net.named_modules())
            worker.resting = [layers[name] for name in job["resting"][k]]
        trainer.history, trainer.steps, state = job["told"]
        trainer.generator.set_state(state)
        trainer.follow(*job["plan"], **job["options"])
        workers = trainer.workers.items()
        told = {
            "modules": transport.gather({k: w.state_dict() for k, w in workers}),
            "traces": transport.gather({k: w.trace for k, w in workers}),
            "history": trainer.history,
            "steps": trainer.steps,
            "generator": trainer.generator.get_state(),
            "loader": loader_chance(job["plan"][1]),
        }
        transport.close()
        if transport.leads:
            torch.save(told, Path(folder) / "result.pt")
    finally:
        dist.destroy_process_group()
