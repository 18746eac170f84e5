"""Parts: a thing that is not negative as a sum of parts that are not negative.

``b = W h`` with ``W >= 0`` and ``h >= 0``: nothing can be taken away again, so that
the columns of ``W`` become parts. Multiplicative updates find both; :class:`DeepNMF`
unrolls those that find ``h``.

>>> import torch
>>> from unroll.parts import nmf
>>> from unroll.problems import Mixtures
>>> generator = torch.Generator().manual_seed(0)
>>> problem = Mixtures.random(20, 3, generator)
>>> b, h = problem.sample(50, generator)
>>> found = nmf(b, 3, generator=generator)
>>> bool((b - found.codes @ found.parts.T).norm() < 0.05 * b.norm())
True
"""

from unroll.parts.deep_nmf import DeepNMF
from unroll.parts.nmf import NMFResult, multiplicative_updates, nmf

__all__ = ["DeepNMF", "NMFResult", "multiplicative_updates", "nmf"]
