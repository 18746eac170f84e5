"""Measurements of a solution, with what is known of their noise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from pinn._backend import dde
from pinn._checks import check_count, check_finite, check_positive, check_shape
from pinn.inverse.smoothness import Smoothness
from pinn.problem import Problem

__all__ = ["Data", "with_data"]


@dataclass(frozen=True, eq=False)
class Data:
    """Values of one component at points, with independent normal noise.

    Raissi, Perdikaris and Karniadakis 2019, J. Comput. Phys. 378, section 4.

    Args:
        points: Where. Shape ``(batch, dim)``.
        values: What was measured. Shape ``(batch, 1)``.
        sigma: Standard deviation of the noise, in the unit of the values.
        component: Which component of the solution.

    Raises:
        ValueError: If shapes do not fit, entries are not finite, or ``sigma`` is not
            positive.

    Example:
        >>> import torch
        >>> Data(torch.rand(5, 2), torch.rand(5, 1), sigma=0.01).component
        0
    """

    points: Tensor
    values: Tensor
    sigma: float
    component: int = 0

    def __post_init__(self) -> None:
        check_shape("points", self.points, ("batch", "dim"))
        check_shape("values", self.values, (len(self.points), 1))
        check_finite("points", self.points)
        check_finite("values", self.values)
        check_positive("sigma", self.sigma)
        check_count("component", self.component, least=0)

    def condition(self) -> object:
        """Make the loss: the mean of ``(u - value)^2``, for a ``deepxde.Model``.

        Returns:
            A ``deepxde.icbc.PointSetBC``, which hard constraints leave a loss.
        """
        arrays = (t.detach().cpu().double().numpy() for t in (self.points, self.values))
        return dde.icbc.PointSetBC(*arrays, component=self.component)


Known = Data | Smoothness  # of an inverse problem, beside its equation


def with_data(problem: Problem, data: Data | Sequence[Known]) -> Problem:
    """Add measurements to the conditions of a problem, and what is known of fields.

    With the weight of the first measurements, the loss of a :class:`Smoothness` makes
    their sum proportional to minus the logarithm of the posterior density. Raissi,
    Perdikaris and Karniadakis 2019, J. Comput. Phys. 378, section 4.

    Args:
        problem: The problem, with unknowns.
        data: Measurements of one component, or a list of such and of
            :class:`Smoothness`.

    Returns:
        The problem, its conditions first.

    Raises:
        ValueError: If the problem has no unknowns, there is no data, or its points have
            other coordinates.

    Example:
        >>> import torch
        >>> from pinn import zoo
        >>> with_data(zoo.heat(), Data(torch.rand(5, 2), torch.rand(5, 1), 0.01))
        Traceback (most recent call last):
        ValueError: problem has no unknowns: expected Problem(..., unknowns=[...])
    """
    known = listed(problem, data)
    first = next(one for one in known if isinstance(one, Data))
    added = []
    for one in known:
        if isinstance(one, Data):
            added.append(one.condition())
        else:
            share = (len(one.rows()) / len(first.points)) ** 0.5
            added.append(one.condition(problem.dim, first.sigma * share))
    return replace(problem, conditions=[*problem.conditions, *added])


def listed(problem: Problem, data: Data | Sequence[Known]) -> list[Known]:
    """List data, or refuse what cannot identify anything."""
    if not problem.unknowns:
        raise ValueError(
            "problem has no unknowns: expected Problem(..., unknowns=[...])"
        )
    known: list[Known] = [data] if isinstance(data, Data | Smoothness) else list(data)
    if not known:
        raise ValueError("data is an empty list: expected some measurements")
    if not any(isinstance(one, Data) for one in known):
        raise ValueError("data has no measurements: expected some pinn.inverse.Data")
    for k, one in enumerate(known):
        if isinstance(one, Smoothness):
            _check_field(problem, one, k)
            continue
        check_shape(f"data[{k}].points", one.points, ("batch", problem.dim))
        if one.component >= problem.components:
            raise ValueError(
                f"data[{k}] is of component {one.component} but the problem has "
                f"{problem.components}: expected 0 to {problem.components - 1}"
            )
    return known


def _check_field(problem: Problem, one: Smoothness, k: int) -> None:
    """Refuse a field of another problem."""
    if max(one.field.axes) >= problem.dim:
        raise ValueError(
            f"data[{k}] is of a field along axis {max(one.field.axes)} but the problem "
            f"has {problem.dim} coordinates: expected axes below that"
        )
    ours = [id(unknown) for unknown in problem.unknowns]
    if any(id(unknown) not in ours for unknown in one.field.unknowns):
        raise ValueError(
            f"data[{k}] is of a field whose unknowns are not the problem's: expected "
            "Problem(..., unknowns=[*field.unknowns])"
        )
