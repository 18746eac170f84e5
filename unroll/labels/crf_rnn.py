"""CRF-RNN: mean-field steps whose weights and compatibilities are learned."""

import torch
from torch import Tensor, nn

from unroll._checks import check_count
from unroll.labels.mean_field import affinities, check_scores, message

__all__ = ["CRFRNN"]


class CRFRNN(nn.Module):
    r"""A conditional random field as a recurrent network: one step, repeated.

    .. math:: Q^{(t+1)}_i = \mathrm{softmax}\Bigl(u_i - \mu \sum_{j \ne i} \bigl(
              w_s \odot k^s_{ij} Q^{(t)}_j + w_b \odot k^b_{ij} Q^{(t)}_j \bigr) \Bigr)

    Zheng, Jayasumana, Romera-Paredes, Vineet, Su, Du, Huang and Torr 2015, ICCV:
    message passing, weighting of the kernels by label, compatibility ``mu``, the
    scores again, softmax. All steps share what is learned: ``spatial`` and
    ``bilateral``, a weight for every label, and ``compatibility``, a matrix that
    starts at Potts' (1 for unlike labels). Parent:
    :func:`~unroll.labels.mean_field`, which it equals before training. Their code
    starts at minus the identity, which is the same: softmax does not see what is added
    to all labels. Kernels are exact, theirs approximated on a lattice.

    Args:
        labels: Labels, at least 2.
        spatial: Weight of near pixels before training.
        bilateral: Weight of near pixels of like colour before training.
        widths: As :func:`~unroll.labels.mean_field`; not learned.
        iterations: Steps; 5 in the paper's training.

    Raises:
        TypeError: If ``labels`` or ``iterations`` is not an int.
        ValueError: If ``labels`` is less than 2 or ``iterations`` negative.

    Example:
        >>> scores = torch.tensor([[[[2.0, -1.0, 2.0]], [[0.0, 0.0, 0.0]]]])
        >>> CRFRNN(labels=2)(scores, torch.zeros(1, 1, 1, 3)).argmax(dim=1)
        tensor([[[0, 0, 0]]])
    """

    def __init__(
        self,
        labels: int,
        *,
        spatial: float = 3.0,
        bilateral: float = 5.0,
        widths: tuple[float, float, float] = (3.0, 8.0, 0.2),
        iterations: int = 5,
    ) -> None:
        super().__init__()
        check_count("labels", labels, least=2)
        check_count("iterations", iterations, least=0)
        self.spatial = nn.Parameter(torch.full((labels,), float(spatial)))
        self.bilateral = nn.Parameter(torch.full((labels,), float(bilateral)))
        self.compatibility = nn.Parameter(1 - torch.eye(labels))
        self.widths, self.iterations = widths, iterations

    def forward(
        self, scores: Tensor, image: Tensor, iterations: int | None = None
    ) -> Tensor:
        """Return the logarithms of the labels' probabilities, for ``nll_loss``.

        Args:
            scores: Score of every label. Shape ``(batch, labels, height, width)``.
            image: Colours. Shape ``(batch, channels, height, width)``.
            iterations: Steps; None is as many as the network was made with.

        Returns:
            ``log Q``. Shape ``(batch, labels, height, width)``.

        Raises:
            TypeError: If a tensor is not floating-point, or dtypes differ.
            ValueError: If shapes do not fit, an entry is not finite, or ``iterations``
                is negative.
        """
        iterations = self.iterations if iterations is None else iterations
        check_count("iterations", iterations, least=0)
        if not torch.compiler.is_compiling():
            check_scores(scores, image)
        if scores.shape[1] != len(self.spatial):
            raise ValueError(
                f"scores have {scores.shape[1]} labels: expected {len(self.spatial)}"
            )
        kernels = affinities(image, self.widths)
        w_s, w_b = self.spatial[:, None, None], self.bilateral[:, None, None]
        log_Q = scores.log_softmax(dim=1)
        for _ in range(iterations):
            near, alike = message(log_Q.exp(), kernels)
            agreement = w_s * near + w_b * alike
            penalty = torch.einsum("lm,bmhw->blhw", self.compatibility, agreement)
            log_Q = (scores - penalty).log_softmax(dim=1)
        return log_Q
