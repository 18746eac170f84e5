"""How LRPCA is trained: truncated after one layer, after two, ..., then its tail."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from unroll._checks import check_count, check_positive
from unroll.lowrank.lrpca import LRPCA
from unroll.problems import Clip, LowRankPlusSparse

__all__ = ["fit", "fit_tail"]

Problem = LowRankPlusSparse | Clip


def fit(
    net: LRPCA,
    problem: Problem,
    *,
    steps: int = 180,
    batch: int = 1,
    lr: float = 0.1,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Train a network in place, on fresh samples, truncated at a growing depth.

    .. math:: \ell = \log_{10} \frac{\|L_k - L\|_F}{\|L\|_F}, \qquad k = 1, \dots, K

    For two thirds of the steps ``k`` grows from 1 to ``K``: the first ``k`` layers
    learn by the error after the ``k``-th. In the last third all learn, at a rate that
    falls to 0. Layer-wise training by truncation: Cai, Liu and Yin 2021, NeurIPS,
    section 3, by the squared error; its logarithm keeps gradients of one size when the
    error has fallen by many powers of ten. The optimiser is Adam (Kingma and Ba 2015,
    ICLR).

    Args:
        net: Network.
        problem: Where matrices come from; a clip is a matrix with a frame a row.
        steps: In all, at least two a layer.
        batch: Samples of a step.
        lr: Rate of the first two thirds.
        generator: Source of randomness; None is torch's global one.

    Returns:
        The loss of every step. Shape ``(steps,)``.

    Raises:
        FloatingPointError: If the loss is not finite; names the step and the depth.
        TypeError: If a count is not an int.
        ValueError: If ``steps`` is less than two a layer, or another number is not
            positive.

    Example:
        >>> from unroll.problems import LowRankPlusSparse
        >>> problem = LowRankPlusSparse((30, 30), rank=1)
        >>> net = LRPCA(rank=1, depth=4)
        >>> losses = fit(net, problem, steps=40, generator=torch.Generator())
        >>> bool(losses[-5:].mean() < losses[:5].mean())
        True
    """
    check_count("steps", steps, least=2 * net.depth)
    growing = 2 * steps // 3
    depths = [min(net.depth, 1 + i * net.depth // growing) for i in range(steps)]
    learned = [net.start, *net.layers]
    return _descend(
        net,
        [p for part in learned for p in part.parameters()],
        (_sampled(problem, batch, generator) for _ in range(steps)),
        depths,
        lr,
    )


def fit_tail(
    net: LRPCA,
    problem: Problem,
    *,
    layers: int = 12,
    steps: int = 60,
    batch: int = 1,
    lr: float = 0.1,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Train the two numbers of the tail in place, and nothing else.

    The network runs ``layers`` deeper than it has layers, and learns by the error that
    is left: the second half of the training of a feedforward-recurrent network, Cai,
    Liu and Yin 2021, NeurIPS, section 3.

    Args:
        net: Network whose layers are trained.
        problem: As :func:`fit`.
        layers: Of the tail.
        steps: In all.
        batch: Samples of a step.
        lr: Rate at the first two thirds; it falls to 0.
        generator: Source of randomness; None is torch's global one.

    Returns:
        The loss of every step. Shape ``(steps,)``.

    Raises:
        FloatingPointError: If the loss is not finite; names the step and the depth.
        TypeError: If a count is not an int.
        ValueError: If a number is not positive.

    Example:
        >>> from unroll.problems import LowRankPlusSparse
        >>> problem = LowRankPlusSparse((30, 30), rank=1)
        >>> net = LRPCA(rank=1, depth=4)
        >>> fit_tail(net, problem, steps=3, generator=torch.Generator()).shape
        torch.Size([3])
    """
    check_count("layers", layers, least=1)
    check_count("steps", steps, least=1)
    return _descend(
        net,
        [*net.tail_step.parameters(), net.tail_logit],
        (_sampled(problem, batch, generator) for _ in range(steps)),
        [net.depth + layers] * steps,
        lr,
    )


def _sampled(
    problem: Problem, batch: int, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """Return matrices, and what of them is low in rank."""
    Y, L = problem.sample(batch, generator)
    return (Y, L) if Y.ndim == 3 else (Y.flatten(2), L.flatten(2))


def _descend(
    net: LRPCA,
    parameters: list[nn.Parameter],
    samples: Iterable[tuple[Tensor, Tensor]],
    depths: list[int],
    lr: float,
) -> Tensor:
    """Take an Adam step for every sample, each at its depth; return the losses."""
    check_positive("lr", lr)
    adam, losses = torch.optim.Adam(parameters, lr=lr), []
    for i, ((Y, L), depth) in enumerate(zip(samples, depths, strict=True)):
        late = max(0.0, 3 * i / len(depths) - 2)  # 0, then up to 1 in the last third
        adam.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * late))
        error = torch.linalg.matrix_norm(net(Y, depth)[0] - L)
        tiny = torch.finfo(L.dtype).tiny  # an exact matrix has a finite loss
        loss = torch.log10(error / torch.linalg.matrix_norm(L) + tiny).mean()
        if not loss.isfinite():
            raise FloatingPointError(
                f"loss is {loss.item()} at step {i}, depth {depth}: expected a finite "
                f"one; try a lower lr than {lr}"
            )
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.detach())
    return torch.stack(losses)
