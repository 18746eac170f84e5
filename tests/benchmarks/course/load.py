"""A class at work: students who all open and run chapter 11 on one hub at once.

The hub is that of ``tests/hub``, set up as the page for administrators says; servers
are processes of the students' accounts. A student does what JupyterLab does: start the
server, open the notebook, start its kernel, run all cells. The notebook is the chapter
with its answers, which computes more than one without. No browsers: those run
elsewhere. Seconds on the wall depend on who else computes, which a row tells; CPU
seconds and memory do not. Needs root, and what the tests of the hub need.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
from websocket import create_connection

from course.building.syllabus import chapter
from tests.benchmarks import record
from tests.hub.machine import missing
from tests.hub.running import CHAPTER, Hub, hub, install_proxy

NUMBERS = (1, 5, 10, 20)
PATIENCE = 3600
EVERY = 2.0


@dataclass
class Student:
    """One of them, with what was measured."""

    hub: Hub
    name: str
    start: float = 0.0
    run: float = 0.0
    cpu: float = 0.0
    memory: int = 0
    failed: list[str] = field(default_factory=list)

    def ask(self, method: str, place: str, body: object = None) -> object:
        """Ask the hub, or this student's server, with the right to do so."""
        request = urllib.request.Request(
            f"{self.hub.url}/{place}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.hub.token}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"null")

    def work(self) -> None:
        """Come in, open the chapter, run it."""
        begin = time.monotonic()
        self.ask("POST", f"hub/api/users/{self.name}/server")
        while not self._answers():
            time.sleep(0.5)
        self.start = time.monotonic() - begin
        begin = time.monotonic()
        place = f"user/{self.name}/api"
        model = self.ask("GET", f"{place}/contents/{CHAPTER}.ipynb")
        kernel = {"type": "notebook", "path": f"{CHAPTER}.ipynb", "name": "x"}
        session = self.ask(
            "POST", f"{place}/sessions", kernel | {"kernel": {"name": "python3"}}
        )
        channels = f"{place}/kernels/{session['kernel']['id']}/channels"
        self._run(channels, nbformat.from_dict(model["content"]).cells)
        self.run = time.monotonic() - begin

    def _answers(self) -> bool:
        servers = self.ask("GET", f"hub/api/users/{self.name}")["servers"]
        return servers[""]["ready"]

    def _run(self, channels: str, cells: list) -> None:
        socket = create_connection(
            f"{self.hub.url}/{channels}".replace("http", "ws", 1),
            header={"Authorization": f"token {self.hub.token}"},
            timeout=PATIENCE,
        )
        for cell in cells:
            if cell.cell_type == "code" and not self._execute(socket, cell.source):
                self.failed.append(cell.id)
        socket.close()

    def _execute(self, socket: object, source: str) -> bool:
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request"}
        header |= {"session": "load", "username": self.name, "version": "5.3"}
        content = {"code": source, "silent": False, "store_history": True}
        content |= {"user_expressions": {}, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}}
        message |= {"content": content, "channel": "shell", "buffers": []}
        socket.send(json.dumps(message))
        while True:
            told = socket.recv()
            if not isinstance(told, str):
                continue
            reply = json.loads(told)
            if reply["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            if reply["msg_type"] == "execute_reply":
                return reply["content"]["status"] == "ok"


def watch(students: dict[int, Student], stop: threading.Event) -> None:
    """Note the largest memory and the CPU seconds of each account's processes."""
    while not stop.wait(EVERY):
        held = dict.fromkeys(students, 0)
        used = dict.fromkeys(students, 0.0)
        for process in psutil.process_iter():
            try:
                uid = process.uids().real
                if uid in held:
                    held[uid] += process.memory_full_info().pss
                    used[uid] += sum(process.cpu_times()[:4])
            except psutil.Error:
                continue
        for uid, student in students.items():
            student.memory = max(student.memory, held[uid])
            student.cpu = max(student.cpu, used[uid])


def measure(number: int) -> dict:
    """Let that many students work at once.

    Args:
        number: How many.

    Returns:
        Seconds until a server answers and until the chapter has run, CPU seconds and
        MiB of each student: half of them needed less, and the most; the share of the
        processors that others used meanwhile; how many ran a cell that failed.
    """
    names = [f"student{i:02d}" for i in range(1, number + 1)]
    os.environ["COURSE_TEST_LOAD"] = "1"
    with (
        tempfile.TemporaryDirectory() as folder,
        hub(Path(folder) / "hub", names) as running,
    ):
        students = {}
        for name in names:
            uid = int(running.machine.do(f"id -u {name}"))
            students[uid] = Student(running, name)
            home = running.machine.path(f"/home/{name}")
            shutil.copy(chapter(CHAPTER).source, home)
            os.chown(home / f"{CHAPTER}.ipynb", uid, uid)
        stop = threading.Event()
        watching = threading.Thread(target=watch, args=(students, stop))
        watching.start()
        before, begin = psutil.cpu_times(), time.monotonic()
        with ThreadPoolExecutor(number) as pool:
            try:
                list(pool.map(Student.work, students.values()))
            finally:
                stop.set()
                watching.join()
        elapsed = time.monotonic() - begin
        busy = sum(_busy(psutil.cpu_times())) - sum(_busy(before))
    del os.environ["COURSE_TEST_LOAD"]
    ours = sum(s.cpu for s in students.values())
    return {
        "students": number,
        "wall_seconds": round(elapsed, 1),
        **_spread("start_seconds", [s.start for s in students.values()], 1),
        **_spread("run_seconds", [s.run for s in students.values()], 1),
        **_spread("cpu_seconds", [s.cpu for s in students.values()], 1),
        **_spread("mib", [s.memory / 2**20 for s in students.values()]),
        "others": round(max(0.0, busy - ours) / elapsed / os.cpu_count(), 2),
        "failed": sum(bool(s.failed) for s in students.values()),
    }


def _busy(times: tuple) -> tuple:
    return times.user, times.system, times.nice


def _spread(
    name: str, values: list[float], digits: int | None = None
) -> dict[str, float]:
    half, most = statistics.median(values), max(values)
    return {name: round(half, digits), f"{name}_most": round(most, digits)}


def main() -> None:
    """Measure the numbers that are missing, or those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--students", type=int, nargs="+", default=NUMBERS)
    chosen = parser.parse_args().students
    if reason := missing() or install_proxy():
        print(f"not measured: {reason}")
        return
    path = record.RESULTS / "load.json"
    found = json.loads(path.read_text())["rows"] if path.exists() else {}
    for number in chosen:
        if str(number) not in found:
            found[str(number)] = measure(number)
            rows = dict(sorted(found.items(), key=lambda row: int(row[0])))
            packages = ("jupyterhub", "jupyterlab", "torch")
            told = {"rows": rows, "machine": record.machine(packages)}
            record.write("load", told)
            print(found[str(number)], flush=True)


if __name__ == "__main__":
    main()
