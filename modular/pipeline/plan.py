"""Where to cut a model: the slowest stage decides how fast a pipeline is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import nn

from modular._checks import check_count, check_positive
from modular.allocation import cut_by_price
from modular.pipeline.cost import Cost, Network
from modular.profile import Profile

__all__ = ["Plan", "cut", "plan", "split_spec"]


@dataclass(frozen=True)
class Plan:
    """Where to cut, and what each stage then costs.

    Args:
        cuts: First layer of every stage but the first.
        cost: Of a micro-batch: seconds, bytes held, bytes handed on.
        slowest: Seconds that the slowest stage computes and sends.
        bytes: That each stage needs: its parameters, and all it holds at a time.
    """

    cuts: tuple[int, ...]
    cost: Cost
    slowest: float
    bytes: tuple[int, ...]


def plan(
    costs: Profile,
    stages: int,
    *,
    rows: int = 1,
    memory: float = float("inf"),
    network: Network | None = None,
) -> Plan:
    r"""Cut a chain of layers into stages so that the slowest is as fast as can be.

    What counts of a stage is its forward, its backward, and sending: the state to the
    next stage and the gradient to the one before. Exact, over all contiguous cuts.
    Stage s of D holds D - s micro-batches, as with 1F1B, so that early stages may be
    short of memory where late ones are not; a parameter takes 16 bytes: itself, its
    gradient and the two moments of Adam, in float32. In place of the automatic
    partitioner of Lai et al. 2023, "Merak".

    Args:
        costs: Of all layers, from :func:`modular.profile.profile`, of one micro-batch.
        stages: How many, D.
        rows: In a micro-batch, as many as were profiled: bytes are counted per sample.
        memory: Bytes that a rank has.
        network: Seconds of a message by its bytes; for nothing if None.

    Returns:
        The best cuts, as :class:`Plan`.

    Raises:
        TypeError: If ``stages`` or ``rows`` is not an int.
        ValueError: If there are fewer layers than stages, or no way to fit the memory.

    Example:
        >>> import torch
        >>> from modular.profile import profile
        >>> layers = [nn.Linear(64, 64) for _ in range(6)]
        >>> found = plan(profile(layers, torch.zeros(8, 64)), stages=3, rows=8)
        >>> len(found.cuts), found.cost.message
        (2, [2048, 2048, 2048])
    """
    check_count("stages", stages, least=1)
    check_count("rows", rows, least=1)
    check_positive("memory", min(memory, 1e300))
    network = network or Network()
    layers = len(costs.seconds)
    time = (costs.seconds + costs.backward_seconds).tolist()
    sent = [
        float(network.alpha + network.beta * rows * size)
        for size in costs.boundary_bytes.tolist()
    ]

    def needed(stage: int, start: int, end: int) -> int:
        held = int(costs.saved_bytes[start:end].sum()) * rows * (stages - stage)
        return 16 * int(costs.parameters[start:end].sum()) + held

    def price(stage: int, start: int, end: int) -> float:
        if needed(stage, start, end) > memory:
            return float("inf")
        back = sent[start - 1] if stage > 0 else 0.0
        return sum(time[start:end]) + back + (sent[end - 1] if end < layers else 0.0)

    try:
        cuts = cut_by_price(price, layers, stages)
    except ValueError as error:
        raise ValueError(
            f"{layers} layers, {stages} stages and memory of {memory:g} bytes do not "
            f"go together ({error}): expected more of it, or fewer rows"
        ) from error
    ends = list(enumerate(pairwise([0, *cuts, layers])))
    seconds = (costs.seconds, costs.backward_seconds)
    forward, backward = ([float(s[a:b].sum()) for _, (a, b) in ends] for s in seconds)
    held = [int(costs.saved_bytes[a:b].sum()) * rows for _, (a, b) in ends]
    size = [int(costs.boundary_bytes[b - 1]) * rows for _, (_, b) in ends]
    return Plan(
        cuts=tuple(cuts),
        cost=Cost(forward, backward, activation=held, message=size),
        slowest=max(price(stage, a, b) for stage, (a, b) in ends),
        bytes=tuple(needed(stage, a, b) for stage, (a, b) in ends),
    )


def cut(layers: Sequence[nn.Module], cuts: Sequence[int]) -> list[nn.Sequential]:
    """Return the stages of a chain of layers; they are the layers, not copies.

    Each is what Huang et al. 2019, "GPipe", call a cell.

    Args:
        layers: In order; an ``nn.Sequential`` is one.
        cuts: First layer of every stage but the first.

    Returns:
        One module a stage.

    Raises:
        ValueError: If cuts do not increase, or are not inside.

    Example:
        >>> [len(stage) for stage in cut([nn.ReLU(), nn.ReLU(), nn.Tanh()], [2])]
        [2, 1]
    """
    ends = [0, *cuts, len(layers)]
    if any(a >= b for a, b in pairwise(ends)):
        raise ValueError(
            f"cuts is {list(cuts)}: expected increasing numbers from 1 to "
            f"{len(layers) - 1}"
        )
    return [nn.Sequential(*list(layers)[a:b]) for a, b in pairwise(ends)]


def split_spec(names: Sequence[str], cuts: Sequence[int]) -> dict:
    """Return cuts as ``torch.distributed.pipelining.pipeline`` takes them.

    As Lai et al. 2023, "Merak", feed a runtime that is there; ours only says where.

    Args:
        names: Of the layers within the model, in order, as ``"blocks.3"``.
        cuts: First layer of every stage but the first.

    Returns:
        Its ``split_spec``: a split before each of these layers.

    Raises:
        ValueError: If a cut is no layer but the first.

    Example:
        >>> split_spec([f"blocks.{k}" for k in range(4)], [2])
        {'blocks.2': <SplitPoint.BEGINNING: 1>}
    """
    from torch.distributed.pipelining import SplitPoint  # heavy, needed only here

    for index in cuts:
        if not 0 < index < len(names):
            raise ValueError(f"cuts has {index}: expected 1 to {len(names) - 1}")
    return {names[index]: SplitPoint.BEGINNING for index in cuts}
