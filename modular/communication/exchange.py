"""Average gradients by short messages: a hook for ``DistributedDataParallel``."""

import copy

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C._distributed_c10d import GradBucket
from torch.nn.parallel import DistributedDataParallel

from modular._checks import check_kind
from modular.communication.base import Compressor, Message

__all__ = ["Exchange"]


class Exchange:
    r"""Let workers send compressed gradients in place of gradients.

    .. math:: \bar g = \frac1P \sum_{p=1}^{P} Q_p(g_p)

    Every tensor of a model is compressed by itself, in DDP's buckets: one message a
    bucket, gathered by all, decoded by all, averaged in the order of ranks, so that all
    workers take bitwise the same step. For ``P`` workers each message travels to
    ``P - 1`` others; the plain average is an all-reduce, where each worker sends about
    two gradients however many there are. ``sent`` counts what this worker puts into
    its messages, ``plain`` what its gradients would have been. The exchange is that
    of Alistarh et al. 2017 (NeurIPS), algorithm 1.

    Args:
        compressor: Of every tensor, which takes a copy of its own, so that
            :class:`ErrorFeedback` keeps a memory for each.

    Raises:
        TypeError: If it is no compressor.

    Attributes:
        sent: Bytes of this worker's messages.
        plain: Bytes of the gradients they stand for.
        senders: The copies, by the names of the parameters; keep them to go on later.

    Example:
        >>> from modular.communication import QSGD
        >>> Exchange(QSGD(7)).sent
        0
    """

    def __init__(self, compressor: Compressor) -> None:
        check_kind("compressor", compressor, Compressor, ", as TopK(0.01)")
        self.compressor, self.sent, self.plain = compressor, 0, 0
        self.senders: dict[str, Compressor] = {}
        self._names: dict[Tensor, str] = {}

    def attach(self, model: DistributedDataParallel) -> None:
        """Average this model's gradients from now on.

        Args:
            model: As DDP wraps it.

        Raises:
            TypeError: If it is not wrapped.
        """
        if not isinstance(model, DistributedDataParallel):
            raise TypeError(
                f"model is a {type(model).__name__}: expected a DistributedDataParallel"
            )
        self._names |= {p: name for name, p in model.module.named_parameters()}
        for name in self._names.values():
            self.senders.setdefault(name, copy.copy(self.compressor))
        model.register_comm_hook(None, self._average)

    def _average(self, state: None, bucket: GradBucket) -> torch.futures.Future[Tensor]:
        """Send a bucket's messages; the future is the average of all."""
        gradients = bucket.gradients()
        senders = [self.senders[self._names[p]] for p in bucket.parameters()]
        parts = [c.encode(g) for c, g in zip(senders, gradients, strict=True)]
        message = torch.cat([_bytes(t) for part in parts for t in part])
        self.sent += len(message)
        self.plain += bucket.buffer().numel() * bucket.buffer().element_size()
        ranks = dist.get_world_size()
        heard = message.new_empty(ranks * len(message))
        work = dist.all_gather_into_tensor(heard, message, async_op=True)

        def decoded(_: torch.futures.Future) -> Tensor:
            mean = torch.zeros_like(bucket.buffer())
            for row in heard.view(ranks, -1):
                mean += self._decode(row, parts, gradients) / ranks
            return mean

        return work.get_future().then(decoded)

    def _decode(self, row: Tensor, like: list[Message], shapes: list[Tensor]) -> Tensor:
        """Return the gradients that a rank's bytes stand for, one after the other."""
        found, start = [], 0
        for part, g in zip(like, shapes, strict=True):
            message = []
            for t in part:
                stop = start + t.numel() * t.element_size()
                message.append(row[start:stop].clone().view(t.dtype).view_as(t))
                start = stop
            found.append(self.compressor.decode(tuple(message), g).flatten())
        return torch.cat(found)


def _bytes(t: Tensor) -> Tensor:
    """Return a tensor's numbers as bytes."""
    return t.contiguous().flatten().view(torch.uint8)
