"""Similarity matching: samples of one class should look alike, others should not."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from modular.objectives.base import Objective, Pred
from modular.partition import Head

__all__ = ["PredSim", "Sim", "similarity"]

_PART = "similarity"


def similarity(h: Tensor) -> Tensor:
    """Return the matrix of adjusted cosine similarities of a batch.

    Every row is centred (its own mean is subtracted) and normalised; ``S = Z Z^T``.
    Rows of zeros give zeros. Images are replaced by their standard deviation per
    channel.

    Args:
        h: Features. Shape ``(batch, ...)``.

    Returns:
        Similarities in [-1, 1]. Shape ``(batch, batch)``.
    """
    if h.ndim == 4:
        h = h.flatten(2).std(dim=2, correction=0)  # (batch, channels)
    h = h.flatten(1)
    z = functional.normalize(h - h.mean(dim=1, keepdim=True), dim=1, eps=1e-8)
    return z @ z.T


@dataclass(frozen=True)
class Sim(Objective):
    r"""Match the similarities of features to those of the labels.

    .. math:: \ell_k = \mathrm{mean}\,
              \bigl( S(g_k(h_k)) - S(\mathrm{onehot}(y)) \bigr)^2

    with ``S`` as in :func:`similarity` and a trained linear layer (for images a 3 x 3
    convolution) ``g_k``. Nokland and Eidnes 2019, the loss "sim". No label reaches the
    module one by one, only pairs: same class or not. The mean is over all pairs, the
    diagonal included, as in the paper.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU())
        >>> head = Head(nn.Linear(8, 3), 3)
        >>> x, y = torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])
        >>> Sim().attach(head, x[:1], model(x[:1]))
        >>> torch.isfinite(Sim()(x, model(x), head, y))
        tensor(True)
    """

    needs_labels = True
    compares = True

    def attach(self, head: Head, h_in: Tensor, h_out: Tensor) -> None:
        """Add ``g_k``, without bias."""
        if _PART not in head.parts:
            size = h_out.shape[1] if h_out.ndim == 4 else h_out[0].numel()
            g: nn.Module = nn.Linear(size, size, bias=False)
            if h_out.ndim == 4:
                g = nn.Conv2d(size, size, 3, padding=1, bias=False)
            head.parts[_PART] = g.to(h_out.device, h_out.dtype)

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the loss. Shapes as in :class:`Objective`."""
        if h_out.ndim not in (2, 4):
            h_out = h_out.flatten(1)
        labels = functional.one_hot(target, head.classes).to(h_out.dtype)
        features = similarity(head.parts[_PART](h_out))
        return functional.mse_loss(features, similarity(labels))


def PredSim(beta: float = 0.99) -> Objective:
    """Return ``(1 - beta) Pred + beta Sim``, Nokland and Eidnes 2019.

    Args:
        beta: Weight of the similarity, in [0, 1]; the paper's is 0.99.

    Returns:
        The sum.

    Raises:
        ValueError: If ``beta`` is outside [0, 1].

    Example:
        >>> PredSim(0.5) == 0.5 * Pred() + 0.5 * Sim()
        True
    """
    if not 0 <= beta <= 1:
        raise ValueError(f"beta is {beta}: expected a number from 0 to 1")
    return (1 - beta) * Pred() + beta * Sim()
