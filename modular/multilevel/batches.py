"""Batches that grow: from noisy steps to the whole data set."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from modular._checks import check_count, check_positive
from modular.multilevel.region import Function, Point, Region, Trial

__all__ = ["ASNTR", "Overlapping"]

On = Callable[[Tensor], Function]  # which samples -> the loss on them


@dataclass
class ASNTR:
    r"""Trust-region steps on samples that grow when an additional sample says so.

    After a step on ``N_k`` samples, a few others are asked: unless

    .. math:: f_D(\theta + p) \le f_D(\theta) - \nu \| \nabla f_D(\theta) \|^2 + t_k,
              \qquad t_k = (k + 1)^{-1.1}

    the sample was too small: the step is taken back and the sample grows. On the whole
    set it is the plain trust region. After Krejic, Krklec Jerinkic, Martinez and
    Yousefi 2024, "A non-monotone trust-region method with noisy oracles and additional
    sampling" (constants as in their code; the relaxation ``t_k`` times ``slack``).

    Args:
        region: Steps and radius.
        rows: Samples in all.
        size: ``N_0``.
        extra: Samples of ``D``.
        growth: Factor by which a sample grows, by one at least.
        slack: Of the relaxation.
        generator: Draws the samples; None is torch's global one.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If one is not positive, or ``size`` exceeds ``rows``.

    Example:
        >>> from modular.multilevel import LSR1
        >>> a = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
        >>> def on(index):
        ...     b = a[index]
        ...     return lambda t: ((t - b).square().sum() / len(b) / 2, t - b.mean(0))
        >>> method = ASNTR(Region(1.0, LSR1(memory=2)), rows=50, size=5)
        >>> theta = torch.ones(2)
        >>> for _ in range(20):
        ...     theta, trial = method.step(on, theta)
        >>> 5 <= method.size <= 50
        True
    """

    region: Region
    rows: int
    size: int
    extra: int = 1
    growth: float = 1.5
    slack: float = 1.0
    generator: torch.Generator | None = None
    nu = 1e-4

    def __post_init__(self) -> None:
        self.steps = 0
        for name in ("rows", "size", "extra"):
            check_count(name, getattr(self, name), least=1)
        check_positive("slack", self.slack)
        if self.size > self.rows:
            raise ValueError(f"size is {self.size} but there are {self.rows} rows")
        if not 1 < self.growth < float("inf"):
            raise ValueError(f"growth is {self.growth}: expected more than 1")

    def step(self, on: On, theta: Tensor) -> tuple[Tensor, Trial]:
        """Draw a sample, try a step, ask the additional sample.

        Args:
            on: Returns the loss on some samples, as a function of the parameters.
            theta: Where. Shape ``(n,)``.

        Returns:
            Where it is now, shape ``(n,)``, and what happened.
        """
        f = on(self._draw(self.size))
        at = Point.at(f, theta)
        end, trial = self.region.step(f, at)
        relaxed = self.slack * (self.steps + 1) ** -1.1
        self.steps += 1
        if self.size < self.rows and trial.accepted:
            asked = on(self._draw(self.extra))
            before, after = (Point.at(asked, t) for t in (theta, end.theta))
            least = self.nu * float(before.gradient.square().sum())
            if float(after.value) > float(before.value) - least + relaxed:
                larger = max(self.size + 1, int(self.growth * self.size))
                self.size = min(self.rows, larger)
                return theta, trial
        return end.theta, trial

    def _draw(self, size: int) -> Tensor:
        if size == self.rows:
            return torch.arange(self.rows)
        return torch.randperm(self.rows, generator=self.generator)[:size]


@dataclass
class Overlapping:
    """Batches that share samples with the next one, and double when they mislead.

    A secant pair must see the same samples at both ends: it is taken from the overlap
    of two batches. After an epoch the decrease of the full loss is compared with the
    sum of the decreases that the model promised; below ``least`` the batch doubles,
    until it is the whole set. Kopanicakova and Krause 2022 (dynamic sample sizes, as
    told by others; their constants were not read); overlaps: Berahas, Nocedal and Takac
    2016.

    Args:
        rows: Samples in all.
        size: Of the first batches, their overlaps included.
        share: Of a batch that overlaps with the next.
        least: Ratio of actual and promised decrease.
        generator: Shuffles; None is torch's global one.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If one is not positive, ``size`` exceeds ``rows``, or ``share`` is
            not between 0 and 1/2.

    Example:
        >>> batches = Overlapping(rows=100, size=20)
        >>> batches.grow(actual=0.1, promised=1.0), batches.size
        (True, 40)
    """

    rows: int
    size: int
    share: float = 0.2
    least: float = 0.5
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        for name in ("rows", "size"):
            check_count(name, getattr(self, name), least=1)
        if self.size > self.rows:
            raise ValueError(f"size is {self.size} but there are {self.rows} rows")
        if not 0 < self.share < 0.5:
            raise ValueError(f"share is {self.share}: expected between 0 and 1/2")

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches, and for each the part that it shares with the next.

        Returns:
            Indices of a batch, and of its overlap. Together they see every sample; the
            whole set is its own overlap.
        """
        order = torch.randperm(self.rows, generator=self.generator)
        shared = max(1, int(self.share * self.size))
        if self.size >= self.rows:
            yield torch.arange(self.rows), torch.arange(self.rows)
            return
        stride = max(1, self.size - shared)
        for start in range(0, self.rows, stride):
            wrapped = torch.arange(start, start + self.size) % self.rows
            yield order[wrapped], order[wrapped[-shared:]]

    def grow(self, actual: float, promised: float) -> bool:
        """Double the batch if an epoch kept too little of what it promised.

        Args:
            actual: Decrease of the loss on all samples over the epoch.
            promised: Sum of the decreases that accepted steps predicted.

        Returns:
            Whether it has grown.
        """
        if self.size >= self.rows or (promised > 0 and actual / promised >= self.least):
            return False
        self.size = min(self.rows, 2 * self.size)
        return True
