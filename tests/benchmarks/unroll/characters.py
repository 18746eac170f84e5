"""Letters written by a pen in one stroke: velocities, generated here.

After the UCI set "Character Trajectories", which holds the velocities of a pen that
writes letters of one stroke; nothing of it is used. A letter is a curve through points;
each sample moves the points, leans, stretches and turns the letter, and writes parts of
it faster than others.
"""

from functools import cache

import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

LETTERS = {  # points on the way of the pen, from left to right and from below to above
    "a": "90 80 45 98 8 55 30 5 70 30 88 80 85 25 100 2",
    "b": "10 160 12 80 12 5 14 60 50 95 88 50 50 2 14 20",
    "c": "88 78 50 98 10 50 48 2 90 20",
    "d": "88 78 45 98 8 50 40 3 84 40 90 160 88 60 98 2",
    "e": "12 50 85 55 52 98 10 50 50 2 90 18",
    "h": "10 160 12 80 12 2 20 65 55 95 80 65 84 2",
    "m": "4 95 8 2 16 70 32 95 44 60 46 2 56 70 74 95 88 60 92 2",
    "n": "10 95 14 2 24 70 55 95 82 65 86 2",
    "o": "50 98 8 50 50 2 92 50 52 98",
    "u": "10 95 14 35 45 2 80 40 88 95 86 30 98 2",
    "v": "8 95 30 45 50 2 70 48 92 95",
    "w": "4 95 16 40 28 2 42 45 50 85 60 42 74 2 86 45 96 95",
}
TIMES = 25  # velocities of a letter


@cache
def written(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Write letters.

    Args:
        count: How many.
        seed: Where chance begins.

    Returns:
        Velocities of the pen, of shape ``(batch, times, 2)``, and which letter it was,
        of shape ``(batch,)``.
    """
    generator = torch.Generator().manual_seed(seed)
    names = torch.randint(len(LETTERS), (count,), generator=generator)
    shapes = [
        torch.tensor([float(one) for one in text.split()]).double().view(-1, 2) / 100
        for text in LETTERS.values()
    ]
    pen = torch.stack([_velocity(shapes[name], generator) for name in names])
    return pen, names


def _velocity(points: Tensor, generator: torch.Generator) -> Tensor:
    """Return one letter's velocities, of shape ``(times, 2)``."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    points = points + 0.07 * normal(*points.shape)
    lean = torch.eye(2, dtype=torch.float64) + 0.2 * normal(2, 2)
    length = (points[1:] - points[:-1]).norm(dim=1)
    way = torch.cat([torch.zeros(1, dtype=torch.float64), length.cumsum(0)])
    curve = CubicSpline((way / way[-1]).numpy(), (points @ lean.T).numpy())
    t = torch.linspace(0, 1, TIMES + 1, dtype=torch.float64)
    haste = 0.6 * torch.rand(2, generator=generator, dtype=torch.float64) - 0.3
    for k, part in enumerate(haste, start=1):
        t = t + part / (k * torch.pi) * torch.sin(k * torch.pi * t) * (1 - t) * t * 2
    places = torch.from_numpy(curve(t.clamp(0, 1).numpy()))
    places = places + 0.01 * normal(*places.shape)
    return TIMES * (places[1:] - places[:-1])
