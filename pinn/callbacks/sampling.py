"""Where the points go: callbacks of DeepXDE that follow the residual."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_count, check_positive
from pinn.problem import Problem

__all__ = ["RAD", "RAR", "CausalWeights"]


def _residual_size(model: Any, x: np.ndarray) -> Tensor:
    """Root of the sum of squares of the strong residuals at points: ``(points,)``."""
    like = next(model.net.parameters())
    points = torch.as_tensor(x, device="cpu").to(like)
    blocks = model.data.blocks(model.net, points)
    columns = [b.detach() for b in blocks if len(b) == len(points)]
    if not columns:
        kind = type(model.data).__name__
        raise ValueError(
            f"{kind} has no residual at points: adaptive sampling expects Strong, "
            "Conservative or Extended"
        )
    return torch.cat(columns, dim=1).square().sum(1).sqrt()


def _draw(problem: Problem, count: int, generator: torch.Generator) -> np.ndarray:
    """Draw uniform points of the domain."""
    lower, upper = (torch.as_tensor(c) for c in problem.bounds)
    found, missing = [], count
    while missing > 0:
        share = torch.rand(
            2 * missing + 16, problem.dim, generator=generator, dtype=torch.float64
        )
        x = lower + (upper - lower) * share
        found.append(x[problem.inside(x)][:missing])
        missing -= len(found[-1])
    return torch.cat(found).numpy()


class RAR(dde.callbacks.Callback):
    """Residual-based adaptive refinement: add the points of largest residual.

    Lu, Meng, Mao and Karniadakis 2021, SIAM Rev. 63(1).

    Args:
        period: Iterations between two refinements.
        add: Points added each time.
        candidates: Points to choose from.
        seed: Seed of the candidates.

    Raises:
        TypeError: If a number is not an int.
        ValueError: If a number is not positive.

    Example:
        >>> RAR(period=1000, add=10).add
        10
    """

    def __init__(
        self,
        period: int = 1000,
        add: int = 10,
        *,
        candidates: int = 5000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_count("period", period, least=1)
        check_count("add", add, least=1)
        check_count("candidates", candidates, least=add)
        self.period, self.add, self.candidates = period, add, candidates
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def on_epoch_end(self) -> None:
        """Refine, if it is time."""
        if self.model.train_state.step % self.period:
            return
        data = self.model.data
        x = _draw(data.problem, self.candidates, self.generator)
        worst = _residual_size(self.model, x).topk(self.add).indices.cpu().numpy()
        data.add_anchors(x[worst])


class RAD(dde.callbacks.Callback):
    r"""Residual-based adaptive distribution: draw all points anew from a density.

    .. math:: p(x) \propto \frac{|r(x)|^k}{\operatorname{mean} |r|^k} + c

    Wu, Zhu, Tan, Kartha and Lu 2023, CMAME 403, 115671.

    Args:
        period: Iterations between two draws.
        k: Power of the residual.
        c: Share of the uniform density.
        candidates: Points to choose from.
        seed: Seed of the draws.

    Raises:
        TypeError: If a number is not an int.
        ValueError: If a number is out of range.

    Example:
        >>> RAD(period=500, k=1.0, c=1.0).k
        1.0
    """

    def __init__(
        self,
        period: int = 500,
        *,
        k: float = 1.0,
        c: float = 1.0,
        candidates: int = 20_000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_count("period", period, least=1)
        check_count("candidates", candidates, least=1)
        check_positive("k", k)
        if not c >= 0:
            raise ValueError(f"c is {c}: expected a number >= 0")
        self.period, self.k, self.c, self.candidates = period, k, c, candidates
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def on_epoch_end(self) -> None:
        """Draw anew, if it is time."""
        if self.model.train_state.step % self.period:
            return
        data = self.model.data
        count = len(data.train_x_all)
        if count > self.candidates:
            raise ValueError(
                f"candidates is {self.candidates} but there are {count} points: "
                "expected more candidates than points"
            )
        x = _draw(data.problem, self.candidates, self.generator)
        size = _residual_size(self.model, x).cpu() ** self.k
        density = size / size.mean() + self.c
        chosen = torch.multinomial(density, count, generator=self.generator).numpy()
        data.replace_with_anchors(x[chosen])


class CausalWeights(dde.callbacks.Callback):
    r"""Causal training: later times wait until earlier ones are solved.

    .. math:: w_i = \exp\Bigl(-\epsilon \sum_{j < i} L_r(t_j)\Bigr)

    over slabs of time, with the mean square residual ``L_r`` of a slab. Wang, Sankaran
    and Perdikaris 2024, CMAME 421, 116813. The weights multiply the squared
    residuals.

    Args:
        epsilon: How strictly to wait.
        slabs: Slabs of time.
        period: Iterations between two updates.

    Raises:
        TypeError: If a number is not an int.
        ValueError: If a number is not positive.

    Example:
        >>> CausalWeights(epsilon=10.0, slabs=16).slabs
        16
    """

    def __init__(
        self, epsilon: float = 1.0, slabs: int = 32, *, period: int = 10
    ) -> None:
        super().__init__()
        check_positive("epsilon", epsilon)
        check_count("slabs", slabs, least=1)
        check_count("period", period, least=1)
        self.epsilon, self.slabs, self.period = epsilon, slabs, period

    def on_train_begin(self) -> None:
        """Check that there is time, and weigh for the first time."""
        if not self.model.data.problem.in_time:
            raise ValueError("the problem has no time: causal weights expect one")
        self._weigh()

    def on_epoch_end(self) -> None:
        """Weigh anew, if it is time."""
        if not self.model.train_state.step % self.period:
            self._weigh()

    def _weigh(self) -> None:
        """Set the weights of the points."""
        data = self.model.data
        size = _residual_size(self.model, data.train_x_all).square()
        lower, upper = data.problem.bounds
        t = torch.as_tensor(data.train_x_all[:, -1]).to(size)
        slab = ((t - lower[-1]) / (upper[-1] - lower[-1]) * self.slabs).long()
        slab = slab.clamp(0, self.slabs - 1)
        total = size.new_zeros(self.slabs).index_add(0, slab, size)
        count = size.new_zeros(self.slabs).index_add(0, slab, torch.ones_like(size))
        mean = total / count.clamp_min(1)
        before = mean.cumsum(0) - mean
        data.point_weights = (-self.epsilon * before).exp().sqrt()[slab][:, None]
