"""Curvature without a sign: symmetric rank-one updates from the last few steps."""

import torch
from torch import Tensor

from modular._checks import check_count, check_positive

__all__ = ["LSR1"]

_SKIP = 1e-8


class LSR1:
    r"""The limited-memory SR1 matrix, in compact form.

    .. math:: B = \gamma I + \Psi M \Psi^T, \qquad \Psi = Y - \gamma S, \qquad
              M^{-1} = D + L + L^T - \gamma S^T S

    with the pairs ``s`` (a step) and ``y`` (the change of the gradient) as columns of
    ``S`` and ``Y``, and the diagonal ``D`` and strictly lower part ``L`` of ``S^T Y``.
    Unlike BFGS it may be indefinite, and is where the Hessian is. A pair is left out if
    ``|s^T (y - B s)| < 1e-8 ||s|| ||y - B s||`` with the matrix of the pairs before it,
    or if ``y`` is ``B s`` but for rounding; never by the sign of ``y^T s``: negative
    curvature is what it is for. Byrd, Nocedal
    and Schnabel 1994, theorem 5.1; Nocedal and Wright 2006, section 6.2.

    Args:
        memory: How many pairs are kept.
        gamma: Curvature where nothing is known.

    Raises:
        TypeError: If ``memory`` is not an int.
        ValueError: If ``memory`` or ``gamma`` is not positive.

    Example:
        >>> A = torch.diag(torch.tensor([-1.0, 2.0, 5.0]))
        >>> B = LSR1(memory=3)
        >>> for s in torch.eye(3):
        ...     added = B.update(s, A @ s)
        >>> bool((B.dense(3) - A).abs().max() < 1e-6)  # saddle and all
        True
    """

    def __init__(self, memory: int, gamma: float = 1.0) -> None:
        check_count("memory", memory, least=1)
        check_positive("gamma", gamma)
        self.memory, self.gamma = memory, gamma
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def update(self, s: Tensor, y: Tensor) -> bool:
        """Add a pair; the oldest gives way, and pairs that no longer fit.

        Args:
            s: Step. Shape ``(n,)``.
            y: Change of the gradient along it. Shape ``(n,)``.

        Returns:
            Whether the pair was added.
        """
        pairs = [*self.pairs, (s, y)][-self.memory :]
        S, psi, inverse = self._parts(pairs)
        cross = psi.T @ S
        kept: list[int] = []
        for j, (step, change) in enumerate(pairs):
            off = psi[:, j]  # y - B s, with the matrix of the pairs kept so far
            if kept:
                small = torch.linalg.solve(inverse[kept][:, kept], cross[kept, j])
                off = off - psi[:, kept] @ small
            same = torch.finfo(s.dtype).eps ** 0.5
            same = same * float(change.norm() + self.gamma * step.norm())
            least = _SKIP * float(step.norm() * off.norm())
            if off.norm() > same and (step @ off).abs() >= least:
                kept.append(j)
        self.pairs = [pairs[j] for j in kept]
        return len(pairs) - 1 in kept

    def _parts(
        self, pairs: list[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return ``S``, ``Psi`` and the inverse of ``M``."""
        S = torch.stack([s for s, _ in pairs], dim=1)
        Y = torch.stack([y for _, y in pairs], dim=1)
        products = S.T @ Y
        lower = products.tril(-1)
        inverse = products.diag().diag() + lower + lower.T - self.gamma * (S.T @ S)
        return S, Y - self.gamma * S, inverse

    def _factors(self) -> tuple[Tensor, Tensor] | None:
        """Return ``Psi`` and the inverse of ``M``; None if there is no pair."""
        if not self.pairs:
            return None
        _, psi, inverse = self._parts(self.pairs)
        return psi, inverse

    def multiply(self, v: Tensor) -> Tensor:
        """Return ``B v``.

        Args:
            v: Vector. Shape ``(n,)``.

        Returns:
            The product. Shape ``(n,)``.
        """
        found = self._factors()
        if found is None:
            return self.gamma * v
        psi, inverse = found
        return self.gamma * v + psi @ torch.linalg.solve(inverse, psi.T @ v)

    def dense(self, n: int) -> Tensor:
        """Return the matrix, for tests and pictures.

        Args:
            n: Its size.

        Returns:
            ``B``. Shape ``(n, n)``.
        """
        like = self.pairs[0][0] if self.pairs else torch.zeros(())
        eye = torch.eye(n, dtype=like.dtype, device=like.device)
        return torch.stack([self.multiply(e) for e in eye], dim=1)

    def spectrum(self) -> tuple[Tensor, Tensor] | None:
        """Return eigenvalues and eigenvectors beside those equal to gamma.

        Thin QR of ``Psi`` and the eigenvalues of a matrix as small as the memory
        (Burdakov, Gong, Zikrin and Yuan 2017).

        Returns:
            Eigenvalues, shape ``(pairs,)``, and orthonormal columns, shape
            ``(n, pairs)``; None if there is no pair.
        """
        found = self._factors()
        if found is None:
            return None
        psi, inverse = found
        Q, R = torch.linalg.qr(psi)
        small = R @ torch.linalg.solve(inverse, R.T)
        values, U = torch.linalg.eigh((small + small.T) / 2)
        return values + self.gamma, Q @ U
