"""What ``lifted`` runs on the unrolled denoiser: the code of the page about it."""

import re
import time
from typing import Any

import torch

from tests.benchmarks.record import ROOT

PAGE = ROOT / "course" / "site" / "unfolded.md"
DEPTH, EPOCHS, AWAKE, ASLEEP = 10, 20, 0.65, 0.02  # λ of the start

WEIGHTS = [{"lam": lam} for lam in (0.5, 0.65, 0.8)]
RATES = [{"rate": rate} for rate in (3e-4, 1e-3, 3e-3)]
SLOW = [{"rate": rate} for rate in (1e-4, 3e-4, 1e-3)]


def lifted(alpha: float, rounds: int, rates: list[dict]) -> list[dict]:
    """Return settings of a lifted side."""
    return [row | {"alpha": alpha, "rounds": rounds} for row in rates]


TRAINED = {
    "control, only the last L": lifted(0.01, 0, RATES),
    "backpropagation": RATES,
    "lifted, α = 0.01": lifted(0.01, 1, RATES),
    "lifted, α = 0.1": lifted(0.1, 1, RATES),
    "lifted, α = 1": lifted(1.0, 1, SLOW),
    "lifted, α = 1, five rounds": lifted(1.0, 5, SLOW),
}
UNFOLDED = {
    "best linear denoiser": [{}],
    "iteration, 10 layers": WEIGHTS,
    "iteration, 300 layers": WEIGHTS,
    **TRAINED,
}
FLAT = {
    "control, only the last L": lifted(0.01, 0, SLOW),
    "backpropagation": SLOW,
    "lifted, α = 0.01": lifted(0.01, 1, SLOW),
    "lifted, α = 1": lifted(1.0, 1, SLOW),
}


def code() -> dict[str, Any]:
    """Run the definitions of the page, not its training; return the names."""
    names: dict[str, Any] = {"__name__": "unfolded"}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S):
        whole = re.split(r"^(?:x, x_test,|ways =)", block, flags=re.M)[0]
        exec(compile(whole, str(PAGE), "exec"), names)
    return names


def denoise(part: str, name: str, setting: dict, seed: int) -> dict[str, float]:
    """Train a side, or build it; return what it makes of the held-out squares."""
    page = code()
    x, test, _ = page["squares"](seed)
    passes, start = 0.0, time.process_time()
    if name == "best linear denoiser":
        net = linear(x)
    else:
        lam = setting.get("lam", ASLEEP if part == "asleep" else AWAKE)
        depth = 300 if "300" in name else DEPTH
        net = page["Unfolded"](lam * page["differences"](page["SIDE"]), depth)
    if "rate" in setting:
        order = torch.Generator().manual_seed(seed)
        page["train"](net, x, order, epochs=EPOCHS, **setting)
        each = 3.0  # forward, and a backward sweep is two
        if "alpha" in setting:  # forward; 3 a round; gradients are 5 products of 2
            each = 1 + 3 * setting["rounds"] + 2.5
        passes = each * EPOCHS
    found = page["psnr"](net, test, seed=1000 + seed)
    return {
        "objective": -found,
        "psnr": round(found, 3),
        "passes": passes,
        "seconds": round(time.process_time() - start, 1),
    }


def linear(x: torch.Tensor) -> torch.nn.Module:
    """Return the affine map of least squares for noise of variance one."""
    mean, covariance = x.mean(dim=0), torch.cov(x.T)
    noisy = covariance + torch.eye(len(mean)).to(x)
    net = torch.nn.Linear(x.shape[1], x.shape[1], dtype=x.dtype)
    with torch.no_grad():
        net.weight.copy_(torch.linalg.solve(noisy, covariance).T)
        net.bias.copy_(mean - net.weight @ mean)
    return net
