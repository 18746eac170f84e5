"""What comes before and after a network: features, and conditions fulfilled exactly.

Both are for DeepXDE's ``net.apply_feature_transform`` and
``net.apply_output_transform``.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pinn._checks import check_callable, check_count, check_positive

__all__ = ["BoxFeatures", "FourierFeatures", "HardConstraint", "PeriodicFeatures"]

Function = Callable[[Tensor], "Tensor"]


class HardConstraint:
    """Fulfil conditions by construction: ``u(x) = lift(x) + distance(x) * net(x)``.

    With ``distance`` zero where the conditions hold and ``lift`` equal to the data
    there, no loss term is left for them: the physics-constrained network of Lagaris,
    Likas and Fotiadis 1998, IEEE Trans. Neural Netw. 9(5).

    Args:
        lift: ``lift(x)`` gives ``(batch, components)``.
        distance: ``distance(x)`` gives ``(batch, components)`` or ``(batch, 1)``.

    Raises:
        TypeError: If an argument is not a function.

    Example:
        >>> hard = HardConstraint(lambda x: 0 * x, lambda x: x * (1 - x))
        >>> hard(torch.tensor([[0.0], [0.5]]), torch.tensor([[7.0], [4.0]])).tolist()
        [[0.0], [1.0]]
    """

    def __init__(self, lift: Function, distance: Function) -> None:
        check_callable("lift", lift)
        check_callable("distance", distance)
        self.lift, self.distance = lift, distance

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Transform a network's output.

        Args:
            x: Points. Shape ``(batch, dim)``.
            y: The network's output. Shape ``(batch, components)``.

        Returns:
            The constrained output. Shape ``(batch, components)``.
        """
        return self.lift(x) + self.distance(x) * y


class FourierFeatures:
    r"""Random Fourier features, ``[cos(B x), sin(B x)]`` with normal entries in ``B``.

    They lift the spectral bias towards smooth functions: Tancik et al. 2020, NeurIPS,
    with ``2 pi b_j`` written as a row of ``B``. Use as DeepXDE's feature transform; the
    network then has ``2 * count`` inputs.

    Args:
        dim: Coordinates.
        count: Frequencies.
        scale: Standard deviation of the entries of ``B``, in radians per unit of ``x``.
        generator: Source of randomness; None is torch's global one.

    Raises:
        TypeError: If ``dim`` or ``count`` is not an int.
        ValueError: If a number is not positive.

    Example:
        >>> FourierFeatures(2, 16)(torch.zeros(3, 2)).shape
        torch.Size([3, 32])
    """

    def __init__(
        self,
        dim: int,
        count: int,
        *,
        scale: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        check_count("dim", dim, least=1)
        check_count("count", count, least=1)
        check_positive("scale", scale)
        self.B = scale * torch.randn(
            dim, count, generator=generator, dtype=torch.float64, device="cpu"
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the features.

        Args:
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Features. Shape ``(batch, 2 * count)``.
        """
        phase = x @ self.B.to(x)
        return torch.cat([phase.cos(), phase.sin()], dim=1)


class PeriodicFeatures:
    r"""Make a network periodic along one axis: ``x -> cos(k w x), sin(k w x)``.

    With ``w = 2 pi / period`` and ``k = 1 ... count``; the other coordinates pass. Dong
    and Ni 2021, J. Comput. Phys. 435, 110242. The network then has
    ``dim - 1 + 2 * count`` inputs.

    Args:
        axis: Which coordinate is periodic.
        period: Its period, in units of ``x``.
        count: Harmonics.

    Raises:
        TypeError: If ``axis`` or ``count`` is not an int.
        ValueError: If a number is out of range.

    Example:
        >>> features = PeriodicFeatures(0, period=2.0)
        >>> ends = features(torch.tensor([[-1.0, 0.3], [1.0, 0.3]]))
        >>> ends.shape, torch.allclose(ends[0], ends[1], atol=1e-6)
        (torch.Size([2, 3]), True)
    """

    def __init__(self, axis: int, period: float, count: int = 1) -> None:
        check_count("axis", axis, least=0)
        check_positive("period", period)
        check_count("count", count, least=1)
        self.axis, self.period, self.count = axis, period, count

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the features.

        Args:
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Features. Shape ``(batch, features)``.

        Raises:
            ValueError: If the points have no such axis.
        """
        if self.axis >= x.shape[1]:
            raise ValueError(
                f"x has {x.shape[1]} columns: expected more than axis = {self.axis}"
            )
        k = torch.arange(1, self.count + 1, dtype=x.dtype, device=x.device)
        phase = 2 * torch.pi / self.period * x[:, self.axis : self.axis + 1] * k
        others = [x[:, : self.axis], x[:, self.axis + 1 :]]
        return torch.cat([phase.cos(), phase.sin(), *others], dim=1)


class BoxFeatures:
    r"""Scale a box to [-1, 1] along every axis.

    Activations saturate on large inputs and are straight on small ones: LeCun, Bottou,
    Orr and Muller 1998, Efficient BackProp, section 4.3. Methods of this package scale
    their own networks where a domain is far from the size of one.

    Args:
        lower: Lower corner, one number per axis.
        upper: Upper corner.

    Raises:
        ValueError: If the corners differ in length, or do not rise.

    Example:
        >>> BoxFeatures([0], [30])(torch.tensor([[0.0], [15.0], [30.0]])).flatten()
        tensor([-1.,  0.,  1.])
    """

    def __init__(self, lower: Sequence[float], upper: Sequence[float]) -> None:
        pairs = len(lower) == len(upper)
        if not pairs or any(a >= b for a, b in zip(lower, upper, strict=True)):
            raise ValueError(
                f"lower is {list(lower)} and upper {list(upper)}: expected rising pairs"
            )
        self.lower = torch.as_tensor(lower, dtype=torch.float64, device="cpu")
        self.upper = torch.as_tensor(upper, dtype=torch.float64, device="cpu")

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the features.

        Args:
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Features. Shape ``(batch, dim)``.
        """
        lower, upper = self.lower.to(x), self.upper.to(x)
        return 2 * (x - lower) / (upper - lower) - 1
