"""What a violated constraint costs, and the credit that follows from it."""

from dataclasses import dataclass

from torch import Tensor

from modular._checks import check_positive

__all__ = ["AugmentedLagrangian", "Quadratic"]


@dataclass(frozen=True)
class Quadratic:
    r"""Charge the square of what a state differs from what the module returns.

    .. math:: \tfrac{\beta}{2} \| r_k \|^2, \qquad r_k = \lambda_k - f_k(\lambda_{k-1})

    so that the credit of the module's output is ``p_k = -beta r_k``. The violation that
    is left is of order ``1 / beta``: in the end ``r_k`` is minus the gradient that the
    next module asks for, divided by ``beta``. Carreira-Perpinan and Wang 2014 (MAC);
    Sun, Dong et al. 2020, "Penalty and augmented Lagrangian methods for layer-parallel
    training of residual networks".

    Args:
        beta: Weight of the square.

    Raises:
        ValueError: If ``beta`` is not positive.

    Example:
        >>> import torch
        >>> r = torch.tensor([[3.0, 4.0]])
        >>> Quadratic(beta=2.0).cost(r, torch.zeros(1, 2))
        tensor(25.)
    """

    beta: float
    multiplies = False  # whether there are multipliers

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)

    def cost(self, r: Tensor, kappa: Tensor) -> Tensor:
        """Return what violations cost, a mean over the batch.

        Args:
            r: State minus output, ``lambda_k - f_k``. Shape ``(batch, ...)``.
            kappa: Multipliers; zero here. Shape ``(batch, ...)``.

        Returns:
            The cost. Shape ``()``.
        """
        return self.beta / 2 * r.square().sum() / len(r)

    def credit(self, r: Tensor, kappa: Tensor) -> Tensor:
        """Return the gradient of each sample's cost for the output, ``p_k``.

        Args:
            r: State minus output. Shape ``(batch, ...)``.
            kappa: Multipliers. Shape ``(batch, ...)``.

        Returns:
            ``-beta r``. Shape ``(batch, ...)``.
        """
        return -self.beta * r

    def ascend(self, kappa: Tensor, r: Tensor) -> Tensor:
        """Return the next multipliers: the same.

        Args:
            kappa: Multipliers. Shape ``(batch, ...)``.
            r: State minus output. Shape ``(batch, ...)``.

        Returns:
            Multipliers. Shape ``(batch, ...)``.
        """
        return kappa


@dataclass(frozen=True)
class AugmentedLagrangian(Quadratic):
    r"""Charge the square, and a price that rises where a constraint stays violated.

    .. math:: \langle \kappa_k, r_k \rangle + \tfrac{\beta}{2} \| r_k \|^2, \qquad
              p_k = -(\kappa_k + \beta r_k), \qquad
              \kappa_k \leftarrow \kappa_k + \beta r_k

    At the fixed point ``r_k = 0`` and ``kappa_k`` is minus the adjoint of the state,
    the gradient that backpropagation would send: a multiplier is a synthetic gradient
    that is learned. Hestenes 1969, Powell 1969; Sun, Dong et al. 2020. Differs: the
    paper's sign of the multiplier is the opposite one.

    Args:
        beta: Weight of the square, and step of the multipliers. It has to exceed the
            curvature of what comes after, or the multipliers do not converge.

    Raises:
        ValueError: If ``beta`` is not positive.

    Example:
        >>> import torch
        >>> r, kappa = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]])
        >>> AugmentedLagrangian(beta=2.0).credit(r, kappa)
        tensor([[-7., -8.]])
    """

    multiplies = True

    def cost(self, r: Tensor, kappa: Tensor) -> Tensor:
        """Return ``<kappa, r> + beta / 2 ||r||^2``, a mean over the batch."""
        return (kappa * r).sum() / len(r) + super().cost(r, kappa)

    def credit(self, r: Tensor, kappa: Tensor) -> Tensor:
        """Return ``-(kappa + beta r)``."""
        return -(kappa + self.beta * r)

    def ascend(self, kappa: Tensor, r: Tensor) -> Tensor:
        """Return ``kappa + beta r``."""
        return kappa + self.beta * r
