"""Matrices of low rank with wrong entries, and clips of things that move."""

import math

import torch
from torch import Tensor

from unroll._checks import check_count, check_positive
from unroll.problems.images import Ellipses

__all__ = ["Clip", "LowRankPlusSparse"]


class LowRankPlusSparse:
    r"""A matrix of low rank, some of whose entries are wrong by a random amount.

    .. math:: Y = L + S, \qquad L = U V^T, \qquad
              U_{ij} \sim N(0, 1 / n_1), \quad V_{ij} \sim N(0, 1 / n_2)

    An entry of ``S`` is, independently, not 0 with probability ``outliers``, and then
    uniform in ``[-1, 1]`` times ``size_of_outliers`` times the mean of ``|L|``. Every
    sample is a new one. Cai, Liu and Yin 2021, NeurIPS, section 4, who fix the number
    of outliers.

    Args:
        size: Rows and columns.
        rank: Rank of ``L``.
        outliers: Share of wrong entries, in [0, 1].
        size_of_outliers: Largest error, in means of ``|L|``, positive.
        dtype: None is torch's default.

    Raises:
        TypeError: If a size or ``rank`` is not an int.
        ValueError: If one is not positive, ``rank`` exceeds the smaller side,
            ``outliers`` is outside [0, 1] or ``size_of_outliers`` not positive.

    Example:
        >>> problem = LowRankPlusSparse((30, 20), rank=2)
        >>> Y, L = problem.sample(3, torch.Generator().manual_seed(0))
        >>> Y.shape, torch.linalg.matrix_rank(L, rtol=1e-5)
        (torch.Size([3, 30, 20]), tensor([2, 2, 2]))
    """

    def __init__(
        self,
        size: tuple[int, int],
        rank: int,
        *,
        outliers: float = 0.1,
        size_of_outliers: float = 1.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        for name, count in (("rows", size[0]), ("columns", size[1]), ("rank", rank)):
            check_count(name, count, least=1)
        if rank > min(size):
            raise ValueError(f"rank is {rank}: expected at most {min(size)}")
        if not 0 <= outliers <= 1:
            raise ValueError(f"outliers is {outliers}: expected 0 <= outliers <= 1")
        check_positive("size_of_outliers", size_of_outliers)
        self.size, self.rank, self.dtype = size, rank, dtype
        self.outliers, self.size_of_outliers = outliers, size_of_outliers

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw matrices.

        Args:
            batch: Samples.
            generator: Source of randomness; None is torch's global one. The same seed
                gives the same batch.

        Returns:
            Matrices with wrong entries, shape ``(batch, n1, n2)``, and those of low
            rank, shape ``(batch, n1, n2)``, on the device of the generator.
        """
        check_count("batch", batch, least=1)
        device = None if generator is None else generator.device

        def factor(n: int) -> Tensor:
            found = torch.empty(batch, n, self.rank, dtype=self.dtype, device=device)
            return found.normal_(generator=generator) / math.sqrt(n)

        n1, n2 = self.size
        L = factor(n1) @ factor(n2).mT
        wrong = torch.empty_like(L).uniform_(generator=generator) < self.outliers
        by = torch.empty_like(L).uniform_(-1, 1, generator=generator)
        unit = self.size_of_outliers * L.abs().mean(dim=(1, 2), keepdim=True)
        return L + wrong * by * unit, L


class Clip:
    r"""A clip of a still camera: a scene in changing light, and squares that cross it.

    .. math:: L_t = (1 + 0.2 \sin(\omega t + \varphi)) \, x + 0.1 \cos(\omega t) \, g

    with a phantom ``x`` of :class:`Ellipses`, dimmed, and a light ``g`` that falls off
    to one side: a background whose frames span two dimensions. Squares, each bright,
    start anywhere, move with a constant speed, leave on one side and return on the
    other, and hide what is behind them. A clip as a matrix, a frame a row, is
    ``clip.flatten(2)``; that is how Candes, Li, Ma and Wright 2011, J. ACM 58(3),
    section 4.3, tell background from people.

    Args:
        size: Height and width.
        frames: Frames of a clip.
        things: Squares.
        side: Their side in pixels.

    Raises:
        TypeError: If a count is not an int.
        ValueError: If one is not positive, or ``side`` exceeds the frame.

    Example:
        >>> problem = Clip((16, 20), frames=12)
        >>> clip, background = problem.sample(3, torch.Generator().manual_seed(0))
        >>> clip.shape
        torch.Size([3, 12, 16, 20])
        >>> torch.linalg.matrix_rank(background.flatten(2), rtol=1e-5)
        tensor([2, 2, 2])
    """

    def __init__(
        self, size: tuple[int, int], frames: int, *, things: int = 3, side: int = 4
    ) -> None:
        for name, count in (("frames", frames), ("things", things), ("side", side)):
            check_count(name, count, least=1)
        self.scenes = Ellipses(size)
        self.size, self.frames = self.scenes.size, frames
        if side > min(size):
            raise ValueError(f"side is {side}: expected at most {min(size)}")
        self.things, self.side = things, side

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw clips.

        Args:
            batch: Samples.
            generator: Source of randomness; None is torch's global one. The same seed
                gives the same batch.

        Returns:
            Clips, shape ``(batch, frames, height, width)``, and their backgrounds,
            shape ``(batch, frames, height, width)``, on the device of the generator.
        """
        check_count("batch", batch, least=1)
        device = None if generator is None else generator.device
        height, width = self.size

        def drawn(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator, device=device)

        def counted(n: int) -> Tensor:
            return torch.arange(n, device=device)

        scene = 0.2 + 0.5 * self.scenes.sample(batch, generator)
        t = 2 * math.pi * counted(self.frames)[:, None, None] / self.frames
        light = torch.linspace(0, 1, width, device=device)
        background = (1 + 0.2 * torch.sin(t + 6.3 * drawn(batch, 1, 1, 1))) * scene
        background = background + 0.1 * torch.cos(t) * light
        clip = background.clone()
        for _ in range(self.things):
            inside = torch.ones((), dtype=torch.bool, device=device)
            for axis, length in ((-2, height), (-1, width)):
                first, speed = length * drawn(batch, 1), 3 * drawn(batch, 1) - 1.5
                at = torch.floor(first + speed * counted(self.frames))
                along = (counted(length) - at[..., None]) % length < self.side
                inside = inside & along.unsqueeze(-1 if axis == -2 else -2)
            brightness = 0.9 + 0.3 * drawn(batch, 1, 1, 1)
            clip = torch.where(inside, brightness, clip)
        return clip, background
