"""A fully connected conditional random field, and its mean-field approximation."""

import torch
from torch import Tensor

from unroll._checks import (
    check_count,
    check_finite,
    check_float,
    check_like,
    check_positive,
    traced,
)

__all__ = ["affinities", "check_scores", "mean_field", "message"]


def mean_field(
    scores: Tensor,
    image: Tensor,
    *,
    spatial: float = 3.0,
    bilateral: float = 5.0,
    widths: tuple[float, float, float] = (3.0, 8.0, 0.2),
    iterations: int = 5,
) -> Tensor:
    r"""Return the labels' probabilities after some parallel mean-field steps.

    .. math:: Q^{(t+1)}_i(l) &\propto \exp\Bigl(u_i(l) - \sum_{l' \ne l} \Bigl(
              w_s \sum_{j \ne i} k^s_{ij} Q^{(t)}_j(l') +
              w_b \sum_{j \ne i} k^b_{ij} Q^{(t)}_j(l') \Bigr) \Bigr), \\
              k^s_{ij} &\propto e^{-|p_i - p_j|^2 / 2 \theta_\gamma^2}, \qquad
              k^b_{ij} \propto e^{-|p_i - p_j|^2 / 2 \theta_\alpha^2
              - |I_i - I_j|^2 / 2 \theta_\beta^2}

    from ``Q = softmax(u)``, with Potts' penalty for unlike labels. Kraehenbuehl and
    Koltun 2011, NIPS 24, algorithm 1; weights of neighbours sum to 1 for every pixel,
    as in the public code of Zheng et al. 2015, so that ``w`` does not depend on the
    size of the image. All pairs are summed exactly: time and memory grow as the square
    of the number of pixels, 64 x 64 are many. The steps are parallel and need not
    lower the free energy.

    Args:
        scores: Score ``u`` of every label, a logarithm of a probability up to a
            constant. Shape ``(batch, labels, height, width)``.
        image: Colours. Shape ``(batch, channels, height, width)``.
        spatial: Weight ``w_s``.
        bilateral: Weight ``w_b``.
        widths: ``(theta_gamma, theta_alpha, theta_beta)``: pixels, pixels, colour.
        iterations: Steps; 0 returns ``softmax(u)``.

    Returns:
        Probabilities ``Q``. Shape ``(batch, labels, height, width)``.

    Raises:
        TypeError: If a tensor is not floating-point, dtypes differ, or ``iterations``
            is not an int.
        ValueError: If shapes do not fit, an entry is not finite, a width is not
            positive or ``iterations`` is negative.

    Example:
        >>> scores = torch.tensor([[[[2.0, -1.0, 2.0]], [[0.0, 0.0, 0.0]]]])
        >>> mean_field(scores, torch.zeros(1, 1, 1, 3)).argmax(dim=1)
        tensor([[[0, 0, 0]]])
    """
    check_scores(scores, image)
    check_count("iterations", iterations, least=0)
    kernels = affinities(image, widths)
    Q = scores.softmax(dim=1)
    for _ in range(iterations):
        near, alike = message(Q, kernels)
        agreement = spatial * near + bilateral * alike
        penalty = agreement.sum(dim=1, keepdim=True) - agreement  # of other labels
        Q = (scores - penalty).softmax(dim=1)
    return Q


def affinities(
    image: Tensor, widths: tuple[float, float, float]
) -> tuple[Tensor, Tensor]:
    """Return how near pixels are, ``(n, n)``, and how alike, ``(batch, n, n)``."""
    for name, width in zip(("gamma", "alpha", "beta"), widths, strict=True):
        check_positive(f"width theta_{name}", width)
    gamma, alpha, beta = widths
    height, width = image.shape[-2:]
    rows = torch.arange(height, dtype=image.dtype, device=image.device)
    columns = torch.arange(width, dtype=image.dtype, device=image.device)
    places = torch.cartesian_prod(rows, columns)  # (n, 2)
    colours = image.flatten(2).mT  # (batch, n, channels)
    far = _squared_distance(places)
    unlike = _squared_distance(colours)
    near = -far / (2 * gamma**2)
    alike = -far / (2 * alpha**2) - unlike / (2 * beta**2)
    return _others(near), _others(alike)


def message(Q: Tensor, kernels: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the mean of the neighbours, by nearness and by likeness."""
    flat, size = Q.flatten(2), Q.shape[-2:]
    near, alike = (flat @ kernel.mT for kernel in kernels)
    return near.unflatten(2, size), alike.unflatten(2, size)


def _squared_distance(points: Tensor) -> Tensor:
    return (points[..., :, None, :] - points[..., None, :, :]).square().sum(dim=-1)


def _others(exponent: Tensor) -> Tensor:
    """Return weights of the other pixels that sum to 1; alone, a pixel has none."""
    own = torch.eye(exponent.shape[-1], dtype=torch.bool, device=exponent.device)
    return exponent.masked_fill(own, -torch.inf).softmax(dim=-1).nan_to_num(nan=0.0)


def check_scores(scores: Tensor, image: Tensor) -> None:
    """Refuse scores and images that do not fit together."""
    check_float("scores", scores)
    check_like("image", image, "scores", scores)
    for name, value in (("scores", scores), ("image", image)):
        if value.ndim != 4 or value.numel() == 0:
            second = "labels" if name == "scores" else "channels"
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}: expected (batch, {second}, "
                "height, width)"
            )
        if not traced(value):
            check_finite(name, value)
    if len(scores) != len(image) or scores.shape[-2:] != image.shape[-2:]:
        raise ValueError(
            f"scores have shape {tuple(scores.shape)} but image {tuple(image.shape)}: "
            "expected the same batch, height and width"
        )
