"""Where the factors of each layer live when several workers share a batch."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.distributed as dist
from torch import Tensor

from modular.allocation import Share, fill_bins

__all__ = ["Fraction", "Local", "Owner", "Placement", "Replicated"]

Shapes = dict[str, tuple[tuple[int, ...], ...]]


def cost(shapes: tuple[tuple[int, ...], ...]) -> int:
    """Return what inverting costs: ``d^3`` a factor, ``d`` where it is diagonal."""
    return sum(shape[0] ** (3 if len(shape) == 2 else 1) for shape in shapes)


@dataclass(kw_only=True)
class Placement:
    """Who builds factors, who inverts them, who divides, and what is sent for it.

    Workers stand in a grid with as many columns as there are copies of a divided
    gradient to send: a layer's owner inverts, sends its results down its column, and
    all of the column divide and send along their rows. Without ``torch.distributed``
    there is one worker, and nothing is sent.

    Args:
        share: Gives layers to workers by what inverting costs: ``fill_bins`` or
            ``round_robin`` of :mod:`modular.allocation`.
    """

    share: Share = fill_bins

    shares_factors: ClassVar[bool] = True
    owner_prepares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.owners: dict[str, int] = {}
        self.sent: Counter[str] = Counter()
        self._column: dist.ProcessGroup | None = None  # None: all workers
        self._row: dist.ProcessGroup | None = None

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return dist.get_world_size() if dist.is_initialized() else 1

    @property
    def rank(self) -> int:
        """Which of them this one is."""
        return dist.get_rank() if dist.is_initialized() else 0

    @property
    def columns(self) -> int:
        """Into how many groups workers fall; a layer is divided in one of them."""
        return 1

    def assign(self, shapes: Shapes) -> None:
        """Choose the owner of every layer from the shapes of its factors."""
        workers, columns = self.workers, self.columns
        homes = self.share([cost(each) for each in shapes.values()], workers)
        self.owners = dict(zip(shapes, homes, strict=True))
        if 1 < columns < workers:
            grid = torch.arange(workers).view(-1, columns).tolist()
            for ranks in grid:  # everyone has to take part in making every group
                group = dist.new_group(ranks)
                self._row = group if self.rank in ranks else self._row
            for ranks in zip(*grid, strict=True):
                group = dist.new_group(list(ranks))
                self._column = group if self.rank in ranks else self._column

    def mine(self, name: str) -> bool:
        """Whether this worker owns a layer."""
        return self.owners[name] == self.rank

    def builds(self, name: str) -> bool:
        """Whether this worker keeps a layer's factors."""
        return self.shares_factors or self.mine(name)

    def prepares(self, name: str) -> bool:
        """Whether this worker inverts them."""
        return not self.owner_prepares or self.mine(name)

    def divides(self, name: str) -> bool:
        """Whether this worker divides the layer's gradient."""
        return (self.owners[name] - self.rank) % self.columns == 0

    def average(self, factors: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the mean of all workers' factors, where they are shared."""
        if self.workers > 1 and self.shares_factors:
            for factor in factors:
                self._count("factors", factor)
                dist.all_reduce(factor)
                factor /= self.workers
        return factors

    def tell_column(self, name: str, t: Tensor) -> Tensor:
        """Send what the owner prepared to all that divide."""
        if self.owner_prepares and self.columns < self.workers:
            t = self._tell("inverses", t, self.owners[name], self._column)
        return t

    def tell_row(self, name: str, t: Tensor) -> Tensor:
        """Send a divided gradient to those that do not divide."""
        if self.columns > 1:
            first = self.rank - self.rank % self.columns  # of this row
            source = first + self.owners[name] % self.columns
            t = self._tell("gradients", t, source, self._row)
        return t

    def check_averaged(self, gradients: list[Tensor]) -> None:
        """Refuse gradients that differ from worker to worker."""
        if self.workers == 1:
            return
        mine = torch.stack([g.double().sum() for g in gradients])
        all_ = [torch.empty_like(mine) for _ in range(self.workers)]
        self._count("checks", mine)
        dist.all_gather(all_, mine)
        if any(not torch.equal(other, mine) for other in all_):
            raise RuntimeError(
                "gradients differ from worker to worker: expected them averaged, as "
                "DistributedDataParallel does, before step()"
            )

    def _tell(
        self, what: str, t: Tensor, source: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        """Send a tensor from one worker to all of a group."""
        t = t.contiguous()
        if source == self.rank:
            self._count(what, t)
        if t.numel():
            dist.broadcast(t, source, group)
        return t

    def _count(self, what: str, t: Tensor) -> None:
        self.sent[what] += t.numel() * t.element_size()


class Replicated(Placement):
    r"""Every worker holds and inverts everything; the factors are averaged.

    Per layer and step a worker puts ``m^2 + n^2`` numbers into averages. It is K-FAC on
    the whole batch: ``A`` and ``G`` are means over equal shards. Called D-KFAC by
    Zhang, Shi, Wang and Li 2022 (IEEE Trans. Cloud Comput.), table 1.

    Args:
        share: Gives layers to workers, ``fill_bins`` or ``round_robin``.

    Example:
        >>> Replicated().workers
        1
    """

    owner_prepares = False


class Owner(Placement):
    r"""Factors are averaged; a layer's owner inverts and sends what it prepared.

    The inversions are shared out, for ``m^2 + n^2`` numbers more in a period. The
    results are those of :class:`Replicated`. Called MPD-KFAC by Zhang, Shi, Wang and Li
    2022, and KAISA with fraction 1 by Pauloski et al. 2021 (SC).

    Args:
        share: Gives layers to workers, ``fill_bins`` or ``round_robin``.

    Example:
        >>> Owner().workers
        1
    """


@dataclass
class Fraction(Placement):
    r"""Factors are averaged; a fraction of the workers divides, the rest are told.

    Of ``P`` workers ``f P`` hold what a layer's owner prepared and divide its gradient;
    each sends it to ``1/f - 1`` others, ``m n`` numbers a step. Between the two ends,
    memory is paid for with traffic: ``f = 1`` is :class:`Owner`, ``f = 1/P`` leaves
    what was prepared with its owner alone. The results are those of
    :class:`Replicated`. KAISA of Pauloski et al. 2021 (SC), section 3. All workers keep
    the averaged factors.

    Args:
        fraction: ``f``, of which ``f P`` must be a whole number that divides ``P``; a
            single worker takes any.
        share: Gives layers to workers, ``fill_bins`` or ``round_robin``.

    Raises:
        ValueError: If it is not in (0, 1], or no share of the workers that are there.

    Example:
        >>> Fraction(1 / 2).columns
        1
    """

    fraction: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.fraction <= 1:
            raise ValueError(
                f"fraction is {self.fraction}: expected a number in (0, 1]"
            )

    @property
    def columns(self) -> int:
        """``1/f``, of more than one worker."""
        workers = self.workers
        if workers == 1:
            return 1
        found = round(1 / self.fraction)
        if abs(found * self.fraction - 1) > 1e-9 or workers % found:
            shares = [f"{k}/{workers}" for k in range(1, workers) if workers % k == 0]
            raise ValueError(
                f"fraction is {self.fraction} of {workers} workers: expected one of "
                f"{', '.join(shares)}, or 1"
            )
        return found


class Local(Placement):
    r"""A layer's owner builds its factors from its own share of the batch.

    Nothing is sent but the owner's divided gradient, ``m n`` numbers a step, and a
    worker holds factors of its own layers only. The factors are estimates from ``1/P``
    of the samples: this is *not* :class:`Replicated` unless the shares are alike.
    DP-KFAC of Zhang, Shi, Wang and Li 2022 (IEEE Trans. Cloud Comput.), section 4.
    (The letters stand for distributed preconditioning, not for differential privacy.)

    Args:
        share: Gives layers to workers, ``fill_bins`` or ``round_robin``.

    Example:
        >>> Local().workers
        1
    """

    shares_factors = False

    @property
    def columns(self) -> int:
        """One column a worker: the owner divides alone."""
        return self.workers
