"""Quadrature rules and test functions on the reference interval [-1, 1].

The test functions are the bubbles of Kharazmi, Zhang and Karniadakis 2021 (hp-VPINNs,
CMAME 374, 113547; arXiv:2003.05385), ``v_k = P_{k+1} - P_{k-1}`` with Legendre
polynomials ``P``. They vanish at both ends and ``v_k' = (2k + 1) P_k``. With the two
hats they span all polynomials: the hierarchical Lobatto basis.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pinn._checks import check_count

__all__ = ["Rule", "Tests", "gauss_legendre", "gauss_lobatto", "legendre", "lobatto"]


@dataclass(frozen=True, eq=False)
class Rule:
    """Nodes and weights of a quadrature rule on [-1, 1].

    Args:
        nodes: Shape ``(points,)``.
        weights: Shape ``(points,)``.
        degree: Polynomials up to this degree are integrated exactly.
    """

    nodes: Tensor
    weights: Tensor
    degree: int


RuleOf = Callable[[int], Rule]


def gauss_legendre(points: int) -> Rule:
    """Make the Gauss-Legendre rule, exact to degree ``2 points - 1``.

    Golub and Welsch 1969, Math. Comp. 23(106).

    Args:
        points: Nodes, at least 1; none at an end.

    Returns:
        The rule, in float64.

    Raises:
        ValueError: If there are no points.

    Example:
        >>> rule = gauss_legendre(2)
        >>> rule.degree, (rule.weights * rule.nodes**2).sum().item()
        (3, 0.66...)
    """
    check_count("points", points, least=1)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    return Rule(_tensor(nodes), _tensor(weights), 2 * points - 1)


def gauss_lobatto(points: int) -> Rule:
    """Make the Gauss-Lobatto rule, exact to degree ``2 points - 3``; it has both ends.

    Abramowitz and Stegun 1964, eq. 25.4.32.

    Args:
        points: Nodes, at least 2.

    Returns:
        The rule, in float64.

    Raises:
        ValueError: If there are fewer than 2 points.

    Example:
        >>> gauss_lobatto(3).nodes
        tensor([-1.,  0.,  1.], dtype=torch.float64)
    """
    check_count("points", points, least=2)
    P = np.polynomial.Legendre.basis(points - 1)
    slope, bend = P.deriv(), P.deriv(2)
    inner = np.sort(slope.roots().real) if points > 2 else np.empty(0)
    for _ in range(3):  # the companion matrix's roots are good to 1e-12 only
        inner = inner - slope(inner) / bend(inner)
    nodes = np.concatenate([[-1.0], (inner - inner[::-1]) / 2, [1.0]])
    weights = 2 / (points * (points - 1) * P(nodes) ** 2)
    return Rule(_tensor(nodes), _tensor(weights), 2 * points - 3)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float64, device="cpu")


def legendre(degree: int, x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Evaluate the Legendre polynomials ``P_0 ... P_degree`` and their slopes.

    .. math:: (k + 1) P_{k+1} = (2k + 1) x P_k - k P_{k-1}, \qquad
              P_{k+1}' = P_{k-1}' + (2k + 1) P_k

    Abramowitz and Stegun 1964, eq. 8.5.3.

    Args:
        degree: Highest degree, at least 1.
        x: Points. Shape ``(points,)``.

    Returns:
        Values, shape ``(degree + 1, points)``, and slopes, shape
        ``(degree + 1, points)``.

    Raises:
        ValueError: If ``degree`` is less than 1.

    Example:
        >>> values, slopes = legendre(2, torch.tensor([1.0]))
        >>> values.flatten().tolist(), slopes.flatten().tolist()
        ([1.0, 1.0, 1.0], [0.0, 1.0, 3.0])
    """
    check_count("degree", degree, least=1)
    P, dP = [torch.ones_like(x), x], [torch.zeros_like(x), torch.ones_like(x)]
    for k in range(1, degree):
        P.append(((2 * k + 1) * x * P[k] - k * P[k - 1]) / (k + 1))
        dP.append(dP[k - 1] + (2 * k + 1) * P[k])
    return torch.stack(P), torch.stack(dP)


@dataclass(frozen=True, eq=False)
class Tests:
    """Test functions at points: hats first if there are any, then the bubbles.

    Args:
        values: Shape ``(tests, points)``.
        first: First derivatives. Shape ``(tests, points)``.
        second: Second derivatives. Shape ``(tests, points)``.
    """

    values: Tensor
    first: Tensor
    second: Tensor

    __test__ = False  # not a test class, whatever pytest thinks of its name


def lobatto(bubbles: int, x: Tensor, *, hats: bool = False) -> Tests:
    r"""Evaluate the test functions at points of [-1, 1].

    .. math:: v_k = P_{k+1} - P_{k-1}, \quad v_k' = (2k + 1) P_k, \quad
              \int_{-1}^{1} v_j' v_k' = 2 (2k + 1) \, \delta_{jk}

    Szabo and Babuska 1991, Finite Element Analysis, chapter 3.

    Args:
        bubbles: How many, ``k = 1 ... bubbles``.
        x: Points. Shape ``(points,)``.
        hats: Whether to put ``(1 - x) / 2`` and ``(1 + x) / 2`` in front.

    Returns:
        Values, first and second derivatives.

    Raises:
        ValueError: If there are no bubbles.

    Example:
        >>> lobatto(1, torch.tensor([0.0])).values.item()
        -1.5
    """
    check_count("bubbles", bubbles, least=1)
    P, dP = legendre(bubbles + 1, x)
    factor = (
        2 * torch.arange(1, bubbles + 1, dtype=x.dtype, device=x.device)[:, None] + 1
    )
    values, first, second = P[2:] - P[:-2], factor * P[1:-1], factor * dP[1:-1]
    if hats:
        half = torch.full_like(x, 0.5)
        values = torch.cat([torch.stack([(1 - x) / 2, (1 + x) / 2]), values])
        first = torch.cat([torch.stack([-half, half]), first])
        second = torch.cat([torch.zeros_like(values[:2]), second])
    return Tests(values, first, second)
