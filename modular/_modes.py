"""Evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*nets: nn.Module) -> Iterator[None]:
    """Put networks in evaluation mode; every layer gets its own mode back."""
    modes = [(part, part.training) for net in nets for part in net.modules()]
    try:
        for net in nets:
            net.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training
