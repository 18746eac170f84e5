"""The example under torchrun: on four processes the losses of one, in fewer bytes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modular.communication import run

ROOT = Path(__file__).parents[3]


def torchrun(*arguments: str) -> str:
    """Run the example on four processes; return what it prints."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "4", "-m", "modular.communication.run"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_four_processes_train_every_way(capsys) -> None:
    run.main(["--steps", "10"])
    alone = capsys.readouterr().out
    text = torchrun("--messages", *run.WAYS, "--steps", "10")
    losses: dict[str, list[float]] = {}
    for way, number in re.findall(r"^([\w-]+), step \d+: loss ([\d.]+)", text, re.M):
        losses.setdefault(way, []).append(float(number))
    assert list(losses) == list(run.WAYS)
    assert all(len(found) == 10 for found in losses.values())
    assert all(found[-1] < found[0] for found in losses.values())
    assert "\n".join(text.splitlines()[:10]) == alone.rstrip()  # plain, to six digits
    plain = 10 * 8 * (64 * 64 + 64 + 64 * 10 + 10)
    assert f"plain: a worker sent {plain} bytes\n" in text
    (sent,) = re.findall(rf"top-k: a worker sent (\d+) bytes in place of {plain}", text)
    assert 50 * int(sent) < plain


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setattr(run.dist, "init_process_group", lambda *args, **options: None)
    monkeypatch.setattr(run.dist, "get_rank", lambda: 0)
    monkeypatch.setattr(run.dist, "get_world_size", lambda: 3)
    with pytest.raises(ValueError, match="batch is 128 for 3 workers: expected equal"):
        run.main([])
