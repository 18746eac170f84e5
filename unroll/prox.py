"""Proximal maps: ``prox_f(v) = argmin_x f(x) + 1/2 ||x - v||^2``, and nothing else."""

import torch
from torch import Tensor

__all__ = ["soft_threshold"]


def soft_threshold(v: Tensor, theta: float | Tensor) -> Tensor:
    r"""Shrink every entry towards zero by ``theta``, and to zero if it is smaller.

    .. math:: \eta_\theta(v) = \operatorname{sign}(v) \max(|v| - \theta, 0)
              = \arg\min_x \theta \|x\|_1 + \tfrac12 \|x - v\|^2

    Daubechies, Defrise and De Mol 2004, Comm. Pure Appl. Math. 57(11), section 1.
    Written as ``v - clip(v, -theta, theta)``, which is equal and takes two passes over
    memory instead of five. Differentiable in ``v`` and in ``theta``.

    Args:
        v: What to shrink. Shape ``(batch, n)``.
        theta: Threshold, at least 0; a number, or a tensor that broadcasts against
            ``v``: ``(batch, 1)`` gives every sample its own, ``(n,)`` every entry.

    Returns:
        The proximal point. Shape ``(batch, n)``.

    Raises:
        ValueError: If ``theta`` is negative or NaN.

    Example:
        >>> soft_threshold(torch.tensor([[3.0, -0.5, -2.0]]), 1.0)
        tensor([[ 2.,  0., -1.]])
    """
    if not torch.compiler.is_compiling():
        _check_threshold(theta)
    if isinstance(theta, Tensor):
        return v - torch.clamp(v, -theta, theta)
    return v - v.clamp(-theta, theta)


def _check_threshold(theta: float | Tensor) -> None:
    """Refuse negative and NaN thresholds, naming the first."""
    lowest = theta.detach().min().item() if isinstance(theta, Tensor) else theta
    if not lowest >= 0:
        raise ValueError(f"theta is {lowest}: expected a threshold >= 0")
