"""What to recompute with the memory that is left: less on later stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from modular._checks import check_count, check_not_negative
from modular.allocation import knapsack
from modular.profile import Profile

__all__ = ["Recompute", "recompute_plan"]


@dataclass(frozen=True)
class Recompute:
    """What each stage recomputes.

    Args:
        layers: Those that are done again, of each stage.
        seconds: That this takes each stage, for one micro-batch.
        bytes: That each stage then holds, of all micro-batches at a time.
    """

    layers: tuple[tuple[int, ...], ...]
    seconds: tuple[float, ...]
    bytes: tuple[int, ...]


def recompute_plan(
    costs: Profile, cuts: Sequence[int], budget: float, *, rows: int = 1
) -> Recompute:
    """Choose the layers that are cheapest to do again so that the rest fits.

    Stage s of D holds D - s micro-batches, as with 1F1B: the same budget lets later
    stages keep more, and the last one often all. A layer that is done again keeps its
    input, and needs its activations of one micro-batch while it is differentiated; so
    much stays free for the largest. Exact, a knapsack for every stage. The stage-aware
    recomputation of Lai et al. 2023, "Merak".

    Args:
        costs: Of all layers, from :func:`modular.profile.profile`.
        cuts: First layer of every stage but the first.
        budget: Bytes of activations that a rank may hold.
        rows: In a micro-batch: bytes are counted per sample.

    Returns:
        What to do again, as :class:`Recompute`.

    Raises:
        TypeError: If ``rows`` is not an int.
        ValueError: If a stage does not fit even if all of it is done again.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from modular.profile import profile
        >>> layers = [nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(4)]
        >>> costs = profile(layers, torch.zeros(1, 8))  # 64 bytes each, 32 if again
        >>> recompute_plan(costs, cuts=[2], budget=200).layers
        ((0,), ())
    """
    check_count("rows", rows, least=1)
    check_not_negative("budget", budget)
    layers, stages = len(costs.seconds), len(cuts) + 1
    found = []
    for stage, (start, end) in enumerate(pairwise([0, *cuts, layers])):
        flight = stages - stage
        seconds = costs.seconds[start:end].tolist()
        kept = [int(n) * rows for n in costs.saved_bytes[start:end]]
        before = costs.boundary_bytes[max(start - 1, 0) : end - 1].tolist()
        inputs = [int(n) * rows for n in ([0] * (start == 0) + before)]
        chosen = _keep(seconds, kept, inputs, flight, budget)
        if chosen is None:
            least = flight * sum(map(min, kept, inputs)) + max(kept)
            raise ValueError(
                f"budget is {budget:g} bytes, but stage {stage} takes about {least} if "
                "all of it is done again: expected as many, or smaller micro-batches"
            )
        again = [i for i in range(end - start) if i not in chosen]
        each = (inputs[i] if i in again else kept[i] for i in range(end - start))
        held = flight * sum(each)
        found.append(
            (
                tuple(start + i for i in again),
                sum(seconds[i] for i in again),
                held + max((kept[i] for i in again), default=0),
            )
        )
    return Recompute(*zip(*found, strict=True))


def _keep(
    seconds: list[float],
    kept: list[int],
    inputs: list[int],
    flight: int,
    budget: float,
) -> set[int] | None:
    """Return the layers worth keeping, or None if nothing fits.

    The largest layer that is done again decides what must stay free: try each, larger
    ones being kept, and those that hold no more than their input.
    """
    everything = set(range(len(kept)))
    if flight * sum(kept) <= budget:
        return everything
    best: tuple[float, set[int]] | None = None
    for largest in sorted(set(kept)):
        must = {i for i in everything if kept[i] > largest or kept[i] <= inputs[i]}
        free = [i for i in everything if i not in must]
        extra = [flight * (kept[i] - inputs[i]) for i in free]
        base = sum(kept[i] if i in must else inputs[i] for i in everything)
        left = budget - largest - flight * base
        if left < 0:
            continue
        worth = [seconds[i] for i in free]
        chosen = must | {free[j] for j in knapsack(worth, extra, left)}
        value = sum(seconds[i] for i in chosen)
        if best is None or value > best[0]:
            best = value, chosen
    return None if best is None else best[1]
