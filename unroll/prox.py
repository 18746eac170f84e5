"""Proximal maps: ``prox_f(v) = argmin_x f(x) + 1/2 ||x - v||^2``, and nothing else."""

import torch
from torch import Tensor

from unroll._checks import traced

__all__ = ["soft_threshold", "support_select"]


def soft_threshold(v: Tensor, theta: float | Tensor) -> Tensor:
    r"""Shrink every entry towards zero by ``theta``, and to zero if it is smaller.

    .. math:: \eta_\theta(v) = \operatorname{sign}(v) \max(|v| - \theta, 0)
              = \arg\min_x \theta \|x\|_1 + \tfrac12 \|x - v\|^2

    Daubechies, Defrise and De Mol 2004, Comm. Pure Appl. Math. 57(11).
    Written as ``v - clip(v, -theta, theta)``, which is equal and takes two passes over
    memory instead of five. Differentiable in ``v`` and in ``theta``. Complex entries
    keep their phase, ``sign(v) = v / |v|``: the proximal map of the sum of moduli, not
    that of the real and imaginary parts.

    Args:
        v: What to shrink. Shape ``(batch, n)``.
        theta: Threshold, at least 0; a number, or a tensor that broadcasts against
            ``v``, to give every sample or every entry its own. Shape ``()``,
            ``(batch, 1)`` or ``(n,)``.

    Returns:
        The proximal point. Shape ``(batch, n)``.

    Raises:
        TypeError: If ``v`` holds integers.
        ValueError: If ``theta`` is negative, NaN or complex.

    Example:
        >>> import torch
        >>> soft_threshold(torch.tensor([[3.0, -0.5, -2.0]]), 1.0)
        tensor([[ 2.,  0., -1.]])
    """
    if not traced(theta):
        _check_threshold(theta)
    if not v.is_floating_point() and not v.is_complex():
        raise TypeError(f"v has dtype {v.dtype}: expected a floating-point dtype")
    if v.is_complex():
        size = v.abs()
        large = size > theta
        return v * torch.where(large, 1 - theta / size.where(large, 1.0), 0.0)
    if not isinstance(theta, Tensor):
        theta = v.new_tensor(theta)
    return v - torch.clamp(v, -theta, theta)


def support_select(v: Tensor, theta: float | Tensor, keep: int | Tensor) -> Tensor:
    r"""Soft threshold, except that the few largest entries of a sample pass unchanged.

    .. math:: \eta^{\mathrm{keep}}_\theta(v)_i = \begin{cases}
              v_i & \text{if } |v_i| > \theta \text{ and fewer than keep entries of the
              sample are larger in magnitude,} \\
              \eta_\theta(v)_i & \text{otherwise.} \end{cases}

    Entries that are likely on the support are spared the bias of the threshold. Chen,
    Liu, Wang and Yin 2018 (LISTA-CPSS), section 3.2, keep a percentage ``p`` of the
    entries: ``keep = p n``. The literature's codes disagree in the details; here

    - ties at the cut pass together, so that the order of the atoms does not matter;
    - ``keep = 0`` is the soft threshold, and ``keep = n`` the hard threshold;
    - which entries pass is a constant for the gradient.

    Args:
        v: What to shrink. Shape ``(batch, n)``.
        theta: Threshold, at least 0, as in :func:`soft_threshold`. Shape ``()``,
            ``(batch, 1)`` or ``(n,)``.
        keep: How many entries may pass, at least 0 (more than n is n); an int, or one
            per sample, an integer tensor of shape ``(batch, 1)``.

    Returns:
        The shrunk code. Shape ``(batch, n)``.

    Raises:
        TypeError: If ``keep`` is not an int or an integer tensor.
        ValueError: If ``theta`` or ``keep`` is negative, or ``theta`` is NaN.

    Example:
        >>> support_select(torch.tensor([[3.0, -0.5, -2.0, 1.5]]), 1.0, keep=2)
        tensor([[ 3.0000,  0.0000, -2.0000,  0.5000]])
    """
    most = v.shape[-1] if traced(keep) and isinstance(keep, Tensor) else _most(keep)
    shrunk = soft_threshold(v, theta)
    if most == 0:
        return shrunk
    with torch.no_grad():
        size = v.abs()
        largest = size.topk(min(most, v.shape[-1]), dim=-1).values
        if isinstance(keep, Tensor):
            last = keep.clamp(max=v.shape[-1]).long() - 1
            cut = largest.gather(-1, last.clamp(min=0))
            cut = cut.masked_fill(last < 0, float("inf"))
        else:
            cut = largest[..., -1:]
        passes = (size >= cut) & (size > theta)
    return torch.where(passes, v, shrunk)


def _most(keep: int | Tensor) -> int:
    """Return the largest of the counts; refuse what does not count."""
    if isinstance(keep, Tensor) and not (keep.is_floating_point() or keep.is_complex()):
        low, high = (int(bound) for bound in keep.aminmax())
    elif isinstance(keep, int) and not isinstance(keep, bool):
        low = high = keep
    else:
        kind = keep.dtype if isinstance(keep, Tensor) else type(keep).__name__
        raise TypeError(f"keep is of type {kind}: expected an int or integer tensor")
    if low < 0:
        raise ValueError(f"keep is {low}: expected a count >= 0")
    return high


def _check_threshold(theta: float | Tensor) -> None:
    """Refuse negative and NaN thresholds, naming the first."""
    if isinstance(theta, Tensor) and theta.is_complex():
        raise ValueError(f"theta has dtype {theta.dtype}: expected a real threshold")
    lowest = theta.detach().min().item() if isinstance(theta, Tensor) else theta
    if not lowest >= 0:
        raise ValueError(f"theta is {lowest}: expected a threshold >= 0")
