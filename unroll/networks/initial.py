"""Where the networks start: ISTA's step, and how many entries the layers let pass."""

from collections.abc import Sequence

import torch
from torch import Tensor

from unroll._checks import check_count, check_dictionary, check_positive

__all__ = ["gradient_step", "start_lam", "support_counts"]


def gradient_step(A: Tensor, W: Tensor | None = None) -> float:
    """Return ``1 / rho(W^T A)``: ISTA's step ``1 / ||A||_2^2`` for ``W = A``.

    For the analytic weight ``W^T A`` has the eigenvalues of a Gram matrix, that of the
    whitened dictionary ``(A A^T)^{-1/2} A`` with its atoms scaled to norm 1, and this
    is ISTA's step there.
    """
    check_dictionary(A)
    if W is None:
        return 1 / torch.linalg.eigvalsh(A @ A.T)[-1].item()
    return 1 / torch.linalg.eigvals(A @ W.T).abs().max().item()


def start_lam(lam: float | None, A: Tensor, W: Tensor | None = None) -> float:
    """Return the weight of the Lasso to start at; None is 0.1 of codes of size 1.

    An atom of squared norm ``c`` sees ``c`` times the code, and so does ``lam``: None
    is 0.1 times the mean of ``w_i^T a_i``, 0.1 for unit atoms or an analytic weight.
    """
    if lam is None:
        check_dictionary(A)
        own = (A * (A if W is None else W)).sum(dim=0).mean().item()
        lam = 0.1 * float(f"{own:.6g}")  # 0.1 itself for atoms of norm 1
    check_positive("lam", lam)
    return float(lam)


def support_counts(
    A: Tensor, depth: int, keep: int | Sequence[int] | None
) -> list[int]:
    """Return how many entries each layer lets pass.

    None is the schedule of LISTA-CPSS, 1.2 % of the atoms more per layer and at most
    13 %, made for 16 layers and ``n = 2 m``. How many entries can be found depends on
    the measurements: of more atoms than ``2 m`` only so many count, and of more than
    ``4 m``, where a layer finds less, they come more slowly, by ``sqrt(4 m / n)``. And
    a shallow network gets there too: with less than ten layers, 12 % in the last.
    """
    if keep is None:
        m, n = A.shape
        share, atoms = max(0.012, 0.12 / depth), min(n, 2 * m)
        share *= min(1.0, (4 * m / n) ** 0.5)
        return [round(min(share * (k + 1), 0.13) * atoms) for k in range(depth)]
    counts = [keep] * depth if isinstance(keep, int) else list(keep)
    if len(counts) != depth:
        raise ValueError(
            f"keep has {len(counts)} counts but the network has {depth} layers: "
            f"expected an int or {depth} of them"
        )
    for count in counts:
        check_count("keep", count, least=0)
    return counts
