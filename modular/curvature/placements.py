"""Where the factors of each layer live when several workers share a batch."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.distributed as dist
from torch import Tensor

from modular.allocation import fill_bins

__all__ = ["Local", "Owner", "Placement", "Replicated"]

Sizes = dict[str, tuple[int, int]]


@dataclass
class Placement:
    """Who builds factors, who inverts them, who divides, and what is sent for it.

    Layers are shared out so that the worker with most to invert has as little as can
    be, at ``m^3 + n^3`` a layer (:func:`modular.allocation.fill_bins`). Without
    ``torch.distributed`` there is one worker, and nothing is sent.
    """

    shares_factors: ClassVar[bool]
    owner_prepares: ClassVar[bool]
    owner_divides: ClassVar[bool]

    def __post_init__(self) -> None:
        self.owners: dict[str, int] = {}
        self.sent: Counter[str] = Counter()

    @property
    def workers(self) -> int:
        """How many workers there are."""
        return dist.get_world_size() if dist.is_initialized() else 1

    def assign(self, sizes: Sizes) -> None:
        """Choose the owner of every layer from its ``(m, n)``."""
        costs = [m**3 + n**3 for m, n in sizes.values()]
        bins = fill_bins(costs, self.workers) if costs else []
        self.owners = dict(zip(sizes, bins, strict=True))

    def mine(self, name: str) -> bool:
        """Whether this worker owns a layer."""
        return self.workers == 1 or self.owners[name] == dist.get_rank()

    def builds(self, name: str) -> bool:
        """Whether this worker keeps a layer's factors."""
        return self.shares_factors or self.mine(name)

    def prepares(self, name: str) -> bool:
        """Whether this worker inverts them."""
        return not self.owner_prepares or self.mine(name)

    def divides(self, name: str) -> bool:
        """Whether this worker divides the layer's gradient."""
        return not self.owner_divides or self.mine(name)

    def average(self, factors: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the mean of all workers' factors, where they are shared."""
        if self.workers > 1 and self.shares_factors:
            for factor in factors:
                self._count("factors", factor)
                dist.all_reduce(factor)
                factor /= self.workers
        return factors

    def tell(self, what: str, name: str, t: Tensor) -> Tensor:
        """Send the owner's tensor to all."""
        if self.workers > 1:
            t = t.contiguous()
            if self.mine(name):
                self._count(what, t)
            dist.broadcast(t, self.owners[name])
        return t

    def check_averaged(self, gradients: list[Tensor]) -> None:
        """Refuse gradients that differ from worker to worker."""
        if self.workers == 1:
            return
        mine = torch.stack([g.double().sum() for g in gradients])
        all_ = [torch.empty_like(mine) for _ in range(self.workers)]
        dist.all_gather(all_, mine)
        if any(not torch.equal(other, mine) for other in all_):
            raise RuntimeError(
                "gradients differ from worker to worker: expected them averaged, as "
                "DistributedDataParallel does, before step()"
            )

    def _count(self, what: str, t: Tensor) -> None:
        self.sent[what] += t.numel() * t.element_size()


class Replicated(Placement):
    r"""Every worker holds and inverts everything; the factors are averaged.

    Per layer and step a worker puts ``m^2 + n^2`` numbers into averages. It is K-FAC on
    the whole batch: ``A`` and ``G`` are means over equal shards. Called D-KFAC by
    Zhang, Shi, Wang and Li 2022 (IEEE Trans. Cloud Comput.), table 1.

    Example:
        >>> Replicated().workers
        1
    """

    shares_factors, owner_prepares, owner_divides = True, False, False


class Owner(Placement):
    r"""Factors are averaged; a layer's owner inverts and sends what it prepared.

    The inversions are shared out, for ``m^2 + n^2`` numbers more in a period. The
    results are those of :class:`Replicated`. Called MPD-KFAC by Zhang, Shi, Wang and Li
    2022, and KAISA with fraction 1 by Pauloski et al. 2021 (SC).

    Example:
        >>> Owner().workers
        1
    """

    shares_factors, owner_prepares, owner_divides = True, True, False


class Local(Placement):
    r"""A layer's owner builds its factors from its own share of the batch.

    Nothing is sent but the owner's divided gradient, ``m n`` numbers a step, and a
    worker holds factors of its own layers only. The factors are estimates from ``1/P``
    of the samples: this is *not* :class:`Replicated` unless the shares are alike.
    DP-KFAC of Zhang, Shi, Wang and Li 2022 (IEEE Trans. Cloud Comput.), section 4.
    (The letters stand for distributed preconditioning, not for differential privacy.)

    Example:
        >>> Local().workers
        1
    """

    shares_factors, owner_prepares, owner_divides = False, True, True
