"""Levenberg-Marquardt: Gauss-Newton with damping, on the residuals of a network."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pinn._checks import check_callable, check_positive, check_second_order
from pinn.optimizers.jacobian import jacobian

__all__ = ["LevenbergMarquardt"]

Closure = Callable[[], Tensor]


class LevenbergMarquardt(torch.optim.Optimizer):
    r"""Solve ``(J^T J + lam I) d = -J^T r``; accept what lowers ``|r|^2``.

    The smaller of the two systems is solved: in the space of the parameters, or of the
    residuals, ``d = -J^T (J J^T + lam I)^{-1} r``. ``lam`` falls by 3 after a success
    and rises by 2 after each failure. Marquardt 1963, J. SIAM 11(2). The Jacobian takes
    ``8 m n`` bytes for ``m`` residuals and ``n`` parameters.

    Plain DeepXDE takes it: ``model.compile(LevenbergMarquardt(net.parameters(),
    lambda: data.residual_vector(net)))``; the closure is then used for the loss alone.

    Args:
        params: Parameters in float64, one group.
        residuals: The residual vector; the sum of its squares is minimised.
        damping: First ``lam``.
        max_entries: Refuse a Jacobian with more entries than this.
        attempts: How often one step may raise the damping before it gives up.

    Raises:
        TypeError: If the parameters are not in float64 or ``residuals`` not a function.
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

    def step(  # type: ignore[override]
        self, closure: Closure | None = None
    ) -> Tensor:
        """Do one iteration.

        Args:
            closure: Not needed; DeepXDE passes one.

        Returns:
            Sum of squares before the step. Scalar.

        Raises:
            FloatingPointError: If a residual is not finite.
            ValueError: If the Jacobian would be too large.
        """
        state = self.state[self._params[0]]
        if not state:
            state["damping"], state["n_iter"] = self.damping, 0
        state["n_iter"] += 1
        r, J = jacobian(self.residuals, self._params, self.max_entries)
        before = r.square().sum()
        if not before.isfinite():
            raise FloatingPointError(
                f"the sum of squares is {before.item()} at iteration "
                f"{state['n_iter']}: try a few hundred steps of Adam first"
            )
        solve = _Damped(J, r)
        x = [p.detach().clone() for p in self._params]
        for _ in range(self.attempts):
            d = solve(state["damping"])
            self._move(x, d)
            with torch.enable_grad():  # residuals may differentiate by themselves
                after = self.residuals().detach().square().sum()
            if after < before:
                state["damping"] = max(state["damping"] / 3, 1e-15)
                return before
            state["damping"] = min(state["damping"] * 2, 1e15)
        self._move(x, torch.zeros_like(d))
        return before

    @torch.no_grad()
    def _move(self, x: list[Tensor], d: Tensor) -> None:
        """Set the parameters to ``x + d``."""
        start = 0
        for p, old in zip(self._params, x, strict=True):
            p.copy_(old + d[start : start + p.numel()].view_as(p))
            start += p.numel()


class _Damped:
    """The damped normal equations, for any damping."""

    def __init__(self, J: Tensor, r: Tensor) -> None:
        self.J, self.wide = J, J.shape[0] < J.shape[1]
        self.gram = J @ J.T if self.wide else J.T @ J
        self.right = r if self.wide else J.T @ r

    def __call__(self, lam: float) -> Tensor:
        damped = self.gram.clone()
        damped.diagonal().add_(lam)
        L, failed = torch.linalg.cholesky_ex(damped)
        if failed:  # not positive, by round-off
            values, vectors = torch.linalg.eigh(self.gram)
            values = values.clamp_min(0) + lam
            d = vectors @ ((vectors.T @ self.right) / values)
        else:
            d = torch.cholesky_solve(self.right[:, None], L)[:, 0]
        return -(self.J.T @ d) if self.wide else -d
