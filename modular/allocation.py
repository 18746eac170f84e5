"""Three problems of allocation: who gets which part of the work, or of the memory.

Cutting a chain so that the dearest part is cheapest, filling bins when the order does
not matter, and spending a budget where it buys most. The first and the last are solved
exactly; the second is NP-hard, and the greedy answer is within a third of the best.
"""

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from modular._checks import check_count, check_not_negative

__all__ = [
    "Price",
    "Share",
    "cut_by_price",
    "cut_evenly",
    "fill_bins",
    "knapsack",
    "round_robin",
]

Price = Callable[[int, int, int], float]  # of a part: which, from where, to where
Share = Callable[[Sequence[float], int], list[int]]  # costs of jobs, bins: their bins


def cut_evenly(costs: Sequence[float], parts: int) -> list[int]:
    """Cut a chain into contiguous parts, none empty, so that the dearest is cheapest.

    Exact, by dynamic programming, O(layers^2 parts). Of all the best answers it returns
    the one with the least sum of squared costs, and of those the one that cuts latest,
    so that layers without parameters stay with the layer before them.

    Args:
        costs: Cost of each layer, at least 0.
        parts: Number of parts, at most the number of layers.

    Returns:
        Index of the first layer of every part but the first.

    Raises:
        TypeError: If ``parts`` is not an int.
        ValueError: If there are not that many layers, or a cost is negative or not
            finite.

    Example:
        >>> cut_evenly([4, 0, 4, 0, 1], 2), cut_evenly([1, 1, 1, 9], 2)
        ([2], [3])
    """
    check_count("parts", parts, least=1)
    if parts > len(costs):
        raise ValueError(
            f"parts is {parts} but there are {len(costs)} costs: expected at most "
            f"{len(costs)}"
        )
    _check_all("costs", costs)
    sums = [0.0]
    for cost in costs:
        sums.append(sums[-1] + cost)

    def price(part: int, start: int, end: int) -> float:
        return sums[end] - sums[start]

    layers = len(costs)
    limit = _best(price, layers, parts, max, float("inf"))[0]
    return _best(price, layers, parts, lambda a, b: a + b * b, limit)[1]


def cut_by_price(price: Price, layers: int, parts: int) -> list[int]:
    """Cut a chain so that the dearest part is cheapest, whatever makes a part dear.

    As :func:`cut_evenly`, for prices that are no sums: that depend on which part it is
    in the row, or on both of its ends. Exact, O(layers^2 parts) prices.

    Args:
        price: Of the part of that number, from layer ``start`` up to ``end``; infinite
            where it may not be.
        layers: How many there are.
        parts: Number of parts, at most the number of layers.

    Returns:
        Index of the first layer of every part but the first.

    Raises:
        ValueError: If there are not that many layers, or every way of cutting has a
            part that may not be.

    Example:
        >>> cut_by_price(lambda part, start, end: (part + 1) * (end - start), 9, 2)
        [6]
    """
    check_count("parts", parts, least=1)
    if parts > layers:
        raise ValueError(f"parts is {parts}: expected at most {layers}, the layers")
    value, cuts = _best(price, layers, parts, max, float("inf"))
    if value == float("inf"):
        raise ValueError(
            f"{parts} parts of {layers} layers: every way has a part that may not be, "
            "expected a price that is finite somewhere"
        )
    return cuts


def _best(
    price: Price,
    layers: int,
    parts: int,
    join: Callable[[float, float], float],
    limit: float,
) -> tuple[float, list[int]]:
    """Return the least value of ``join`` over the parts, all within ``limit``."""
    # best[i]: value and cuts of the first i layers in as many parts as there were
    # rounds
    nothing: tuple[float, list[int]] = (float("inf"), [])
    best = [(0.0, nothing[1])] + [nothing] * layers
    for part in range(1, parts + 1):
        rows = [nothing] * (layers + 1)
        for end in range(part, layers + 1):
            for start in range(part - 1, end):
                cost = price(part - 1, start, end)
                value = join(best[start][0], cost)
                if cost <= limit and value <= rows[end][0]:  # <=: the latest cut wins
                    rows[end] = (value, best[start][1] + [start] * (start > 0))
        best = rows
    return best[layers]


def fill_bins(costs: Sequence[float], bins: int) -> list[int]:
    """Share out jobs so that the fullest bin is nearly as empty as can be.

    Longest processing time first: the largest job that is left goes into the emptiest
    bin. Graham 1969, "Bounds on Multiprocessing Timing Anomalies", theorem 2: the
    fullest bin holds at most 4/3 - 1/(3 bins) times what it must.

    Args:
        costs: Of each job, at least 0.
        bins: How many there are.

    Returns:
        The bin of each job, from 0.

    Raises:
        TypeError: If ``bins`` is not an int.
        ValueError: If it is below 1, or a cost is negative or not finite.

    Example:
        >>> fill_bins([2, 7, 3, 4], 2)
        [0, 0, 1, 1]
    """
    check_count("bins", bins, least=1)
    _check_all("costs", costs)
    homes = [0] * len(costs)
    heap = [(0.0, index) for index in range(bins)]  # load, bin: a tie goes to the first
    for job in sorted(range(len(costs)), key=lambda job: -costs[job]):
        load, home = heap[0]
        homes[job] = home
        heapq.heapreplace(heap, (load + costs[job], home))
    return homes


def round_robin(costs: Sequence[float], bins: int) -> list[int]:
    """Share out jobs in turn, whatever they cost: what :func:`fill_bins` is held to.

    Args:
        costs: Of each job, at least 0; only their number matters.
        bins: How many there are.

    Returns:
        The bin of each job, from 0.

    Raises:
        TypeError: If ``bins`` is not an int.
        ValueError: If it is below 1, or a cost is negative or not finite.

    Example:
        >>> round_robin([2, 7, 3, 4], 2)
        [0, 1, 0, 1]
    """
    check_count("bins", bins, least=1)
    _check_all("costs", costs)
    return [job % bins for job in range(len(costs))]


def knapsack(
    values: Sequence[float], weights: Sequence[float], budget: float
) -> list[int]:
    """Choose what is worth most together and fits a budget.

    Exact, for any numbers: of all affordable choices among the first items only those
    are kept that no other beats in both value and weight. Nemhauser and Ullmann 1969,
    "Discrete Dynamic Programming and Capital Allocation". The list of those is short
    unless weights are made to be awkward; it can double with every item.

    Args:
        values: Of each item, at least 0.
        weights: Of each item, at least 0.
        budget: What the weights of the chosen items may add up to.

    Returns:
        Indices of the chosen items, rising.

    Raises:
        ValueError: If there are not as many weights as values, or a number is negative
            or not finite.

    Example:
        >>> knapsack(values=[60, 100, 120], weights=[10, 20, 30], budget=50)
        [1, 2]
    """
    if len(values) != len(weights):
        raise ValueError(
            f"there are {len(values)} values and {len(weights)} weights: expected as "
            "many"
        )
    _check_all("values", values)
    _check_all("weights", weights)
    check_not_negative("budget", budget)
    front: list[_Choice] = [(0.0, 0.0, None)]
    for index, (value, weight) in enumerate(zip(values, weights, strict=True)):
        with_it: list[_Choice] = [
            (w + weight, v + value, (index, chosen))
            for w, v, chosen in front
            if w + weight <= budget
        ]
        both = heapq.merge(front, with_it, key=lambda c: (c[0], -c[1]))
        front, best = [], -1.0
        for choice in both:
            if choice[1] > best:
                front.append(choice)
                best = choice[1]
    found, chain = [], front[-1][2]
    while chain is not None:
        index, chain = chain
        found.append(index)
    return found[::-1]


_Choice = tuple[float, float, Any]  # weight, value, and the items as a linked list


def _check_all(name: str, numbers: Sequence[float]) -> None:
    for index, number in enumerate(numbers):
        check_not_negative(f"{name}[{index}]", number)
