"""Non-negative matrix factorisation by multiplicative updates."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unroll._checks import (
    check_batch,
    check_count,
    check_dictionary,
    check_finite,
    check_float,
    check_like,
    traced,
)

__all__ = ["NMFResult", "check_not_negative", "multiplicative_updates", "nmf", "ratio"]


@dataclass(frozen=True)
class NMFResult:
    """What :func:`nmf` returns: parts, and how much of each a sample has.

    Args:
        codes: ``H``, not negative. Shape ``(batch, k)``.
        parts: ``W``, not negative, columns of largest entry 1. Shape ``(m, k)``.
        objective: ``1/2 ||B - H W^T||^2`` at the start and after every iteration. Shape
            ``(iterations + 1,)``.
        iterations: Iterations done.
    """

    codes: Tensor
    parts: Tensor
    objective: Tensor
    iterations: int


@torch.no_grad()
def nmf(
    b: Tensor,
    k: int,
    *,
    iterations: int = 500,
    generator: torch.Generator | None = None,
) -> NMFResult:
    r"""Find parts whose sums are the samples.

    .. math:: \min_{H, W \ge 0} \; \tfrac12 \|B - H W^T\|_F^2, \qquad
              H \leftarrow H \odot \frac{B W}{H W^T W}, \qquad
              W \leftarrow W \odot \frac{B^T H}{W H^T H}

    Lee and Seung 2001, NIPS 13, theorem 1: the objective never rises, and what is not
    negative stays so. There is no step to choose. An entry that is 0 stays 0; where the
    denominator is 0, too. The minimum that is found depends on the start, uniform
    numbers of the scale of the samples.

    Args:
        b: Samples, not negative. Shape ``(batch, m)``.
        k: Parts.
        iterations: Iterations; 0 returns the start.
        generator: Source of randomness, on the device of ``b``; None is torch's global
            one.

    Returns:
        Codes and parts, as :class:`NMFResult`.

    Raises:
        TypeError: If ``b`` is not a floating-point tensor, or a count not an int.
        ValueError: If ``b`` is not a non-empty matrix of finite numbers that are not
            negative, or a count is too small.

    Example:
        >>> b = torch.tensor([[1.0, 0.0, 1.0], [0.0, 2.0, 0.0], [3.0, 0.0, 3.0]])
        >>> found = nmf(b, 2, generator=torch.Generator().manual_seed(0))
        >>> (found.codes @ found.parts.T).round(decimals=2)
        tensor([[1., 0., 1.],
                [0., 2., 0.],
                [3., 0., 3.]])
    """
    check_float("b", b)
    if b.ndim != 2 or b.numel() == 0:
        raise ValueError(f"b has shape {tuple(b.shape)}: expected (batch, m)")
    check_finite("b", b)
    check_not_negative("b", b)
    check_count("k", k, least=1)
    check_count("iterations", iterations, least=0)
    scale = (b.mean() / k).sqrt()
    H, W = (
        2 * scale * b.new_empty(n, k).uniform_(generator=generator) for n in b.shape
    )
    objective = [0.5 * (b - H @ W.T).square().sum()]
    for _ in range(iterations):
        H = H * ratio(b @ W, H @ (W.T @ W))
        W = W * ratio(b.T @ H, W @ (H.T @ H))
        objective.append(0.5 * (b - H @ W.T).square().sum())
    size = W.amax(dim=0)
    size = size.where(size > 0, 1.0)
    return NMFResult(H * size, W / size, torch.stack(objective), iterations)


@torch.no_grad()
def multiplicative_updates(
    W: Tensor, b: Tensor, *, iterations: int = 500, h0: Tensor | None = None
) -> Tensor:
    r"""Find how much of every part a sample has: parts are known.

    .. math:: \min_{h \ge 0} \; \tfrac12 \|b - W h\|^2, \qquad
              h \leftarrow h \odot \frac{W^T b}{W^T W h}

    Lee and Seung 2001, NIPS 13, theorem 1. The problem is convex: from a start without
    zeros this tends to the least squares, slowly where an entry of them is 0.

    Args:
        W: Parts, not negative, one a column. Shape ``(m, k)``.
        b: Samples, not negative. Shape ``(batch, m)``.
        iterations: Iterations; 0 returns the start.
        h0: Start, not negative; None is 1 everywhere. Shape ``(batch, k)``.

    Returns:
        Codes. Shape ``(batch, k)``.

    Raises:
        TypeError: If a tensor is not floating-point, dtypes differ, or ``iterations``
            is not an int.
        ValueError: If ``W`` is not a finite, non-zero matrix, shapes do not fit, an
            entry is negative or not finite, or ``iterations`` is negative.

    Example:
        >>> W = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> multiplicative_updates(W, torch.tensor([[1.0, 3.0]])).round(decimals=2)
        tensor([[1., 2.]])
    """
    check_dictionary(W)
    check_not_negative("W", W)
    check_batch("b", b, W, dim=0)
    check_not_negative("b", b)
    check_count("iterations", iterations, least=0)
    h = b.new_ones(len(b), W.shape[1]) if h0 is None else h0
    if h0 is not None:
        check_like("h0", h0, "b", b)
        if h0.shape != (len(b), W.shape[1]):
            raise ValueError(
                f"h0 has shape {tuple(h0.shape)}: expected {(len(b), W.shape[1])}"
            )
        check_not_negative("h0", h0)
    attraction, gram = b @ W, W.T @ W
    for _ in range(iterations):
        h = h * ratio(attraction, h @ gram)
    return h


def ratio(top: Tensor, bottom: Tensor) -> Tensor:
    """Return the quotient, 0 where the bottom is 0."""
    zero = bottom <= 0
    return (top / bottom.masked_fill(zero, 1.0)).masked_fill(zero, 0.0)


def check_not_negative(name: str, value: Tensor) -> None:
    """Refuse negative entries, naming the first one."""
    if traced(value):
        return
    if (value < 0).any():
        index = (value < 0).nonzero()[0].tolist()
        entry = value[tuple(index)].item()
        raise ValueError(f"{name}{index} is {entry}: expected entries >= 0")
