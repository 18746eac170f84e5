"""How to call every name of ``unroll.problems`` that the package itself has not."""

import torch

import unroll.problems as p
from unroll.operators import Blur

images = p.Ellipses((5, 6))
blurred = p.Imaging(Blur(torch.rand(3, 3), (5, 6)), images)


drawn = {"batch": 3, "generator": torch.Generator().manual_seed(0)}

CALLS = {
    "CompressedSensing": lambda: (p.CompressedSensing, {"images": images}),
    "Deblurring": lambda: (p.Deblurring, {"images": images}),
    "Digits": lambda: (p.Digits, {}),
    "Digits.sample": lambda: (p.Digits().sample, drawn),
    "Ellipses": lambda: (p.Ellipses, {"size": (5, 6)}),
    "Ellipses.sample": lambda: (p.Ellipses((5, 6)).sample, drawn),
    "Imaging": lambda: (p.Imaging, {"A": blurred.A, "images": images}),
    "Imaging.sample": lambda: (blurred.sample, drawn),
    "Inpainting": lambda: (p.Inpainting, {"images": images}),
    "Photographs": lambda: (p.Photographs, {"size": (5, 6)}),
    "Photographs.sample": lambda: (p.Photographs((5, 6)).sample, drawn),
    "Tomography": lambda: (p.Tomography, {"images": images}),
}
