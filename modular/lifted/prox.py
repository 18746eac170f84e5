r"""What an activation must be: a proximal map, with the potential that it belongs to.

With ``s(z) = argmin_u 1/2 ||u - z||^2 + Psi(u)``, the function ``z -> 1/2 ||.||^2 +
Psi`` has a conjugate whose gradient is ``s``: the reason why no derivative of ``s`` is
ever needed.
"""

from abc import ABC, abstractmethod

from torch import Tensor

__all__ = ["Prox"]


class Prox(ABC):
    r"""An activation ``s = prox_Psi``. A subclass is a frozen dataclass.

    .. math:: B(y, z) = \tfrac12 \|y\|^2 + \Psi(y)
              + (\tfrac12 \|\cdot\|^2 + \Psi)^*(z) - \langle y, z \rangle

    is at least ``1/2 ||y - s(z)||^2``, zero where ``y = s(z)``, convex in each of its
    arguments, and its gradient in ``z`` is ``s(z) - y``. Wang and Benning 2023, "Lifted
    Bregman training of neural networks", JMLR 24(232), section 3.
    """

    @abstractmethod
    def __call__(self, z: Tensor) -> Tensor:
        """Return ``s(z)``.

        Args:
            z: Inputs of the activation. Shape ``(..., n)``.

        Returns:
            Outputs. Shape ``(..., n)``.
        """

    @abstractmethod
    def potential(self, y: Tensor) -> Tensor:
        """Return ``Psi(y)``, infinite outside of its domain.

        Args:
            y: Outputs of the activation. Shape ``(..., n)``.

        Returns:
            The sum over the last dimension. Shape ``(...,)``.
        """

    @abstractmethod
    def conjugate(self, z: Tensor) -> Tensor:
        """Return the conjugate of ``1/2 ||.||^2 + Psi`` at ``z``.

        Args:
            z: Inputs of the activation. Shape ``(..., n)``.

        Returns:
            The sum over the last dimension. Shape ``(...,)``.
        """

    @abstractmethod
    def step(self, v: Tensor, mu: float) -> Tensor:
        r"""Return the proximal map of ``mu (1/2 ||.||^2 + Psi)``.

        It is ``prox`` of ``mu / (1 + mu) Psi`` at ``v / (1 + mu)``.

        Args:
            v: Where. Shape ``(..., n)``.
            mu: Weight.

        Returns:
            The minimiser. Shape ``(..., n)``.
        """

    def distance(self, y: Tensor, z: Tensor) -> Tensor:
        """Return ``B(y, z)``; its gradient for ``z`` is ``s(z) - y``.

        Args:
            y: What the outputs should be. Shape ``(..., n)``.
            z: Inputs of the activation. Shape ``(..., n)``.

        Returns:
            The distance. Shape ``(...,)``.
        """
        own = y.square().sum(dim=-1) / 2 + self.potential(y)
        return own + self.conjugate(z) - (y * z).sum(dim=-1)
