"""Steps whose lengths the solution chooses, by an estimate of their errors."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unroll._checks import check_count, check_number
from unroll.ode.tableau import DOPRI5, Embedded, Field

__all__ = ["Adaptive", "Steps"]


@dataclass(frozen=True)
class Steps:
    """The steps that were chosen: data like any other.

    Args:
        t: Times, the first and the last one included. Shape ``(chosen,)``.
        rejected: Steps that were tried and were too long.
        looks: Evaluations of the field.

    Example:
        >>> Steps(torch.linspace(0, 1, 11), rejected=2, looks=73).accepted
        10
    """

    t: Tensor
    rejected: int
    looks: int

    @property
    def accepted(self) -> int:
        """How many steps lead from the first time to the last."""
        return len(self.t) - 1


@dataclass(frozen=True)
class Adaptive:
    r"""Choose each step so that its error is about what is tolerated.

    .. math:: \epsilon = \Big\| \frac{e}{a + r \max(|x|, |x^+|)} \Big\|, \qquad
              h^+ = h \cdot 0.9 \, \epsilon^{-0.85 / p} \, \epsilon_-^{0.2 / p}

    with the root of the mean square over the whole batch, the order ``p``, and the
    error ``e`` of an :class:`~unroll.ode.tableau.Embedded` method: a step with
    ``epsilon`` above 1 is rejected and tried again, shorter. A controller with a
    proportional and an integral part (Gustafsson 1991, ACM Trans. Math. Softw. 17(4)),
    with the numbers of the code of Hairer, Norsett and Wanner 1993, Solving Ordinary
    Differential Equations I, section II.4, as is the first step. The times
    that are asked for are hit. The lengths are data, not functions of the parameters:
    gradients are those of the accepted steps, as if they had been given.

    Args:
        pair: The method, ``BOSH3`` or ``DOPRI5``.
        rtol: Tolerated part ``r`` of the state.
        atol: Tolerated error ``a`` where the state is small.
        limit: Most steps to try.

    Raises:
        TypeError: If ``pair`` does not estimate its error, a tolerance is no number, or
            ``limit`` no int.
        ValueError: If ``rtol`` is negative, ``atol`` or ``limit`` not positive.

    Example:
        >>> from unroll.ode import odeint
        >>> x0, t = torch.ones(1, 1, dtype=torch.float64), torch.tensor([0.0, 5.0])
        >>> method = Adaptive(rtol=1e-8, atol=1e-10)
        >>> odeint(lambda t, x: -x, x0, t.double(), method).log()
        tensor([[-5.0000]], dtype=torch.float64)
        >>> method.steps(lambda t, x: -x, x0, t.double()).accepted < 100
        True
    """

    pair: Embedded = DOPRI5
    rtol: float = 1e-6
    atol: float = 1e-8
    limit: int = 10_000

    def __post_init__(self) -> None:
        if not isinstance(self.pair, Embedded):
            raise TypeError(
                f"pair is {self.pair!r}: expected a method that estimates its error, "
                "BOSH3 or DOPRI5"
            )
        check_number("rtol", self.rtol)
        check_number("atol", self.atol)
        check_count("limit", self.limit, least=1)
        if not (0 <= self.rtol < math.inf and 0 < self.atol < math.inf):
            raise ValueError(
                f"rtol is {self.rtol} and atol {self.atol}: expected rtol >= 0 and "
                "atol > 0"
            )

    def _check(self, x0: Tensor) -> None:
        """Refuse a tolerance that the numbers of a state cannot resolve."""
        least = 10 * torch.finfo(x0.dtype).eps
        if self.rtol < least and self.atol < least * x0.abs().max().item():
            raise ValueError(
                f"rtol is {self.rtol:g} and atol {self.atol:g}, below the rounding of "
                f"{x0.dtype}: expected rtol of at least {least:.1e}"
            )

    def steps(self, field: Field, x0: Tensor, t: Tensor) -> Steps:
        """Return the steps that a solution takes, without a graph.

        Args:
            field: Right side ``f(t, x)``.
            x0: State at the first time. Shape ``(batch, ...)``.
            t: Times that are to be hit, rising or falling. Shape ``(times,)``.

        Returns:
            Times, and how many steps were rejected.

        Raises:
            FloatingPointError: If more steps than ``limit`` are wanted, or a step is
                too short for the numbers.
            ValueError: If the tolerances are below rounding.
        """
        walk = Walk(self, field, x0, t)
        times = [time for time, _ in walk]
        return Steps(torch.stack(times), walk.rejected, walk.looks)


@dataclass
class Walk:
    """One solution under way: yields the time and the state before and after steps."""

    method: Adaptive
    field: Field
    x0: Tensor
    t: Tensor
    rejected: int = field(default=0, init=False)
    looks: int = field(default=0, init=False)
    before: float = field(default=1.0, init=False)  # size of the last error

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.method._check(self.x0)
        now, x = self.t[0], self.x0.detach()
        yield now, x
        with torch.no_grad():
            first = self._look(now, x)
            h, tried = self._first_step(now, x, first), 0
            for end in self.t[1:]:
                while now != end:
                    tried += 1
                    self._check_step(now, end, h, tried)
                    last = abs(h) >= 0.999 * abs((end - now).item())
                    after = end if last else now + h
                    new, error, f = self.method.pair.attempt(
                        self._look, now, after - now, x, first
                    )
                    size = self._size(error, x, new)
                    change = self._change(size)
                    if size <= 1:
                        if not last or change < 1:  # a short last step tells little
                            h = (after - now).item() * change
                        now, x, first = after, new, f
                        yield now, x
                    else:
                        self.rejected += 1
                        h = (after - now).item() * min(change, 0.9)

    def _look(self, t: Tensor, x: Tensor) -> Tensor:
        self.looks += 1
        return self.field(t, x)

    def _size(self, error: Tensor, x: Tensor, new: Tensor) -> float:
        """Return the error in units of what is tolerated; infinite if it is NaN."""
        allowed = self.method.atol + self.method.rtol * torch.maximum(
            x.abs(), new.abs()
        )
        size = (error / allowed).square().mean().sqrt().item()
        return size if math.isfinite(size) else math.inf

    def _change(self, size: float) -> float:
        """Return the factor of the next step, and remember the error."""
        if size == math.inf:
            return 0.1
        order, size = self.method.pair.order, max(size, 1e-10)
        memory = self.before ** (0.2 / order)
        if size > 1:
            return max(0.2, 0.9 * size ** (-1 / order))
        self.before = max(size, 1e-4)
        return min(10.0, max(0.2, 0.9 * size ** (-0.85 / order) * memory))

    def _first_step(self, t: Tensor, x: Tensor, f: Tensor) -> float:
        """Return a first length: an Euler step of it would change little."""
        span = (self.t[-1] - t).item()
        state, slope = self._size(x, x, x), self._size(f, x, x)
        h = 0.01 * state / slope if min(state, slope) > 1e-5 else 1e-6
        h = math.copysign(min(h, abs(span)), span)
        bend = self._size(self._look(t + h, x + h * f) - f, x, x) / abs(h)
        steepest = max(slope, bend, 1e-15)
        again = (0.01 / steepest) ** (1 / self.method.pair.order)
        return math.copysign(min(100 * abs(h), again, abs(span)), span)

    def _check_step(self, now: Tensor, end: Tensor, h: float, tried: int) -> None:
        """Refuse a solution that wants too many steps, or too short ones."""
        advice = (
            "expected a field that is not stiff here, larger tolerances, or given "
            "times and an implicit method, as SDIRK2"
        )
        if tried > self.method.limit:
            raise FloatingPointError(
                f"{self.method.limit} steps have come to t = {now.item():.4g} of "
                f"{end.item():.4g}, and the next is {abs(h):.1e} long: {advice}, or a "
                "larger limit"
            )
        if not now + h != now:
            raise FloatingPointError(
                f"a step of {abs(h):.1e} is too short at t = {now.item():.4g}: {advice}"
            )
