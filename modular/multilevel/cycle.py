"""The V-cycle: steps on coarse levels, where they are cheap, judged on the fine one."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from modular._checks import check_count, check_positive
from modular.multilevel.region import Function, Point, Region, Trial

__all__ = ["Transfer", "VCycle", "coherent"]


class Transfer(ABC):
    """How unknowns pass between a level and the next coarser one.

    Attributes:
        norm: Bound of the norm of the prolongation, so that a coarse step is not longer
            than the fine radius when it comes back.
    """

    norm: float

    @abstractmethod
    def prolong(self, t: Tensor) -> Tensor:
        """Return ``P t``: coarse unknowns, or a change of them, on the fine level.

        Args:
            t: On the coarse level. Shape ``(coarse,)``.

        Returns:
            On the fine level. Shape ``(fine,)``.
        """

    @abstractmethod
    def restrict_gradient(self, g: Tensor) -> Tensor:
        """Return ``P^T g``, the gradient for coarse unknowns.

        Args:
            g: On the fine level. Shape ``(fine,)``.

        Returns:
            On the coarse level. Shape ``(coarse,)``.
        """

    @abstractmethod
    def restrict_iterate(self, theta: Tensor) -> Tensor:
        """Return coarse unknowns like fine ones; not ``P^T``, whose rows add to 2.

        Args:
            theta: On the fine level. Shape ``(fine,)``.

        Returns:
            On the coarse level. Shape ``(coarse,)``.
        """


def coherent(coarse: Function, start: Point, gradient: Tensor) -> Function:
    r"""Return the coarse model with the fine level's gradient at its start.

    .. math:: H(t) = L_c(t) + \langle P^T g_f - \nabla L_c(t_0), t - t_0 \rangle

    so that ``d/de H(t_0 + e d) = <g_f, P d>``: the first-order coherence of Nash 2000
    (MG/OPT) and of Gratton, Sartenaer and Toint 2008.

    Args:
        coarse: ``L_c``.
        start: ``t_0``, with ``L_c`` there.
        gradient: ``P^T g_f``. Shape ``(coarse,)``.

    Returns:
        ``H``.

    Example:
        >>> import torch
        >>> def bowl(t):
        ...     return t @ t / 2, t
        >>> H = coherent(bowl, Point.at(bowl, torch.ones(2)), torch.tensor([5.0, 0.0]))
        >>> H(torch.ones(2))[1]
        tensor([5., 0.])
    """
    shift = gradient - start.gradient

    def model(t: Tensor) -> tuple[Tensor, Tensor]:
        value, own = coarse(t)
        return value + shift @ (t - start.theta), own + shift

    return model


@dataclass
class VCycle:
    r"""Minimise by trust-region steps on several levels of one problem.

    On each level but the coarsest: ``before`` steps; then the coherent coarse model is
    lowered by the same method on the next level, no further than the radius allows; its
    result comes back as ``s = P (t^* - t_0)``, is judged by the fine function against
    the decrease of the coarse model, accepted or rejected, and the radius adapts; then
    ``after`` steps. With one level it is the plain trust region. Gratton, Sartenaer and
    Toint 2008 (recursive trust region); Kopanicakova and Krause 2022, "Globally
    convergent multilevel training of deep residual networks". Differs: the paper was
    read in its abstract; the step is the standard one.

    Args:
        transfers: Between the levels, finest first.
        regions: One for each level, finest first.
        before: Steps of a level before the coarse one.
        after: Steps after it.
        coarsest: Steps on the coarsest level, where there are several.
        reach: First radius of what coarse levels propose, which then adapts by itself.
            A coarse model and an L-SR1 matrix deserve different trust: with one radius
            for both, a poor matrix holds back a good coarse model. None: one radius, as
            in the papers.

    Raises:
        TypeError: If a number of steps is not an int.
        ValueError: If it is negative, ``reach`` is not positive, or regions are not one
            more than transfers.

    Example:
        >>> import torch
        >>> from modular.multilevel import LSR1
        >>> def bowl(theta):
        ...     return theta @ theta / 2, theta
        >>> cycle = VCycle([], [Region(1.0, LSR1(memory=2))])
        >>> at, trials = cycle([bowl], Point.at(bowl, torch.ones(2)))
        >>> len(trials), float(at.value) < 0.1
        (2, True)
    """

    transfers: Sequence[Transfer]
    regions: Sequence[Region]
    before: int = 1
    after: int = 1
    coarsest: int = 5
    reach: float | None = None

    def __post_init__(self) -> None:
        for name in ("before", "after", "coarsest"):
            check_count(name, getattr(self, name), least=0)
        if len(self.regions) != len(self.transfers) + 1:
            raise ValueError(
                f"there are {len(self.regions)} regions for {len(self.transfers)} "
                "transfers: expected one for each level, one more than transfers"
            )
        self._judges = self.regions  # of coarse proposals
        if self.reach is not None:
            check_positive("reach", self.reach)
            self._judges = [
                Region(self.reach, region.curvature, region.least)
                for region in self.regions
            ]

    def __call__(
        self, functions: Sequence[Function], at: Point
    ) -> tuple[Point, list[Trial]]:
        """Go down to the coarsest level and up again, once.

        Args:
            functions: One for each level, finest first, on the same samples.
            at: Where the finest level is.

        Returns:
            The point after, and every step that the finest level has tried.

        Raises:
            ValueError: If there is not one function for each level.
        """
        if len(functions) != len(self.regions):
            raise ValueError(
                f"there are {len(functions)} functions for {len(self.regions)} levels: "
                "expected one for each"
            )
        return self._cycle(0, functions, at, float("inf"))

    def nested(
        self, functions: Sequence[Function], theta: Tensor, steps: int | Sequence[int]
    ) -> Point:
        """Begin on the coarsest level: minimise there first, then prolong, and so on.

        Nested iteration, or the cascadic multigrid method of Bornemann and Deuflhard
        1996: by plain trust-region steps, so that a first point of the finest level
        costs gradients of coarse levels only. Cycles go on from there.

        Args:
            functions: One for each level, finest first.
            theta: Unknowns of the finest level. Shape ``(n,)``.
            steps: On each level but the finest: one number, or one for each, those
                of the coarsest level last.

        Returns:
            The point on the finest level.

        Raises:
            TypeError: If a number of steps is not an int.
            ValueError: If one is not positive, or there is not one for each level.
        """
        coarse = len(self.transfers)
        each = [steps] * max(1, coarse) if isinstance(steps, int) else [*steps]
        for count in each:
            check_count("steps", count, least=1)
        if coarse and len(each) != coarse:
            raise ValueError(
                f"there are {len(each)} numbers of steps for {coarse} coarse levels: "
                "expected one number, or one for each"
            )
        for transfer in self.transfers:
            theta = transfer.restrict_iterate(theta)
        for level in range(len(self.transfers), 0, -1):
            region, f = copy.deepcopy(self.regions[level]), functions[level]
            at = Point.at(f, theta)
            for _ in range(each[level - 1]):
                at, _ = region.step(f, at)
            theta = self.transfers[level - 1].prolong(at.theta)
        return Point.at(functions[0], theta)

    def _cycle(
        self, level: int, functions: Sequence[Function], at: Point, limit: float
    ) -> tuple[Point, list[Trial]]:
        """Lower the function of a level, no further than ``limit`` from here."""
        start, trials = at.theta, []
        bottom = level == len(self.regions) - 1
        steps = self.before
        if bottom and level > 0:
            steps = self.coarsest - self.after
        for stage in (steps, None, self.after):
            if stage is None and not bottom:
                at, trial = self._coarse(level, functions, at, start, limit)
                trials.append(trial)
            for _ in range(stage or 0):
                gone = float((at.theta - start).norm())
                if gone >= (1 - 1e-9) * limit:
                    break
                region, f = self.regions[level], functions[level]
                at, trial = region.step(f, at, limit - gone)
                trials.append(trial)
        return at, trials

    def _coarse(
        self,
        level: int,
        functions: Sequence[Function],
        at: Point,
        start: Tensor,
        limit: float,
    ) -> tuple[Point, Trial]:
        """Try what the next coarser level proposes."""
        judge, transfer = self._judges[level], self.transfers[level]
        plain = Point.at(functions[level + 1], transfer.restrict_iterate(at.theta))
        gradient = transfer.restrict_gradient(at.gradient)
        model = coherent(functions[level + 1], plain, gradient)
        begin = Point(plain.theta, plain.value, gradient)
        left = min(judge.radius, limit - float((at.theta - start).norm()))
        if left <= 1e-12 or not float(gradient.norm()) > 0:
            return at, Trial(float("nan"), False, 0.0, 0.0, coarse=True)
        inner = [*functions]
        inner[level + 1] = model
        end, _ = self._cycle(level + 1, inner, begin, left / transfer.norm)
        predicted = float(begin.value - end.value)
        if not predicted > 0:
            return at, Trial(float("nan"), False, predicted, 0.0, coarse=True)
        s = transfer.prolong(end.theta - begin.theta)
        there = Point.at(functions[level], at.theta + s)
        judge.learn(s, at, there)
        return judge.judge(at, there, predicted, coarse=True)
