"""Write what a benchmark measured as JSON, with the facts that make it comparable.

A record has no host name, user or path: it says what was measured, with which versions,
on how many CPUs of which kind, and when.
"""

import argparse
import datetime
import json
import os
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results"


def cpu_name() -> str:
    """Return the model of the CPU as the operating system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":")[1].strip() for line in lines if "model name" in line)
    return next(names, platform.machine())


def machine(packages: tuple[str, ...]) -> dict[str, Any]:
    """Return versions, CPU, threads, GPU and date."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": gpu,
    }


def where(record: dict) -> str:
    """Say on what machine and when a record was made, for a line under a table."""
    machine = record["machine"]
    return (
        f"{machine['cpu']}, {machine['threads']} thread, {machine['date']}, "
        + ", ".join(f"{name} {v}" for name, v in machine["versions"].items())
    )


def measured(
    name: str, plan: dict[str, dict[str, Callable[[], Any]]], doc: str
) -> Iterator[dict]:
    """Measure what ``results/<name>.json`` lacks of a plan, part by part, row by row.

    Yields all rows that there are after each new one, so that it can be stored at once.
    ``--only`` chooses parts.
    """
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=plan, default=list(plan))
    chosen = parser.parse_args().only
    torch.set_num_threads(1)
    path = RESULTS / f"{name}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    for part in chosen:
        for row, measure in plan[part].items():
            if row not in found.get(part, {}):
                found.setdefault(part, {})[row] = measure()
                print(part, row, found[part][row], flush=True)
                yield found


def write(name: str, record: dict[str, Any]) -> Path:
    """Write ``results/<name>.json``, keys in the order given."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path
