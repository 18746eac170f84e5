"""Merge neighbouring parts while the critical path does not grow."""

from collections.abc import Sequence
from fractions import Fraction

from modular._checks import check_count
from modular.pipeline.cost import Cost, Network, per_stage
from modular.pipeline.one_f_one_b import OneFOneB
from modular.pipeline.simulate import simulate

__all__ = ["coarsen"]


def coarsen(
    cost: Cost, parts: int, micros: int, network: Network | None = None
) -> list[int]:
    """Merge neighbouring parts of a model as long as a step takes no longer.

    A rank fewer each time: of all pairs of neighbours the one is merged that leaves the
    shortest critical path of a 1F1B step, until every merger would lengthen it. With
    messages that cost much, many parts are slower than few. Greedy, and ours. The
    question is that of Akintoye et al. 2023, "Layer-wise partitioning and merging for
    efficient and scalable deep learning"; their rule could not be read, and this is
    not it.

    Args:
        cost: Of each part: times and messages, a number or one for each.
        parts: How many there are.
        micros: Micro-batches of a step.
        network: What messages cost; nothing if None.

    Returns:
        Where to cut: first part of every stage but the first.

    Raises:
        TypeError: If ``parts`` or ``micros`` is not an int.
        ValueError: If one is below 1, or costs do not fit.

    Example:
        >>> coarsen(Cost(1, 2), parts=6, micros=8, network=Network(alpha=20))
        []
        >>> coarsen(Cost([1, 1, 8], [2, 2, 16]), parts=3, micros=8)
        [2]
    """
    check_count("parts", parts, least=1)
    check_count("micros", micros, least=1)
    forward = per_stage(cost, "forward", parts)
    backward = per_stage(cost, "backward", parts)
    message = per_stage(cost, "message", parts)

    def span(cuts: Sequence[int]) -> Fraction:
        ends = list(zip([0, *cuts], [*cuts, parts], strict=True))
        merged = Cost(
            [sum(forward[a:b]) for a, b in ends],
            [sum(backward[a:b]) for a, b in ends],
            message=[message[b - 1] for _, b in ends],
        )
        schedule = OneFOneB().schedule(len(ends), micros)
        return simulate(schedule, merged, network).makespan

    cuts = list(range(1, parts))
    now = span(cuts)
    while cuts:
        tries = [cuts[:i] + cuts[i + 1 :] for i in range(len(cuts))]
        spans = [span(fewer) for fewer in tries]
        if min(spans) > now:
            break
        now = min(spans)
        cuts = tries[spans.index(now)]
    return cuts
