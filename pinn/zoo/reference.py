"""Reference solutions, computed and never read from files; autograd works on them.

Accuracies are measured in the tests; the finite-element reference is in ``pinn.fem``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pinn._checks import check_count, check_points, check_positive

__all__ = ["SpectralSolution", "buckley_leverett_fan", "cole_hopf", "etdrk4"]

_FINER = 32


def cole_hopf(x: Tensor, nu: float, *, nodes: int = 100) -> Tensor:
    r"""Solve Burgers' equation ``u_t + u u_x = nu u_xx``, ``u(x, 0) = -sin(pi x)``.

    .. math:: u(x, t) = -\frac{\int \sin(\pi (x - \eta)) \, f(x - \eta) \,
              e^{-\eta^2 / (4 \nu t)} d\eta}{\int f(x - \eta) \,
              e^{-\eta^2 / (4 \nu t)} d\eta}, \qquad
              f(y) = e^{-\cos(\pi y) / (2 \pi \nu)}

    Cole 1951; Basdevant et al. 1986, Comput. Fluids 14(1), the form with Gauss-Hermite
    quadrature. The exponents are shifted by their largest before the sums. With 100
    nodes the error is below 1e-12 for ``nu = 0.01 / pi`` and ``t <= 1``.

    Args:
        x: Points, space first and time second. Shape ``(batch, 2)``.
        nu: Viscosity, dimensionless.
        nodes: Gauss-Hermite nodes.

    Returns:
        Values. Shape ``(batch, 1)``. Derivatives by autograd need ``t > 0``.

    Raises:
        TypeError: If ``x`` is not a floating-point tensor.
        ValueError: If ``x`` is not of shape ``(batch, 2)`` or ``nu`` not positive.

    Example:
        >>> cole_hopf(torch.tensor([[0.5, 0.0]]), nu=0.1).item()
        -1.0
    """
    check_points("x", x, 2)
    check_positive("nu", nu)
    check_count("nodes", nodes, least=1)
    rule = np.polynomial.hermite.hermgauss(nodes)
    z, w = (torch.as_tensor(v, device="cpu").to(x) for v in rule)
    y = x[:, :1] - (4 * nu * x[:, 1:]).sqrt() * z  # (batch, nodes)
    exponent = -(torch.pi * y).cos() / (2 * torch.pi * nu)
    weight = w * (exponent - exponent.detach().amax(1, keepdim=True)).exp()
    weight = weight / weight.sum(1, keepdim=True)
    return -(weight * (torch.pi * y).sin()).sum(1, keepdim=True)


def buckley_leverett_fan(x: Tensor, mobility: float = 1.0) -> Tensor:
    r"""Solve ``u_t + f(u)_x = 0``, ``f = u^2 / (u^2 + M (1 - u)^2)``, from a step.

    The entropy solution for ``u = 1`` at ``x <= 0`` and ``u = 0`` ahead: a rarefaction
    fan ``f'(u) = x / t`` from 1 down to the front saturation ``u* = sqrt(M / (1 +
    M))``, then a shock to 0 at the speed ``f(u*) / u* = f'(u*)`` (Welge's tangent).
    Buckley and Leverett 1942, Trans. AIME 146; LeVeque 2002. Exact to
    round-off.

    Args:
        x: Points, space first and time second. Shape ``(batch, 2)``.
        mobility: Ratio ``M`` of the two fluids' mobilities, dimensionless.

    Returns:
        Saturation. Shape ``(batch, 1)``. First derivatives by autograd are right.

    Raises:
        TypeError: If ``x`` is not a floating-point tensor.
        ValueError: If ``x`` is not of shape ``(batch, 2)`` or ``mobility`` not
            positive.

    Example:
        >>> x = torch.tensor([[0.0, 0.5], [0.9, 0.5]])
        >>> buckley_leverett_fan(x).flatten().tolist()
        [1.0, 0.0]
    """
    check_points("x", x, 2)
    check_positive("mobility", mobility)
    M = mobility

    def speed(u: Tensor) -> Tensor:
        return 2 * M * u * (1 - u) / (u**2 + M * (1 - u) ** 2) ** 2

    front = (M / (1 + M)) ** 0.5
    fastest = speed(torch.tensor(front, dtype=torch.float64)).item()
    # At t = 0 the fan is a step: send xi to infinity ahead and to 0 behind.
    ahead, t = x[:, :1], x[:, 1:].clamp_min(torch.finfo(x.dtype).tiny)
    xi = torch.where(ahead <= 0, 0 * ahead, ahead / t)
    inside = xi.detach().clamp(max=fastest)
    low, high = torch.full_like(inside, front), torch.ones_like(inside)
    for _ in range(60):  # f' falls from the front to u = 1
        middle = (low + high) / 2
        faster = speed(middle) > inside
        low, high = torch.where(faster, middle, low), torch.where(faster, high, middle)
    u = ((low + high) / 2).requires_grad_()
    with torch.enable_grad():
        bend = torch.autograd.grad(speed(u).sum(), u)[0]
    u = u.detach()
    # A step of Newton that changes nothing but carries du/dxi = 1 / f''(u).
    u = u + (xi - xi.detach()) / torch.where(bend == 0, torch.ones_like(bend), bend)
    return torch.where(xi > fastest, 0 * u, u)


@dataclass(frozen=True, eq=False)
class SpectralSolution:
    """A solution held as Chebyshev polynomials in time by Fourier modes in space.

    Args:
        coefficients: Complex. Shape ``(degrees, modes)``.
        left: Left end of the period.
        right: Right end.
        end: Last time; the first is 0.
    """

    coefficients: Tensor
    left: float
    right: float
    end: float

    def __call__(self, x: Tensor) -> Tensor:
        """Evaluate the solution.

        Args:
            x: Points, space first and time second. Shape ``(batch, 2)``.

        Returns:
            Values. Shape ``(batch, 1)``.

        Raises:
            TypeError: If ``x`` is not a floating-point tensor.
            ValueError: If ``x`` is not of shape ``(batch, 2)``.
        """
        check_points("x", x, 2)
        # Full precision inside, whatever the points come in.
        c = self.coefficients.to(x.device)
        k = 2 * torch.pi * torch.arange(c.shape[1]).to(x.device, torch.float64)
        phase = (x[:, :1].double() - self.left) / (self.right - self.left) * k
        s = 2 * x[:, 1:].double() / self.end - 1
        # cos(n arccos s) has no derivative at the ends: recur instead.
        columns = [torch.ones_like(s), s]
        for _ in range(2, len(c)):
            columns.append(2 * s * columns[-1] - columns[-2])
        T = torch.cat(columns[: len(c)], dim=1)  # (batch, degrees)
        real, imag = T @ c.real, T @ c.imag
        u = (real * phase.cos() - imag * phase.sin()).sum(1, keepdim=True)
        return u.to(x.dtype)


def etdrk4(
    initial: Callable[[np.ndarray], np.ndarray],
    linear: Callable[[np.ndarray], np.ndarray],
    nonlinear: Callable[[np.ndarray], np.ndarray],
    *,
    interval: tuple[float, float],
    end: float,
    modes: int = 1024,
    step: float = 1e-3,
) -> SpectralSolution:
    r"""Solve ``u_t = L u + N(u)`` on a periodic interval by Fourier modes and ETDRK4.

    The linear part is integrated exactly, the nonlinear one to fourth order; the
    coefficients come from contour integrals. Cox and Matthews 2002, J. Comput. Phys.
    176(2); Kassam and Trefethen 2005, SIAM J. Sci. Comput. 26(4).
    The steps land on 97 Chebyshev points, through which time is interpolated.

    Args:
        initial: ``u(x, 0)``.
        linear: Symbol of ``L`` as a function of the wave number ``k``.
        nonlinear: ``N(u)``, pointwise.
        interval: The period.
        end: Last time.
        modes: Grid points, even.
        step: Longest time step.

    Returns:
        The solution at any point.

    Raises:
        TypeError: If ``modes`` is not an int.
        ValueError: If ``end`` or ``step`` is not positive, or ``modes`` is odd.

    Example:
        >>> heat = etdrk4(np.cos, lambda k: -k**2, np.zeros_like,
        ...               interval=(0, 2 * np.pi), end=1.0, modes=16)
        >>> heat(torch.tensor([[0.0, 1.0]], dtype=torch.float64)).item()  # exp(-1)
        0.36787944...
    """
    check_count("modes", modes, least=2)
    check_positive("end", end)
    check_positive("step", step)
    if modes % 2:
        raise ValueError(f"modes is {modes}: expected an even number")
    left, right = interval
    # Sample finely and cut: a kink's high modes must not fold onto the low ones.
    grid = left + (right - left) * np.arange(_FINER * modes) / (_FINER * modes)
    k = 2 * np.pi / (right - left) * np.arange(modes // 2 + 1)
    degrees = 96
    times = end * (1 - np.cos(np.pi * np.arange(degrees + 1) / degrees)) / 2
    v = np.fft.rfft(initial(grid))[: modes // 2 + 1] / _FINER
    frames = [v]
    for span in np.diff(times):
        count = int(np.ceil(span / step))
        stepper = _Stepper(linear(k), nonlinear, span / count)
        for _ in range(count):
            v = stepper(v)
        frames.append(v)
    spectrum = np.array(frames) / modes
    spectrum[:, 1:-1] *= 2  # the real transform holds each pair of modes once
    chebyshev = _chebyshev_coefficients(spectrum)
    return SpectralSolution(
        torch.as_tensor(chebyshev, device="cpu"), float(left), float(right), float(end)
    )


def _chebyshev_coefficients(frames: np.ndarray) -> np.ndarray:
    """Interpolate values at ``-cos(pi j / n)`` by Chebyshev polynomials."""
    n = len(frames) - 1
    j = np.arange(n + 1)
    weight = np.where((j == 0) | (j == n), 0.5, 1.0)
    T = np.cos(np.pi * np.outer(j, n - j) / n)  # T_m at the points, in rising order
    return 2 / n * weight[:, None] * (T @ (weight[:, None] * frames))


class _Stepper:
    """One step of ETDRK4 of fixed length."""

    def __init__(
        self, L: np.ndarray, nonlinear: Callable[[np.ndarray], np.ndarray], dt: float
    ) -> None:
        self.nonlinear, self.modes = nonlinear, 2 * (len(L) - 1)
        z = dt * L
        circle = np.exp(1j * np.pi * (np.arange(1, 33) - 0.5) / 32)
        w = z[:, None] + circle
        e = np.exp(w)
        self.E, self.E2 = np.exp(z), np.exp(z / 2)
        self.Q = dt * ((np.exp(w / 2) - 1) / w).mean(1).real
        self.f1 = dt * ((-4 - w + e * (4 - 3 * w + w**2)) / w**3).mean(1).real
        self.f2 = dt * ((2 + w + e * (-2 + w)) / w**3).mean(1).real
        self.f3 = dt * ((-4 - 3 * w - w**2 + e * (4 - w)) / w**3).mean(1).real

    def _N(self, v: np.ndarray) -> np.ndarray:
        return np.fft.rfft(self.nonlinear(np.fft.irfft(v, self.modes)))

    def __call__(self, v: np.ndarray) -> np.ndarray:
        Nv = self._N(v)
        a = self.E2 * v + self.Q * Nv
        Na = self._N(a)
        b = self.E2 * v + self.Q * Na
        Nb = self._N(b)
        c = self.E2 * a + self.Q * (2 * Nb - Nv)
        Nc = self._N(c)
        return self.E * v + self.f1 * Nv + 2 * self.f2 * (Na + Nb) + self.f3 * Nc
