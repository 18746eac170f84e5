"""Local SGD: workers go alone, and meet every few steps."""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import nn

from modular._checks import check_count

__all__ = ["LocalSGD"]


class LocalSGD:
    r"""Average once in ``period`` steps, in place of every step.

    .. math:: w_p \leftarrow w_p - \eta\, g_p \quad\text{and every } H \text{ steps}
              \quad w_p \leftarrow \frac1P \sum_q (w_q - \eta\, g_q)

    The average of the right-hand side is taken before the step, of weights and of
    gradients: for a step that is linear in both it is the same, and with ``period`` 1
    it is ``DistributedDataParallel``, bit for bit, for any optimiser. Optimisers with
    momentum keep their own between the meetings. The messages are ``2 / H`` of those
    of averaged gradients (1 for ``H = 1``, where the weights never part). McMahan,
    Moore, Ramage, Hampson and Agüera y Arcas 2017 (AISTATS); Stich 2019 (ICLR).

    Args:
        parameters: Of the model, equal on all workers at the start.
        period: ``H``, steps from one meeting to the next.

    Raises:
        TypeError: If ``period`` is not an int.
        ValueError: If it is less than 1, or there is nothing to average.

    Attributes:
        sent: Bytes that this worker has put into averages.

    Example:
        >>> import torch
        >>> local = LocalSGD(torch.nn.Linear(3, 2).parameters(), period=8)
        >>> local.sent
        0
    """

    def __init__(self, parameters: Iterable[nn.Parameter], period: int) -> None:
        check_count("period", period, least=1)
        self.parameters = [p for p in parameters if p.requires_grad]
        if not self.parameters:
            raise ValueError("parameters are none that train: expected at least one")
        self.period, self.steps, self.sent = period, 0, 0

    @torch.no_grad()
    def average(self) -> None:
        """Count a step, and meet if it is time: between ``backward`` and ``step``.

        Raises:
            ValueError: If a parameter has no gradient when the workers meet.
        """
        self.steps += 1
        if self.steps % self.period:
            return
        for number, p in enumerate(self.parameters):
            if p.grad is None:
                raise ValueError(
                    f"parameter {number} has no gradient: expected average() between "
                    "backward() and step()"
                )
        together = [p.grad for p in self.parameters if p.grad is not None]
        if self.period > 1:
            together += [p.data for p in self.parameters]
        flat = torch.cat([t.flatten() for t in together]) / dist.get_world_size()
        dist.all_reduce(flat)
        self.sent += flat.numel() * flat.element_size()
        for t, mean in zip(
            together, flat.split([t.numel() for t in together]), strict=True
        ):
            t.copy_(mean.view_as(t))
