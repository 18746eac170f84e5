"""What every operator has: forward, adjoint, and a norm by the power method."""

import warnings
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from unroll._checks import check_positive

__all__ = ["Operator"]

_MOST = 10_000  # steps of the power method


class Operator(nn.Module, ABC):
    r"""A linear map ``b = A x`` that need not be a matrix.

    An operator is a module, since that is what composes with networks: as a part of one
    it moves with ``.to``, is saved with it, is copied by ``deepcopy``, and gradients
    flow through both of its directions. Its tensors are buffers, constants; an input
    must be of their dtype, and is answered on its own device.

    A subclass says :meth:`forward` and :meth:`adjoint`, the map with

    .. math:: \langle A x, b \rangle = \langle x, A^* b \rangle

    for all ``x`` and ``b``, the inner product taken over complex numbers if any is.
    Methods that need no more of a matrix are called matrix-free: Saad 2003, Iterative
    Methods for Sparse Linear Systems, section 6.1.

    Args:
        domain: Shape of one ``x``, without the batch and what else stands before it.

    Example:
        >>> class Difference(Operator):
        ...     def forward(self, x):
        ...         return x[..., 1:] - x[..., :-1]
        ...     def adjoint(self, b):
        ...         return nn.functional.pad(b, (1, 0)) - nn.functional.pad(b, (0, 1))
        >>> round(Difference(domain=(3,)).norm(tol=1e-6) ** 2, 4)
        3.0
    """

    def __init__(self, domain: tuple[int, ...]) -> None:
        super().__init__()
        self.domain = domain

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return ``A x`` for every ``x`` of a batch."""

    @abstractmethod
    def adjoint(self, b: Tensor) -> Tensor:
        """Return ``A^* b`` for every ``b`` of a batch.

        Args:
            b: Measurements. Shape ``(..., m)``.

        Returns:
            In the domain. Shape ``(..., n)``.
        """

    def zeros(self, batch: int = 1) -> Tensor:
        """Return ``x = 0``, of the dtype and on the device of the buffers.

        Args:
            batch: Samples.

        Returns:
            Zeros; of torch's default dtype where the operator holds no numbers. Shape
            ``(batch, ...)``.
        """
        held = [*self.parameters(), *self.buffers()]
        numbers = [t for t in held if t.is_floating_point() or t.is_complex()]
        dtype = numbers[0].dtype if numbers else torch.get_default_dtype()
        device = held[0].device if held else torch.device("cpu")
        return torch.zeros(batch, *self.domain, dtype=dtype, device=device)

    @torch.no_grad()
    def norm(
        self, *, tol: float = 1e-3, generator: torch.Generator | None = None
    ) -> float:
        r"""Bound the spectral norm from above, by the power method.

        With ``v`` of norm 1, ``M = A^* A``, ``rho = <v, M v>`` and the residual
        ``delta = ||M v - rho v||``, an eigenvalue of ``M`` is within ``delta`` of
        ``rho``: the result is ``sqrt(rho + delta)``, and the iteration ends once
        ``delta <= tol rho``. From a random start that eigenvalue is the largest,
        unless the start happens to be orthogonal to its eigenvectors. Then

        .. math:: \|A\| \le \mathrm{norm} \le (1 + \mathrm{tol}) \, \|A\|.

        The residual bound: Parlett 1998, The Symmetric Eigenvalue Problem, section 4.5.

        Args:
            tol: Relative accuracy.
            generator: Source of the random start, on the device of the operator; None
                is a new one of seed 0, so that one operator has one norm.

        Returns:
            The norm.

        Raises:
            ValueError: If ``tol`` is not positive.
        """
        check_positive("tol", tol)
        v = self._start(generator)
        for _ in range(_MOST):
            v = v / torch.linalg.vector_norm(v)
            w = self.adjoint(self(v))
            rho = (v.conj() * w).sum().real
            delta = torch.linalg.vector_norm(w - rho * v)
            if delta <= tol * rho:
                break
            v = w
        else:
            warnings.warn(
                f"the power method ends after {_MOST} steps {(delta / rho).item():.2g} "
                f"from an eigenvalue, relatively: expected a tol above {tol:.2g}",
                stacklevel=2,
            )
        return (rho + delta).sqrt().item()

    def _start(self, generator: torch.Generator | None) -> Tensor:
        """Return a random ``x`` of the dtype and on the device of the buffers."""
        v = self.zeros()
        if generator is None:
            generator = torch.Generator(v.device).manual_seed(0)
        return v.normal_(generator=generator)
