"""One statement of a problem, from which every discretisation is derived.

The statement is a balance law over space-time, ``div F(x, u, grad u) = s(x, u)``: time
is one more coordinate, the last, and what flows along it is ``u``.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._checks import check_callable, check_count, check_points, check_shape
from pinn.derivatives.jets import Flux, Jet, Source, Wanted, divergence
from pinn.domains.mesh import box_of, inside_of
from pinn.probing import Facts, learn, probe

__all__ = ["Problem"]

_ARGUMENTS = {
    "flux": ("x", "u", "p"),
    "source": ("x", "u"),
    "exact": ("x",),
    "residual": ("x", "y"),
    "hard": ("x", "y"),
}
_PROBES = 4000  # so that 0.4 % of the domain is missed once in ten million


@dataclass(frozen=True, eq=False)
class Problem:
    r"""A balance law, its domain and its conditions.

    .. math:: \operatorname{div} F(x, u, \nabla u) = s(x, u)

    For a problem in time, ``x`` holds the space coordinates and, last, the time; the
    flux along time is ``u``: Burgers' equation has
    ``F = (u^2 / 2 - nu u_x, u)``. From this follow the strong residual ``div F - s``,
    the flux ``F . n`` through an interface, and the weak form (:class:`pinn.WeakForm`).

    LeVeque 2002, Finite Volume Methods for Hyperbolic Problems, chapter 2.

    Args:
        geometry: A ``deepxde.geometry`` object, or ``GeometryXTime``.
        flux: ``flux(x, u, p)`` takes ``x``, ``(batch, dim)``, ``u``,
            ``(batch, components)``, and ``p``, ``(batch, components, dim)``; it returns
            ``(batch, equations, dim)``. None if ``residual`` is given.
        source: ``source(x, u)`` returns ``(batch, equations)``; None is zero.
        conditions: ``deepxde.icbc`` objects.
        exact: The solution, ``exact(x)`` returns ``(batch, components)``; or None.
        residual: For a PDE that is not a balance law: DeepXDE's own ``pde(x, y)``. Only
            the strong methods take it.
        components: Unknown functions.
        hard: A constraint that fulfils the conditions by construction
            (:class:`pinn.HardConstraint`), or None.
        unknowns: Numbers that flux, source or conditions read and that are learned with
            the network (:class:`pinn.inverse.Unknown`).

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If neither or both of ``flux`` and ``residual`` are given, the flux
            or the source returns a wrong shape, or a condition names a component that
            does not exist.

    Example:
        >>> import deepxde as dde
        >>> line = dde.geometry.Interval(0, 1)
        >>> problem = Problem(line, lambda x, u, p: -p, lambda x, u: 2 + 0 * x)
        >>> x = torch.rand(5, 1, dtype=torch.float64)
        >>> from pinn import Wanted, jet_of
        >>> jet = jet_of(lambda x: x * (1 - x), x, Wanted.all(1))
        >>> problem.strong_residual(x, jet).abs().max().item()
        0.0
    """

    geometry: Any
    flux: Flux | None = None
    source: Source | None = None
    conditions: Sequence[Any] = ()
    exact: Callable[[Tensor], "Tensor"] | None = None
    residual: Callable[[Tensor, Tensor], "Tensor"] | None = None
    components: int = 1
    hard: Callable[[Tensor, Tensor], "Tensor"] | None = None
    unknowns: Sequence[Any] = ()

    def __post_init__(self) -> None:
        self._check_arguments()
        _ = self._facts  # now: a flux that does not work is refused here

    @functools.cached_property
    def _facts(self) -> Facts:
        """What the flux and the source read and return."""
        if self.flux is None:
            return Facts(wanted=Wanted.all(self.dim))
        many = probe(self.geometry, self.components, count=_PROBES)
        return learn(self.flux, self.source, many)

    @property
    def equations(self) -> int:
        """Balance laws; 0 if the problem was stated by a residual."""
        return self._facts.equations

    @property
    def wanted(self) -> Wanted:
        """Derivatives that the strong residual reads."""
        return self._facts.wanted

    @property
    def flux_wanted(self) -> Wanted:
        """Derivatives that the flux reads."""
        return self._facts.flux_wanted

    @property
    def source_uses_u(self) -> bool:
        """Whether the source reads ``u``."""
        return self._facts.source_uses_u

    def known(self) -> dict[str, float]:
        """Read the unknowns.

        Returns:
            Values by name.
        """
        return {unknown.name: unknown().item() for unknown in self.unknowns}

    @property
    def dim(self) -> int:
        """Coordinates, time included."""
        return self.geometry.dim

    @property
    def in_time(self) -> bool:
        """Whether the last coordinate is time."""
        return hasattr(self.geometry, "timedomain")

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the domain's bounding box, each ``(dim,)``."""
        return box_of(self.geometry)

    def inside(self, x: Tensor) -> Tensor:
        """Tell which points lie in the domain, its boundary included.

        Args:
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Booleans. Shape ``(batch,)``.
        """
        return torch.as_tensor(inside_of(self.geometry, x.detach().cpu().numpy()))

    def strong_residual(self, x: Tensor, jet: Jet) -> Tensor:
        """Evaluate ``div F - s`` at points.

        Args:
            x: Points. Shape ``(batch, dim)``.
            jet: Values and derivatives there (``pinn.jet_of(net, x, problem.wanted)``).

        Returns:
            The residual. Shape ``(batch, equations)``.

        Raises:
            ValueError: If the problem is not a balance law.
        """
        flux = self.check_balance_law("strong_residual")
        r = divergence(flux, x, jet, self.wanted)
        return r if self.source is None else r - self.source(x, jet.u)

    def normal_flux(self, x: Tensor, jet: Jet, normal: Tensor) -> Tensor:
        """Evaluate ``F . n`` at points of an interface or of the boundary.

        Args:
            x: Points. Shape ``(batch, dim)``.
            jet: Values and first derivatives there.
            normal: Unit normals. Shape ``(batch, dim)``.

        Returns:
            The flux through the interface. Shape ``(batch, equations)``.

        Raises:
            ValueError: If the problem is not a balance law.
        """
        flux = self.check_balance_law("normal_flux")
        check_shape("normal", normal, (len(x), self.dim))
        return (flux(x, jet.u, jet.p) * normal[:, None, :]).sum(-1)

    def check_balance_law(self, who: str) -> Flux:
        """Refuse to go on without a flux.

        Args:
            who: Name of the method that needs one.

        Returns:
            The flux.

        Raises:
            ValueError: If the problem was stated by a residual.
        """
        if self.flux is None:
            raise ValueError(
                f"{who} needs a balance law, but this problem was stated by "
                "residual=...: expected Problem(geometry, flux, source, ...)"
            )
        return self.flux

    def exact_numpy(self, x: np.ndarray) -> np.ndarray:
        """Evaluate the exact solution as DeepXDE wants it: arrays in and out.

        Args:
            x: Points, ``(batch, dim)``.

        Returns:
            Values, ``(batch, components)``.
        """
        points = torch.as_tensor(x, device="cpu")
        check_points("x", points, self.dim)
        assert self.exact is not None, "asked for only where there is one"
        with torch.no_grad():
            return self.exact(points).numpy()

    def _check_arguments(self) -> None:
        """Refuse what no later step could make sense of."""
        if not isinstance(getattr(self.geometry, "dim", None), int):
            kind = type(self.geometry).__name__
            raise TypeError(
                f"geometry is of type {kind}: expected a deepxde.geometry object"
            )
        if (self.flux is None) == (self.residual is None):
            given = "neither" if self.flux is None else "both"
            raise ValueError(
                f"{given} of flux and residual given: expected one of them"
            )
        for name, arguments in _ARGUMENTS.items():
            if getattr(self, name) is not None:
                check_callable(name, getattr(self, name), arguments)
        check_count("components", self.components, least=1)
        if not isinstance(self.conditions, Sequence):
            raise TypeError(
                f"conditions is {self.conditions!r}: expected a list of deepxde.icbc "
                "objects"
            )
        names = [getattr(unknown, "name", None) for unknown in self.unknowns]
        if None in names or len(set(names)) < len(names):
            raise TypeError(
                f"unknowns are {list(self.unknowns)}: expected pinn.inverse.Unknown "
                "objects, each with a name of its own"
            )
        self._check_conditions()

    def _check_conditions(self) -> None:
        """Refuse what is no condition, or is on no component."""
        for k, condition in enumerate(self.conditions):
            if not hasattr(condition, "error"):
                raise TypeError(
                    f"conditions[{k}] is {condition!r}: expected a deepxde.icbc object"
                )
            for component in np.atleast_1d(getattr(condition, "component", 0)):
                if not 0 <= component < self.components:
                    raise ValueError(
                        f"conditions[{k}] is on component {component} but the problem "
                        f"has {self.components}: expected 0 to {self.components - 1}"
                    )

    def probes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Draw points of the domain and values to try the flux and the source on.

        Returns:
            Points, shape ``(batch, dim)``, values, shape ``(batch, components)``, and
            gradients, shape ``(batch, components, dim)``; the same at every call.

        Raises:
            ValueError: If the domain is empty.
        """
        return probe(self.geometry, self.components)
