"""Clips in two parts, unknown blurs, labels: learned layers beside their parents.

    python -m tests.benchmarks.unroll.structured

CORONA on clips of 16 x 16 beside the proximal gradient method and principal component
pursuit; DUBLID on phantoms of 32 x 32, each behind a blur of its own, beside
half-quadratic splitting; CRF-RNN on phantoms of 16 x 16 with three labels beside mean
field. A parent has the numbers that are best of a search, for as many iterations as the
network has layers and again for ten times as many, on samples that are not those of the
test; the network starts at those of its own depth, CORONA at those from which a short
training gets furthest. One value a seed, over fresh test samples; seconds are of the
CPU, one thread.
"""

import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.benchmarks import record
from tests.benchmarks.unroll.pictures import psnr
from unroll.blind import DUBLID, half_quadratic
from unroll.blind.half_quadratic import differences
from unroll.labels import CRFRNN, mean_field
from unroll.lowrank import CORONA, pcp
from unroll.problems import BlindDeblurring, Clip, Ellipses

SEEDS = (0, 1, 2)
DEPTH, LONG = 5, 50
TEST = 40
BOX = (7, 7)
LEVELS = (0.25, 0.6)  # of brightness, between the three labels
Row = dict[str, Any]
Numbers = dict[str, Any]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid(**values: Iterable[Any]) -> list[Numbers]:
    """Return every choice of one value for each name."""
    return [
        dict(zip(values, one, strict=True))
        for one in itertools.product(*values.values())
    ]


def descend(net: nn.Module, loss: Callable[[], Tensor], steps: int, lr: float) -> float:
    """Train by Adam, at a rate that falls to 0; return the CPU seconds."""
    start, adam = time.process_time(), torch.optim.Adam(net.parameters(), lr=lr)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in range(steps):
        value = loss()
        adam.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
        fall.step()
    net.requires_grad_(False)
    return time.process_time() - start


# Clips


def errors(L: Tensor, truth: Tensor) -> float:
    """Return the median relative error of the backgrounds."""
    off = (L - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)
    return off.median().item()


def drawn_clips(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    return Clip((16, 16), frames=16, things=2, side=4).sample(batch, generator)


def clip_numbers(depth: int) -> Numbers:
    """Return the weights of the proximal gradient method with the least error."""
    D, L = drawn_clips(4, seeded(500))
    choices = grid(lam_L=(1.0, 3.0, 9.0, 27.0, 81.0), lam_S=(0.3, 1.0, 3.0, 9.0, 27.0))

    def error(one: Numbers) -> float:
        with torch.no_grad():
            return errors(CORONA(depth, **one)(D)[0], L)

    return min(choices, key=error)


def trained_clips(seed: int, start: Numbers, steps: int) -> tuple[CORONA, float]:
    """Return CORONA, trained from these weights, and the CPU seconds."""
    g, net = seeded(seed), CORONA(DEPTH, **start)

    def loss() -> Tensor:
        clip, background = drawn_clips(4, g)
        off = net(clip)[0] - background
        return off.square().sum() / background.square().sum()

    return net, descend(net, loss, steps=steps, lr=0.01)


def clip_start() -> Numbers:
    """Return the weights from which a short training gets furthest.

    Not the parent's: its best sparse part is empty, and an empty part never learns.
    """
    D, L = drawn_clips(4, seeded(500))
    choices = grid(lam_L=(3.0, 9.0, 27.0), lam_S=(0.3, 1.0, 3.0))

    def error(one: Numbers) -> float:
        net, _ = trained_clips(77, one, steps=80)
        with torch.no_grad():
            return errors(net(D)[0], L)

    return min(choices, key=error)


def clips(seed: int, tuned: dict[str, Numbers]) -> dict[str, Row]:
    """Return the error of the background of every method."""
    D, truth = drawn_clips(TEST, seeded(1000 + seed))
    net, seconds = trained_clips(seed, tuned["start"], steps=400)
    with torch.no_grad():
        found = {
            "median over time": D.median(dim=1, keepdim=True).values.expand_as(D),
            "parent": CORONA(DEPTH, **tuned["short"])(D)[0],
            "parent, long": CORONA(LONG, **tuned["long"])(D)[0],
            "PCP": pcp(D.flatten(2), iterations=250).low_rank.reshape(D.shape),
            "network": net(D)[0],
        }
    rows: dict[str, Row] = {
        name: {"error": errors(L, truth)} for name, L in found.items()
    }
    rows["network"]["training_seconds"] = seconds
    return rows


# Blurs


def blurred(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw phantoms, each behind a blur of its own; of empty ones no blur is seen."""
    problem = BlindDeblurring(Ellipses((32, 32)), kernel=BOX)
    b, x, k = problem.sample(batch, generator)
    full = x.flatten(1).amax(dim=1) > 0
    return b[full], x[full], k[full]


def blur_numbers(iterations: int) -> Numbers:
    """Return the numbers of half-quadratic splitting with the highest PSNR.

    One after the other is multiplied or divided by 3 while that helps, three rounds.
    """
    b, x, _ = blurred(20, seeded(500))
    at = {"theta": 0.06, "zeta": 1.0, "zeta_k": 10.0, "eta": 0.1, "bias": 0.05}

    def score(one: dict[str, float]) -> float:
        found = half_quadratic(
            b, differences(), BOX, iterations=iterations, **as_arguments(one)
        )
        return psnr(found[0].clamp(0, 1), x)

    for _ in range(3):
        for name, factor in itertools.product(at, (3.0, 1 / 3)):
            ahead = at | {name: at[name] * factor}
            if ahead["bias"] < 1 and score(ahead) > score(at):
                at = ahead
    return as_arguments(at)


def as_arguments(one: dict[str, float]) -> Numbers:
    """Return five numbers as half-quadratic splitting and DUBLID take them."""
    weights = (one["zeta"], one["zeta_k"], one["eta"])
    return {"theta": one["theta"], "weights": weights, "bias": one["bias"]}


def blurs(seed: int, tuned: dict[str, Numbers]) -> dict[str, Row]:
    """Return PSNR of the images, and the error of the kernels, of every method."""
    b, x, k = blurred(2 * TEST, seeded(1000 + seed))
    g = seeded(seed)
    more = 0.3 * torch.randn(2, 3, 3, generator=g)
    net = DUBLID(BOX, DEPTH, filters=torch.cat([differences(), more]), **tuned["short"])

    def loss() -> Tensor:
        seen, sharp, kernel = blurred(8, g)
        image, found = net(seen)
        off = 100 * (image - sharp).square().mean()
        return off + (found - kernel).square().sum() / kernel.square().sum()

    seconds = descend(net, loss, steps=200, lr=0.02)
    f = differences()
    with torch.no_grad():
        pairs = {
            "nothing done": (b, torch.zeros_like(k)),
            "parent": half_quadratic(b, f, BOX, iterations=DEPTH, **tuned["short"]),
            "parent, long": half_quadratic(b, f, BOX, iterations=LONG, **tuned["long"]),
            "network": net(b),
        }
    rows: dict[str, Row] = {
        name: {
            "psnr": psnr(image.clamp(0, 1), x),
            "kernel_error": ((kernel - k).square().sum() / k.square().sum()).item(),
        }
        for name, (image, kernel) in pairs.items()
    }
    rows["network"]["training_seconds"] = seconds
    return rows


# Labels


def labelled(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draw scores that are often wrong, a noisy image, and the labels."""
    x = Ellipses((16, 16)).sample(batch, generator)
    labels = torch.bucketize(x[:, 0], torch.tensor(LEVELS))
    right = functional.one_hot(labels, 3).movedim(-1, 1).to(x)
    scores = right + torch.randn(right.shape, generator=generator)
    return scores, x + 0.1 * torch.randn(x.shape, generator=generator), labels


def label_numbers(iterations: int) -> Numbers:
    """Return the weights and widths of mean field with the most right pixels."""
    scores, image, labels = labelled(10, seeded(500))
    widths = [(3.0, 8.0, beta) for beta in (0.1, 0.2)]
    choices = grid(
        spatial=(0.0, 1.0, 3.0), bilateral=(2.0, 5.0, 10.0, 20.0), widths=widths
    )

    def score(one: Numbers) -> float:
        found = mean_field(scores, image, iterations=iterations, **one)
        return found.argmax(dim=1).eq(labels).double().mean().item()

    return max(choices, key=score)


def labels(seed: int, tuned: dict[str, Numbers]) -> dict[str, Row]:
    """Return the share of right pixels, and the log-loss, of every method."""
    scores, image, truth = labelled(TEST, seeded(1000 + seed))
    g, net = seeded(seed), CRFRNN(3, iterations=DEPTH, **tuned["short"])

    def loss() -> Tensor:
        seen, picture, wanted = labelled(4, g)
        return functional.nll_loss(net(seen, picture), wanted)

    seconds = descend(net, loss, steps=80, lr=0.1)
    other = image.roll(1, dims=0)  # each with the picture of another
    with torch.no_grad():
        found = {
            "scores alone": scores.log_softmax(dim=1),
            "parent": mean_field(
                scores, image, iterations=DEPTH, **tuned["short"]
            ).log(),
            "parent, long": mean_field(
                scores, image, iterations=LONG, **tuned["long"]
            ).log(),
            "network": net(scores, image),
            "network, another's picture": net(scores, other),
        }
    rows: dict[str, Row] = {
        name: {
            "right": log_Q.argmax(dim=1).eq(truth).double().mean().item(),
            "log_loss": functional.nll_loss(log_Q.clamp(min=-50), truth).item(),
        }
        for name, log_Q in found.items()
    }
    rows["network"]["training_seconds"] = seconds
    return rows


PIECES: dict[str, tuple[Callable[[int], Numbers], Callable[..., dict[str, Row]]]] = {
    "clips": (clip_numbers, clips),
    "blurs": (blur_numbers, blurs),
    "labels": (label_numbers, labels),
}


def kept(runs: dict[str, dict], tuned: dict[str, dict]) -> dict:
    """Write the record with the runs that are there; return its rows."""
    rows = {
        kind: {
            name: {key: [run[name][key] for run in of.values()] for key in row}
            for name, row in next(iter(of.values())).items()
        }
        for kind, of in runs.items()
        if of
    }
    setting = {"depth": DEPTH, "long": LONG, "seeds": SEEDS, "test": TEST}
    facts = {"machine": record.machine(("torch",)), "setting": setting}
    record.write("structured", facts | {"tuned": tuned, "rows": rows, "runs": runs})
    return rows


def main() -> None:
    """Measure what is missing, piece by piece and seed by seed."""
    torch.set_num_threads(1)
    path = record.RESULTS / "structured.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    runs, tuned = old.get("runs", {}), old.get("tuned", {})
    for kind, (numbers, piece) in PIECES.items():
        if kind not in tuned:
            tuned[kind] = {"short": numbers(DEPTH), "long": numbers(LONG)}
            if kind == "clips":
                tuned[kind]["start"] = clip_start()
            print(kind, tuned[kind], flush=True)
        of = runs.setdefault(kind, {})
        for seed in SEEDS:
            if str(seed) not in of:
                of[str(seed)] = piece(seed, tuned[kind])
                kept(runs, tuned)
    for kind, rows in kept(runs, tuned).items():
        for name, row in rows.items():
            medians = {key: statistics.median(values) for key, values in row.items()}
            text = {key: f"{value:.3g}" for key, value in medians.items()}
            print(f"{kind:8}{name:28}", text)


if __name__ == "__main__":
    main()
