"""How to call every name of ``unroll.problems`` that the package itself has not."""

import torch

import unroll.problems as p
from unroll.operators import Blur

images = p.Ellipses((5, 6))
blurred = p.Imaging(Blur(torch.rand(3, 3), (5, 6)), images)


drawn = {"batch": 3, "generator": torch.Generator().manual_seed(0)}

CALLS = {
    "BlindDeblurring": lambda: (
        p.BlindDeblurring,
        {"images": images, "kernel": (3, 3)},
    ),
    "BlindDeblurring.sample": lambda: (
        p.BlindDeblurring(images, (3, 3)).sample,
        drawn,
    ),
    "Clip": lambda: (p.Clip, {"size": (5, 6), "frames": 4}),
    "Clip.sample": lambda: (p.Clip((5, 6), 4).sample, drawn),
    "CompressedSensing": lambda: (p.CompressedSensing, {"images": images}),
    "Deblurring": lambda: (p.Deblurring, {"images": images}),
    "Digits": lambda: (p.Digits, {}),
    "Digits.sample": lambda: (p.Digits().sample, drawn),
    "Ellipses": lambda: (p.Ellipses, {"size": (5, 6)}),
    "Ellipses.sample": lambda: (p.Ellipses((5, 6)).sample, drawn),
    "Imaging": lambda: (p.Imaging, {"A": blurred.A, "images": images}),
    "Imaging.sample": lambda: (blurred.sample, drawn),
    "Inpainting": lambda: (p.Inpainting, {"images": images}),
    "LowRankPlusSparse": lambda: (p.LowRankPlusSparse, {"size": (5, 6), "rank": 2}),
    "LowRankPlusSparse.sample": lambda: (
        p.LowRankPlusSparse((5, 6), 2).sample,
        drawn,
    ),
    "Mixtures": lambda: (p.Mixtures, {"A": torch.rand(5, 3)}),
    "Mixtures.random": lambda: (p.Mixtures.random, {"m": 5, "n": 3}),
    "Mixtures.sample": lambda: (p.Mixtures.random(5, 3).sample, drawn),
    "Photographs": lambda: (p.Photographs, {"size": (5, 6)}),
    "Photographs.sample": lambda: (p.Photographs((5, 6)).sample, drawn),
    "Tomography": lambda: (p.Tomography, {"images": images}),
}
