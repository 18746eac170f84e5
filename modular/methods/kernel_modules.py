"""Kernel modules: hidden modules learn from pairs, the output module from labels."""

from modular.methods.credit import Credit
from modular.objectives.kernel import Kernel, Proxy, upper_alignment

__all__ = ["KernelModules"]


def KernelModules(proxy: Proxy = upper_alignment) -> Credit:
    """Return Duan and Principe's modular training, a sequential method.

    Hidden modules learn from pairs, one after another, each is then frozen; the last,
    the output module, is trained on labels. ``Trainer.fit(..., phases=[...])`` trains
    one phase at a time, so that the last can be given other data: as few as one label
    per class (Duan, Yu and Principe 2021).

    Args:
        proxy: What hidden modules raise.

    Returns:
        The method.

    Example:
        >>> KernelModules().phases(2)
        2
    """
    return Credit(Kernel(proxy), horizon=1, order="sequential", name="KernelModules")
