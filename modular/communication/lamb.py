"""LAMB: Adam whose step in every layer is as long as the layer's weights say."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from modular._checks import check_not_negative, check_positive
from modular.communication.layerwise import Layerwise

__all__ = ["LAMB"]


class LAMB(Layerwise):
    r"""Adam with a length for each layer that follows its weights.

    .. math:: m &\leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
              v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \\
              u &= \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}
                   + \beta w, \qquad
              w \leftarrow w - \eta \, \frac{\|w\|}{\|u\|} \, u

    One layer is one tensor. Biases and the weights of norms, which have one axis, take
    Adam's step without decay; a layer whose weights or step are 0 takes the ratio 1.
    You, Li, Reddi, Hseu, Kumar, Bhojanapalli, Song, Demmel, Keutzer and Hsieh 2020
    (ICLR), algorithm 2 with ``phi(z) = z``. Libraries depart from it: some clip the
    ratio at 10, some leave the ratio out without decay.

    Args:
        params: As any optimiser takes them.
        lr: ``eta``, positive.
        betas: ``beta_1`` and ``beta_2``, in [0, 1).
        eps: ``epsilon``, positive.
        weight_decay: ``beta``, not negative.

    Raises:
        ValueError: If one of them is out of its range.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor([[3.0, 4.0]]))
        >>> w.grad = torch.tensor([[0.0, 100.0]])
        >>> LAMB([w], lr=0.1).step()
        >>> w.data  # a tenth of its length, whatever the gradient's
        tensor([[3.0000, 3.5000]])
    """

    def __init__(
        self,
        params: Iterable,
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        check_positive("lr", lr)
        check_positive("eps", eps)
        check_not_negative("weight_decay", weight_decay)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas is {betas}: expected two numbers in [0, 1)")
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options)

    def _move(self, w: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        """Move one layer."""
        state, (one, two) = self.state[w], group["betas"]
        if not state:
            state |= {"step": 0, "m": torch.zeros_like(w), "v": torch.zeros_like(w)}
        state["step"] += 1
        m, v, t = state["m"], state["v"], state["step"]
        m.mul_(one).add_(g, alpha=1 - one)
        v.mul_(two).addcmul_(g, g, value=1 - two)
        u = m / (1 - one**t) / ((v / (1 - two**t)).sqrt() + group["eps"])
        if w.ndim > 1:
            u = u + group["weight_decay"] * w
            size, length = w.norm(), u.norm()
            u = u * torch.where((size > 0) & (length > 0), size / length, 1.0)
        w.sub_(group["lr"] * u)
