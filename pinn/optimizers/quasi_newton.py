"""Second-order optimisers for small networks: self-scaled quasi-Newton methods.

They keep a dense inverse Hessian, ``8 n^2`` bytes for ``n`` parameters in float64, and
reach errors that first-order methods do not: Urban, Stefanou and Pons 2025, J. Comput.
Phys. 523, 113656; Kiyani et al. 2025, CMAME 446, 118308. Any ``deepxde.Model`` takes
them: ``model.compile(SSBroyden(net.parameters()))``.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from pinn._checks import check_count, check_second_order
from pinn.optimizers.linesearch import strong_wolfe

__all__ = ["SelfScaled", "broyden"]

Closure = Callable[[], Tensor]


class SelfScaled(torch.optim.Optimizer):
    """A quasi-Newton method of Broyden's class, the update left open.

    Args:
        params: Parameters in float64.
        max_iter: Iterations per step.
        max_params: Refuse more parameters than this: memory grows with the square.
    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        *,
        max_iter: int = 10,
        max_params: int = 4000,
    ) -> None:
        check_count("max_iter", max_iter, least=1)
        self.max_iter = max_iter
        super().__init__(params, {})
        if len(self.param_groups) != 1:
            raise ValueError(
                f"params has {len(self.param_groups)} groups: expected one group"
            )
        check_count("max_params", max_params, least=1)
        self._params: list[Tensor] = self.param_groups[0]["params"]
        check_second_order(type(self).__name__, self._params)
        count = sum(p.numel() for p in self._params)
        if count > max_params:
            raise ValueError(
                f"params has {count} entries, for which the inverse Hessian takes "
                f"{8 * count**2 / 2**20:.0f} MiB: expected at most {max_params} "
                "(raise max_params if that is meant)"
            )

    @torch.no_grad()
    def step(self, closure: Closure) -> Tensor:  # type: ignore[override]
        """Do ``max_iter`` iterations: line searches and updates of the inverse Hessian.

        Args:
            closure: Computes the loss and its gradient.

        Returns:
            The loss before the step. Scalar.

        Raises:
            FloatingPointError: If the loss is not finite at the start of the step.
        """
        evaluate = torch.enable_grad()(closure)
        state = self.state[self._params[0]]
        first = evaluate()
        if not first.isfinite():
            raise FloatingPointError(
                f"the loss is {first.item()} at iteration {state.get('n_iter', 0)}: "
                "try a few hundred steps of Adam first"
            )
        loss, g = first.item(), self._gradient()
        if not state:
            state["n_iter"], state["fresh"] = 0, True
            state["H"] = torch.eye(len(g), dtype=g.dtype, device=g.device)
        for _ in range(self.max_iter):
            if not g.any():
                break
            state["n_iter"] += 1
            found = self._iterate(evaluate, state, loss, g)
            if found is None:
                break
            loss, g = found
        return first

    def _iterate(
        self, evaluate: Closure, state: dict, loss: float, g: Tensor
    ) -> tuple[float, Tensor] | None:
        """Search along ``-H g``; update ``H``; None if nothing decreases."""
        H = state["H"]
        d = -(H @ g)
        slope = torch.dot(d, g).item()
        if not slope < 0:  # the points have changed under an old Hessian: start again
            self._forget(state)
            d, slope = -g, -torch.dot(g, g).item()
        if state["fresh"]:
            start = min(1.0, 1.0 / g.abs().sum().item())
        else:  # as if this step's decrease were the last one's: Nocedal, Wright (3.60)
            start = min(1.0, 2.02 * state["decrease"] / -slope)
        x = torch.cat([p.flatten() for p in self._params])

        def along(step: float) -> tuple[float, float, Tensor]:
            self._move(x + step * d)
            value = evaluate().item()
            gradient = self._gradient()
            return value, torch.dot(gradient, d).item(), gradient

        found = strong_wolfe(along, loss, slope, start)
        if found is None:  # round-off: stay, and forget the curvature
            self._move(x)
            self._forget(state)
            return None
        step, value, g_new = found
        self._move(x + step * d)
        s, y = step * d, g_new - g
        if torch.dot(s, y) > 1e-300:
            # B s = -step g, because s = -step H g.
            self._update(H, s, y, -step * torch.dot(s, g), state["fresh"])
            state["fresh"] = False
        state["decrease"] = loss - value
        return value, g_new

    @staticmethod
    def _forget(state: dict) -> None:
        """Start again from the identity."""
        state["H"].zero_().fill_diagonal_(1.0)
        state["fresh"] = True

    def _update(
        self, H: Tensor, s: Tensor, y: Tensor, sBs: Tensor, first: bool
    ) -> None:
        """Update the inverse Hessian in place."""
        raise NotImplementedError

    def _gradient(self) -> Tensor:
        """Return the gradient as one vector."""
        return torch.cat(
            [
                torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten()
                for p in self._params
            ]
        )

    def _move(self, x: Tensor) -> None:
        """Put a vector into the parameters."""
        start = 0
        for p in self._params:
            p.copy_(x[start : start + p.numel()].view_as(p))
            start += p.numel()


def broyden(H: Tensor, s: Tensor, y: Tensor, tau: float, phi: float) -> None:
    r"""Apply a member of Broyden's class, scaled by ``1 / tau``, in place.

    .. math:: H \leftarrow \frac1\tau \Bigl(H - \frac{H y y^T H}{y^T H y}
              + \phi \, (y^T H y) \, v v^T\Bigr) + \frac{s s^T}{s^T y}, \quad
              v = \frac{s}{s^T y} - \frac{H y}{y^T H y}
    """
    Hy = H @ y
    yHy, sy = torch.dot(y, Hy), torch.dot(s, y)
    v = s / sy - Hy / yHy
    left = torch.stack([Hy * (-1 / (tau * yHy)), v * (phi * yHy / tau), s / sy], dim=1)
    H.mul_(1 / tau).addmm_(left, torch.stack([Hy, v, s]))
