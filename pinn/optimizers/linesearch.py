"""A line search for the strong Wolfe conditions."""

from collections.abc import Callable

from torch import Tensor

__all__ = ["strong_wolfe"]

Along = Callable[[float], tuple[float, float, Tensor]]
Point = tuple[float, float, float, Tensor | None]


def _cubic(a: Point, b: Point) -> float:
    """Minimise the cubic through two values and slopes; halve if there is none."""
    (s0, f0, d0, _), (s1, f1, d1, _) = a, b
    low, high = min(s0, s1), max(s0, s1)
    first = d0 + d1 - 3 * (f0 - f1) / (s0 - s1)
    square = first**2 - d0 * d1
    middle = (s0 + s1) / 2
    if not square >= 0:  # NaN too
        return middle
    root = square**0.5 * (1 if s1 > s0 else -1)
    below = d1 - d0 + 2 * root
    place = s1 - (s1 - s0) * (d1 + root - first) / below if below else middle
    margin = 0.1 * (high - low)
    return min(max(place, low + margin), high - margin)


def strong_wolfe(
    along: Along,
    f0: float,
    d0: float,
    step: float,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    evaluations: int = 25,
) -> tuple[float, float, Tensor] | None:
    """Find a step with ``f <= f0 + c1 s d0`` and ``|d| <= c2 |d0|``.

    Nocedal and Wright 2006, algorithms 3.5 and 3.6, with cubic interpolation.

    Args:
        along: Value, slope and gradient at a step.
        f0: Value at step 0.
        d0: Slope there, negative.
        step: First step to try.
        c1: Sufficient decrease.
        c2: Curvature.
        evaluations: How many calls at most.

    Returns:
        The step, the value and the gradient there; the best decrease if the conditions
        were not met in time, or None if nothing decreases.
    """
    low: Point = (0.0, f0, d0, None)
    high: Point | None = None
    best: tuple[float, float, Tensor] | None = None
    for _ in range(evaluations):
        f, d, g = along(step)
        point: Point = (step, f, d, g)
        if f < f0 and (best is None or f < best[1]):
            best = step, f, g
        if not f <= f0 + c1 * step * d0 or (low[3] is not None and f >= low[1]):
            high = point
        elif abs(d) <= -c2 * d0:
            return step, f, g
        elif d * ((high[0] if high else step + 1) - low[0]) >= 0:
            high, low = low, point
        else:
            low = point
        if high is None:
            step = 3 * step  # still falling steeply: go on
        elif abs(high[0] - low[0]) * abs(d0) <= 1e-16 * max(abs(f0), 1e-300):
            break
        else:
            step = _cubic(low, high)
    return best
