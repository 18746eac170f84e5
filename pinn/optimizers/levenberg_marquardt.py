"""Levenberg-Marquardt: Gauss-Newton with damping, on the residuals of a network."""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from pinn._checks import check_callable, check_positive, check_second_order
from pinn.optimizers.normal_equations import NormalEquations
from pinn.optimizers.trust_region import Control, Marquardt, Trial

__all__ = ["LevenbergMarquardt"]

Closure = Callable[[], Tensor]
_REACH = 0.1  # of the step, for the second difference along it


class LevenbergMarquardt(torch.optim.Optimizer):
    r"""Solve ``(J^T J + lam I) d = -J^T r``; accept what lowers ``|r|^2``.

    The smaller of the two systems is solved: in the space of the parameters, or of the
    residuals, ``d = -J^T (J J^T + lam I)^{-1} r``. ``control`` chooses ``lam``. With
    ``geodesic``, the step follows the curvature of the residuals along it:

    .. math:: r_{vv} = \frac{r(x + h d) - 2 r(x) + r(x - h d)}{h^2}, \quad
              (J^T J + \lambda I) \, a = -J^T r_{vv}, \quad d + \tfrac12 a

    with ``h = 0.1``, where ``|a| <= 0.75 |d|``. Marquardt 1963, J. SIAM 11(2);
    Transtrum and Sethna 2012 (arXiv:1201.5885). The Jacobian is taken block by block:
    memory is ``8 n^2`` bytes for ``n`` parameters, or ``8 m n`` for fewer residuals
    ``m`` than parameters.

    Plain DeepXDE takes it: ``model.compile(LevenbergMarquardt(net.parameters(),
    lambda: data.residual_vector(net)))``; the closure is then used for the loss alone.

    Args:
        params: Parameters in float64, one group.
        residuals: The residual vector; the sum of its squares is minimised.
        damping: First ``lam``.
        max_entries: Refuse a matrix with more entries than this.
        attempts: How often one step may raise the damping before it gives up.
        geodesic: Whether to follow the curvature, for two more evaluations and one
            gradient at each attempt.
        control: What chooses the damping: :class:`pinn.GainRatio`,
            :class:`pinn.TargetRatio`, or None for a third after each success and twice
            after each failure.

    Raises:
        TypeError: If the parameters are not in float64, ``residuals`` is not a function
            or ``control`` not a control.
        ValueError: If there is more than one group, or ``damping`` is not positive.

    Example:
        >>> x = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
        >>> def rosenbrock():
        ...     return torch.stack([10 * (x[1] - x[0] ** 2), 1 - x[0]])
        >>> optimizer = LevenbergMarquardt([x], rosenbrock)
        >>> for _ in range(30):
        ...     loss = optimizer.step()
        >>> torch.allclose(x, torch.ones_like(x))
        True
    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        residuals: Callable[[], "Tensor"],
        *,
        damping: float = 1e-2,
        max_entries: int = 100_000_000,
        attempts: int = 12,
        geodesic: bool = False,
        control: Control | None = None,
    ) -> None:
        check_positive("damping", damping)
        super().__init__(params, {})
        if len(self.param_groups) != 1:
            raise ValueError(
                f"params has {len(self.param_groups)} groups: expected one group"
            )
        check_callable("residuals", residuals)
        self._params: list[Tensor] = self.param_groups[0]["params"]
        check_second_order(type(self).__name__, self._params)
        self.residuals, self.damping = residuals, float(damping)
        self.max_entries, self.attempts = max_entries, attempts
        self.control = Marquardt() if control is None else control
        check_callable("control.search", getattr(self.control, "search", self.control))
        self.geodesic = geodesic

    def step(  # type: ignore[override]
        self, closure: Closure | None = None
    ) -> Tensor:
        """Do one iteration.

        Args:
            closure: Not needed; taken because DeepXDE gives one.

        Returns:
            The sum of squares before the step. Scalar.

        Raises:
            FloatingPointError: If the residuals are not finite.
            ValueError: If the matrix would be too large.
        """
        state = self.state[self._params[0]]
        if not state:
            state["damping"], state["n_iter"] = self.damping, 0
        state["n_iter"] += 1
        equations = NormalEquations(self.residuals, self._params, self.max_entries)
        before = equations.r.square().sum()
        if not before.isfinite():
            raise FloatingPointError(
                f"the sum of squares is {before.item()} at iteration "
                f"{state['n_iter']}: try a few hundred steps of Adam first"
            )
        x = [p.detach().clone() for p in self._params]
        loss, bend = partial(self._loss, x), partial(self._bend, x, equations)
        trial = Trial(equations, before.item(), loss, bend, self.attempts)
        if not self.control.search(trial, state):
            self._move(x, torch.zeros_like(equations.gradient))
        return before

    def _bend(
        self, x: list[Tensor], equations: NormalEquations, d: Tensor, lam: float
    ) -> Tensor:
        """Add half the acceleration that the residuals' curvature asks for."""
        if not self.geodesic:
            return d
        ahead, behind = (self._at(x, sign * _REACH * d) for sign in (1, -1))
        curved = (ahead - 2 * equations.r + behind) / _REACH**2
        self._move(x, torch.zeros_like(d))
        with torch.enable_grad():
            r = self.residuals()
            slopes = torch.autograd.grad(
                r, self._params, curved, allow_unused=True, materialize_grads=True
            )
        a = equations.solve_for(torch.cat([s.flatten() for s in slopes]), lam)
        return d + a / 2 if a.norm() <= 0.75 * d.norm() else d

    def _at(self, x: list[Tensor], d: Tensor) -> Tensor:
        """Evaluate the residuals at ``x + d``, and stay there."""
        self._move(x, d)
        with torch.enable_grad():  # residuals may differentiate by themselves
            return self.residuals().detach()

    def _loss(self, x: list[Tensor], d: Tensor) -> float:
        """Evaluate the sum of squares at ``x + d``, and stay there."""
        return self._at(x, d).square().sum().item()

    @torch.no_grad()
    def _move(self, x: list[Tensor], d: Tensor) -> None:
        """Set the parameters to ``x + d``."""
        start = 0
        for p, old in zip(self._params, x, strict=True):
            p.copy_(old + d[start : start + p.numel()].view_as(p))
            start += p.numel()
