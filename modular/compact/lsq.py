"""LSQ: the size of a step is learned, too."""

import torch
from torch import Tensor, nn

from modular.compact.fake_quant import FakeQuant, rounded

__all__ = ["LSQ"]


class LSQ(FakeQuant):
    r"""Round to steps whose size is learned with the weights.

    .. math:: \hat v = s \operatorname{round}(\operatorname{clip}(v/s, -Q_n, Q_p)),
              \qquad \frac{\partial \hat v}{\partial s} =
              \begin{cases} \operatorname{round}(v/s) - v/s & -Q_n < v/s < Q_p \\
              -Q_n \text{ or } Q_p & \text{outside} \end{cases}

    times ``1 / sqrt(n Q_p)`` for ``n`` numbers. ``Q_n = 2^(bits - 1)``,
    ``Q_p = 2^(bits - 1) - 1``, or 0 and ``2^bits - 1`` if not ``signed``. The step
    starts at ``2 mean|v| / sqrt(Q_p)`` of the first numbers that come. Esser,
    McKinstry, Bablani, Appuswamy and Modha 2020 (ICLR), equations 1 to 3, section 2.2.

    Args:
        bits: Of a number, from 2 to 16.
        signed: Whether levels lie on both sides of zero.

    Raises:
        TypeError: If ``bits`` is not an int.
        ValueError: If ``bits`` is not from 2 to 16.

    Example:
        >>> import torch
        >>> lsq = LSQ(bits=2)
        >>> lsq(torch.tensor([-2.0, 0.5, 0.5])).tolist()
        [-2.0, 0.0, 0.0]
    """

    started: Tensor

    def __init__(self, bits: int, signed: bool = True) -> None:
        super().__init__(bits, signed)
        self.least = -(2 ** (bits - 1)) if signed else 0
        self.most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        self.step = nn.Parameter(torch.ones(()))
        self.register_buffer("started", torch.tensor(False))

    def forward(self, v: Tensor) -> Tensor:
        """Round.

        Args:
            v: Numbers. Shape ``(...)``.

        Returns:
            Levels. Shape ``(...)``.

        Raises:
            ValueError: If the step is not positive any more: its rate is too large.
        """
        if not self.started:
            self.step.data = self.unit(v)
            self.started.fill_(True)
        if not self.step > 0:
            raise ValueError(
                f"the step is {self.step.item():.3g}: expected a positive one; train "
                "it with a smaller learning rate"
            )
        slow = 1 / (v.numel() * self.most) ** 0.5
        step = self.step * slow + (self.step * (1 - slow)).detach()
        return rounded((v / step).clamp(self.least, self.most)) * step

    def unit(self, v: Tensor) -> Tensor:
        """Return the step, as learned; before it has begun, where it begins.

        Args:
            v: Numbers. Shape ``(...)``.

        Returns:
            ``s``. Shape ``()``.
        """
        if self.started:
            return self.step.detach()
        size = 2 * v.detach().abs().mean() / self.most**0.5
        return torch.where(size > 0, size, 1.0).to(self.step)
