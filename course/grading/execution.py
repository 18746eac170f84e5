"""Run one submission: in a room of its own, watched, and with its output capped."""

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbgrader.preprocessors import Execute
from traitlets.config import Config

from course.building.exercises import is_graded
from course.grading.guard import Guard
from course.grading.sandbox import Room, room

LARGEST_OUTPUT = 10**6
"""Characters that one cell may print; the rest is dropped."""

_CUT = f"\n[cut: a cell may print {LARGEST_OUTPUT} characters]\n"
_LONGEST_FAULT = 10**4
_GROWING = ("stream", "display_data", "execute_result", "comm_open", "comm_msg")
_MESSAGE = 100
"""What a message counts beside its text: empty ones fill a memory, too."""


class Tampered(RuntimeError):
    """A submission did more than answer; the message says what, in one sentence."""


class Kernel(AsyncKernelManager):
    """A kernel in a room."""

    room: Room

    def enter(self, room: Room) -> None:
        """Run in ``room``; in a sandbox, which has no network, through its files."""
        self.room = room
        if room.confined:
            self.connection_file = str(room.path / "kernel.json")
            self.transport = "ipc"
            self.ip = str(room.path / "kernel")
            # A signal would end the sandbox, and not reach what runs in it.
            self.kernel_spec.interrupt_mode = "message"

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """The command line of the kernel, in its room."""
        return [*self.room.prefix, *super().format_kernel_cmd(extra_arguments)]

    async def _async_start_kernel(self, **settings: Any) -> None:
        # NBGRADER_EXECUTION is set in this process while a kernel starts.
        await super()._async_start_kernel(**{**settings, "env": self.room.variables})

    start_kernel = _async_start_kernel


class Execution(Execute):
    """nbgrader's execution of a submission, confined and watched."""

    def __init__(
        self, config: Config, guard: Guard, hidden: list[Path], *, confined: bool
    ) -> None:
        """Remember what to watch.

        Args:
            config: nbgrader's configuration.
            guard: Of the files that no submission may change.
            hidden: What no submission is to see.
            confined: Whether in a sandbox.
        """
        super().__init__(config=config, kernel_manager_class=Kernel)
        self._guard, self._hidden, self._confined = guard, hidden, confined
        self.tampered = ""
        """What is wrong with the last submission that was run; empty if nothing."""

    def preprocess(
        self, nb: NotebookNode, resources: Any = None, km: Any = None
    ) -> tuple[NotebookNode, Any]:
        """Called by nbgrader for every submission."""
        self.tampered, self._printed = "", Counter()
        cells, canaries = nb.cells, _canaries(nb.cells)
        nb.cells = [c for cell in cells for c in (cell, canaries.get(cell.id)) if c]
        with self._watched(Path(resources["metadata"]["path"])):
            nb, resources = super().preprocess(nb, resources, km)
        nb.cells = cells
        if not all(_has_failed(canary) for canary in canaries.values()):
            self.tampered = "its code keeps tests from failing: one that must fail ran"
            raise Tampered(self.tampered)
        return nb, resources

    def create_kernel_manager(self) -> Kernel:
        """Called by nbclient."""
        manager = super().create_kernel_manager()
        manager.enter(self._room)
        return manager

    def process_message(
        self, msg: dict[str, Any], cell: NotebookNode, cell_index: int
    ) -> NotebookNode | None:
        """Called by nbclient for what a kernel says: no cell can fill the memory."""
        kind, content = msg["msg_type"], msg["content"]
        if kind == "error":
            content["evalue"] = content["evalue"][:_LONGEST_FAULT]
            content["traceback"] = [t[:_LONGEST_FAULT] for t in content["traceback"]]
        elif kind in _GROWING:
            before = self._printed[cell_index]
            self._printed[cell_index] += _length(content)
            if before > LARGEST_OUTPUT:
                return None
            if self._printed[cell_index] > LARGEST_OUTPUT:
                _cut(msg, LARGEST_OUTPUT - before)
        return super().process_message(msg, cell, cell_index)

    @contextmanager
    def _watched(self, work: Path) -> Iterator[None]:
        self._guard.begin()
        try:
            with room(work, self._hidden, confined=self._confined) as self._room:
                yield
        finally:
            if changed := self._guard.changed():
                names = ", ".join(changed)
                self.tampered = f"while its code ran, {names} changed; it was put back"
        if self.tampered:
            raise Tampered(self.tampered)


def _canaries(cells: list[NotebookNode]) -> dict[str, NotebookNode]:
    """A test that must fail behind each test of the chapter."""
    found = {}
    for cell in cells:
        if cell.cell_type == "code" and is_graded(cell):
            a, b = secrets.randbelow(10**4) + 2, secrets.randbelow(10**4) + 1
            word = secrets.token_hex(8)
            test = new_code_cell(f'assert {a} + {b} == {a * b + a}, "{word}"')
            test.metadata["word"] = word
            found[cell.id] = test
    return found


def _has_failed(canary: NotebookNode) -> bool:
    word = canary.metadata["word"]
    faults = [o for o in canary.outputs if o.output_type == "error"]
    return any(o.ename == "AssertionError" and word in o.evalue for o in faults)


def _length(content: dict[str, Any]) -> int:
    data = content.get("data") or {}
    texts = [content.get("text", ""), *map(str, data.values())]
    return _MESSAGE + sum(map(len, texts))


def _cut(msg: dict[str, Any], left: int) -> None:
    """Shorten the message that is too long; a picture is left out."""
    content = msg["content"]
    if msg["msg_type"] == "stream":
        content["text"] = content["text"][:left] + _CUT
    else:
        content["data"] = {"text/plain": _CUT.strip()}
