"""Labels of pixels that agree with their neighbours: mean-field steps as layers.

Every pixel has scores for the labels. A fully connected conditional random field adds
that near pixels, and near pixels of like colour, have the same label; its mean-field
approximation is a loop of a few steps. :class:`CRFRNN` learns what the field weighs.

>>> import torch
>>> from unroll.labels import mean_field
>>> image = torch.zeros(1, 1, 8, 8)
>>> image[..., 4:] = 1.0  # dark on the left, bright on the right
>>> scores = torch.cat([1 - 2 * image, 2 * image - 1], dim=1)
>>> scores[0, :, 2, 2] = -scores[0, :, 2, 2]  # one pixel is mistaken
>>> bool(mean_field(scores, image).argmax(dim=1).eq(image[:, 0]).all())
True
"""

from unroll.labels.crf_rnn import CRFRNN
from unroll.labels.mean_field import mean_field

__all__ = ["CRFRNN", "mean_field"]
