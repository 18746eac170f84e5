"""Runs that leave no trace: a measurement must not train what it measures."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from modular.partition import Block
from modular.training import Trainer
from modular.transport import InProcess


@contextmanager
def untouched(trainer: Trainer) -> Iterator[None]:
    """Put weights, statistics, gradients and chance back when done.

    Raises:
        TypeError: If the modules do not live in this process.
    """
    if not isinstance(trainer.transport, InProcess):
        raise TypeError(
            f"transport is {trainer.transport!r}: expected InProcess(), because "
            "measurements need all modules in one process"
        )
    partition = trainer.partition
    tensors = [*partition.parameters(), *partition.buffers()]
    before = [(tensor, tensor.detach().clone()) for tensor in tensors]
    modes = [(part, part.training) for part in partition.modules()]
    chance = [
        (w, w.generator.get_state(), list(w.chance)) for w in trainer.workers.values()
    ]
    own, sent = trainer.generator.get_state(), trainer.transport.sent.copy()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, values in before:
                    tensor.copy_(values)
            for part, training in modes:
                part.training = training
            for worker, state, dropout in chance:
                worker.generator.set_state(state)
                worker.chance = dropout
                worker.release()
            partition.zero_grad(set_to_none=True)
            trainer.generator.set_state(own)
            trainer.transport.sent.clear()
            trainer.transport.sent.update(sent)


def gradients(block: Block) -> dict[str, Tensor]:
    """Return copies of the gradients of a block's layers, its head left out."""
    named = block.net.named_parameters()
    return {name: p.grad.clone() for name, p in named if p.grad is not None}
