"""What torchrun starts for test_ranks.py: every schedule on real processes."""

import json
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from modular.pipeline import Chimera, OneFOneB, Ranks
from tests.modular.pipeline.cases import SCHEMES
from tests.modular.pipeline.test_virtual import batch, parts, whole_gradient


def compare(scheme, D: int) -> dict[str, float]:
    """Train two steps on real ranks; return the distance from the whole model."""
    schedule = scheme.schedule(D, 2 * D)
    stages = parts(int(schedule.stages.max()) + 1)
    loss, whole = nn.CrossEntropyLoss(), parts(len(stages))
    ranks = Ranks(schedule, stages, loss, batch(1)[0], timeout=30)
    mine = torch.optim.SGD(ranks.parameters(), lr=0.5)
    theirs = torch.optim.SGD([p for s in whole for p in s.parameters()], lr=0.5)
    worst = 0.0
    for rows in (4 * D, 8 * D):
        x, y = batch(rows)
        expected = loss(nn.Sequential(*whole)(x), y)
        worst = max(worst, abs(ranks.step(x, y) - expected).item())
        gradients = iter(whole_gradient(whole, x, y))
        for stage in whole:
            for p in stage.parameters():
                p.grad = next(gradients)
        for (_, s), stage in ranks.copies.items():
            for p, q in zip(stage.parameters(), whole[s].parameters(), strict=True):
                worst = max(worst, (p.grad - q.grad).abs().max().item())
        mine.step()
        theirs.step()
    return {"worst": worst, "copies": equal_copies(ranks, len(stages))}


def equal_copies(ranks: Ranks, stages: int) -> bool:
    """Return whether all copies of every stage are bitwise the same, on all ranks."""
    mine = {at: stage.state_dict() for at, stage in ranks.copies.items()}
    everyone: list = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, mine)
    together = {at: state for some in everyone for at, state in some.items()}
    for (_, stage), state in together.items():
        first = together[0, stage]
        if not all(torch.equal(first[name], value) for name, value in state.items()):
            return False
    return len({stage for _, stage in together}) == stages


def say_who_is_late() -> None:
    """Let the last rank sleep, and the first one say what it misses."""
    stages, x = parts(2), batch(4)[0]
    ranks = Ranks(OneFOneB().schedule(2, 4), stages, nn.MSELoss(), x, timeout=1)
    if dist.get_rank() == 1:
        time.sleep(3)
        return
    try:
        ranks.step(x, x)
    except ConnectionError as error:
        print(error)


def main() -> None:
    """Try every scheme that fits so many ranks, and write down what was found."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    Ranks.join(60)
    D = dist.get_world_size()
    schemes = [*SCHEMES, Chimera(doubling=True)]
    fit = [s for s in schemes if D % (2 * getattr(s, "pairs", 1)) == 0]
    found = {repr(scheme): compare(scheme, D) for scheme in fit}
    everyone: list = [None] * D
    dist.all_gather_object(everyone, found)
    if dist.get_rank() == 0:
        Path(sys.argv[1]).write_text(json.dumps(everyone))
    if D == 2:
        say_who_is_late()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
