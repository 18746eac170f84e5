"""How good is a recovered code, and how good could it be?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unroll._checks import check_like
from unroll.priors import BernoulliGaussian
from unroll.problems import SparseCoding
from unroll.solvers import amp, fista, vamp

__all__ = ["RecoveryBounds", "nmse_db", "recovery_bounds"]

_GUARD = 1e-10


def nmse_db(x_hat: Tensor, x: Tensor, reduction: str = "ratio") -> Tensor:
    r"""Normalised mean squared error of recovered codes, in dB.

    Two definitions are in use, and differ by up to 30 dB without noise: say which one.

    .. math:: \text{ratio} &= 10 \log_{10} \frac{\sum_i \|\hat x_i - x_i\|^2}
              {\sum_i \|x_i\|^2}, \\
              \text{sample} &= \frac{1}{\text{batch}} \sum_i 10 \log_{10}
              \frac{\|\hat x_i - x_i\|^2 / n + 10^{-10}}{\|x_i\|^2 / n + 10^{-10}}

    The first is that of LISTA-CPSS (Chen, Liu, Wang and Yin 2018), ALISTA (2019) and
    NA-ALISTA (2021); the second, with its guard, that of Open-L2O (Chen et al. 2022).
    The guard keeps "sample" above about -90 dB at density 0.1; "ratio" of an exact
    recovery is -inf. Differentiable, so that it can serve as a loss.

    Args:
        x_hat: Recovered codes; leading axes, such as iterations, are kept. Shape
            ``(..., batch, n)``.
        x: True codes. Shape ``(batch, n)``.
        reduction: ``"ratio"`` of sums over the batch, or mean of the dB per
            ``"sample"``.

    Returns:
        Error in dB. Shape ``(...)``.

    Raises:
        TypeError: If a tensor is not floating-point, or dtypes differ.
        ValueError: If shapes or devices differ, the batch is empty, ``x`` is zero
            everywhere or ``reduction`` is unknown.

    Example:
        >>> import torch
        >>> x = torch.tensor([[1.0, 0.0], [0.0, 10.0]])
        >>> nmse_db(0.9 * x, x)
        tensor(-20.)
    """
    check_like("x_hat", x_hat, "x", x)
    if x.ndim != 2 or x.numel() == 0:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected (batch, n)")
    if x_hat.shape[-2:] != x.shape:
        raise ValueError(
            f"x_hat has shape {tuple(x_hat.shape)}: expected {tuple(x.shape)}, as x"
        )
    error, signal = (x_hat - x).square(), x.square()
    if reduction == "ratio":
        if not x.any():
            raise ValueError("x is zero everywhere: expected some non-zero entry")
        return 10 * torch.log10(error.sum(dim=(-2, -1)) / signal.sum())
    if reduction == "sample":
        ratio = (error.mean(dim=-1) + _GUARD) / (signal.mean(dim=-1) + _GUARD)
        return 10 * torch.log10(ratio).mean(dim=-1)
    raise ValueError(f"reduction is {reduction!r}: expected 'ratio' or 'sample'")


@dataclass(frozen=True)
class RecoveryBounds:
    """What methods that learn nothing reach: the lines to draw behind any curve.

    Measured by :func:`recovery_bounds`. All errors are the "ratio" of :func:`nmse_db`,
    in dB, over one batch.

    Args:
        oracle: Least squares on the true support: what a method that is told the
            support reaches.
        bayes: Vector approximate message passing (Rangan, Schniter and Fletcher 2019),
            60 iterations, damped, told how codes and noise are drawn, nothing of the
            sample; NaN where it diverges.
        lasso: Exact Lasso at the one ``lam`` that is best for the batch: what ISTA,
            FISTA and coordinate descent converge to if well tuned.
        lam: That ``lam``.
        refit: Least squares on the support of the Lasso, at the one ``lam`` that is
            best for that: without the bias of the l1 norm.
        refit_lam: That ``lam``.
        amp: Approximate message passing (Donoho, Maleki and Montanari 2009), 100
            iterations, on columns scaled to norm 1; NaN where it diverges.
        path_lam: Every ``lam`` that was tried, decreasing. Shape ``(path,)``.
        path_db: Error of the exact Lasso at each. Shape ``(path,)``.
    """

    oracle: float
    bayes: float
    lasso: float
    lam: float
    refit: float
    refit_lam: float
    amp: float
    path_lam: Tensor
    path_db: Tensor


def recovery_bounds(
    problem: SparseCoding, batch: int = 100, generator: torch.Generator | None = None
) -> RecoveryBounds:
    r"""Measure what classical methods reach on a problem, on one fresh batch.

    Who knows what: the oracle the support of every sample, the Bayes line the density
    of the codes and the SNR, the Lasso and its refit the best ``lam`` for the batch,
    AMP nothing.

    The oracle's error has a closed form for a Gaussian ``A``, if every code has exactly
    ``k`` non-zeros:

    .. math:: \text{oracle} \approx -\text{snr\_db} + 10 \log_{10}
              \frac{\rho}{1 - \rho}, \qquad \rho = k / m

    Least squares on ``k`` columns turns noise of variance ``s^2`` into an error of mean
    ``s^2 tr (A_k^T A_k)^{-1}``, which is about ``s^2 k / (1 - k/m)`` (the mean of an
    inverse Wishart matrix: Muirhead 1982, chapter 3), and ``||x||^2 / m`` is the
    power of the measurements. Codes whose ``k`` varies, as here, have in place of
    ``rho / (1 - rho)`` its mean weighted by ``||x||^2``: 0.12 dB more at 250 x 500,
    density 0.1.

    The Lasso is solved to a duality gap of 1e-6 of its l1 term, along a path of ``lam``
    with warm starts: factors of 2 down from the smallest ``lam`` with zero solution
    until the error rises, then factors of ``2 ** (1 / 4)`` around the best (0.01 dB off
    at most), and around the best of the refitted codes. All in float64, whatever the
    dtype of the problem.

    Args:
        problem: Where samples come from.
        batch: Samples.
        generator: As in :meth:`SparseCoding.sample`.

    Returns:
        The bounds in dB, and the path of the Lasso, as :class:`RecoveryBounds`.

    Raises:
        TypeError: If ``batch`` is not an int.
        ValueError: If ``batch`` is not positive, or every code drawn is zero.

    Example:
        >>> import torch
        >>> generator = torch.Generator().manual_seed(0)
        >>> problem = SparseCoding.gaussian(100, 200, generator, density=0.05)
        >>> bounds = recovery_bounds(problem, 50, generator)
        >>> bounds.oracle < bounds.lasso < -30
        True
    """
    b, x = (tensor.double() for tensor in problem.sample(batch, generator))
    A = problem.A.double()
    largest = (b @ A).abs().max().item()
    path = _lasso_path(A, b, x, [largest / 2**i for i in range(24)])
    for refitted in (False, True):  # a finer path around the best of each
        coarse = min(path, key=lambda lam: path[lam][refitted])
        finer = [coarse * 2 ** (1 - i / 4) for i in range(9)]
        path |= _lasso_path(A, b, x, [lam for lam in finer if lam not in path])
    best, best_refit = (min(path, key=lambda lam: path[lam][k]) for k in (0, 1))
    lams = sorted(path, reverse=True)
    return RecoveryBounds(
        oracle=nmse_db(_refit(A, b, x), x).item(),
        bayes=nmse_db(_bayes(problem, A, b), x).item(),
        lasso=path[best][0],
        lam=best,
        refit=path[best_refit][1],
        refit_lam=best_refit,
        amp=nmse_db(_amp(A, b), x).item(),
        path_lam=x.new_tensor(lams),
        path_db=x.new_tensor([path[lam][0] for lam in lams]),
    )


def _bayes(problem: SparseCoding, A: Tensor, b: Tensor) -> Tensor:
    """Return the codes of VAMP, which is told what the problem says of itself."""
    noise = None
    if problem.snr_db is not None:
        noise = b.square().mean(dim=1) / (1 + 10 ** (problem.snr_db / 10))
    prior = BernoulliGaussian(problem.density)
    return vamp(A, b, prior, noise, iterations=60, damping=0.7).x


def _amp(A: Tensor, b: Tensor) -> Tensor:
    """Return the codes of AMP, which needs columns of norm 1: ``A D`` and ``x / D``."""
    norms = torch.linalg.vector_norm(A, dim=0)
    if (norms - 1).abs().max() < 1e-6:
        return amp(A, b).x
    norms = norms.where(norms > 0, 1.0)
    return amp(A / norms, b).x / norms


def _lasso_path(
    A: Tensor, b: Tensor, x: Tensor, lams: list[float]
) -> dict[float, tuple[float, float]]:
    """Return lam -> dB of the Lasso and of its refit, from warm starts.

    Ends where the Lasso's error has risen twice in a row. Where a support has half as
    many entries as there are measurements, no refit is tried.
    """
    errors, x_hat = [], torch.zeros_like(x)
    l1 = x.abs().sum(dim=1).mean().item()
    for lam in lams:
        tol = 1e-6 * lam * l1
        x_hat = fista(A, b, lam, x0=x_hat, tol=tol, iterations=10_000, restart=True).x
        large = (x_hat != 0).sum(dim=1).double().mean() > A.shape[0] / 2
        refitted = float("inf") if large else nmse_db(_refit(A, b, x_hat), x).item()
        errors.append((nmse_db(x_hat, x).item(), refitted))
        if len(errors) > 2 and errors[-3][0] < errors[-2][0] < errors[-1][0]:
            break
    return dict(zip(lams, errors, strict=False))  # the rest was not tried


def _refit(A: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """Return the least-squares codes on the supports of others."""
    x_hat = torch.zeros_like(x)
    for i, support in enumerate(x != 0):
        x_hat[i, support] = torch.linalg.lstsq(A[:, support], b[i, :, None])[0][:, 0]
    return x_hat
