r"""The weak form of a balance law on a mesh, assembled by sum factorisation.

On an element ``e`` and for a test function ``v``,

.. math:: R = \int_e (\operatorname{div} F - s) v
            = -\int_e F \cdot \nabla v + \oint_{\partial e} v F \cdot n - \int_e s v,

and, for a flux ``F = G(x, u) + A grad u`` with constant ``A``, once more,

.. math:: -\int_e A \nabla u \cdot \nabla v
          = \int_e u \, A : \nabla \nabla v - \oint_{\partial e} u \, A^T \nabla v \cdot
          n.

The second boundary term does not vanish for bubbles: they are zero on the boundary,
their slopes are not. Every derivative of ``v`` brings a Jacobian factor ``2 / h``. Each
test is scaled to unit norm, ``int |grad v|^2 = 1``; the residuals are then the dual
norm on the space of tests, term by term (Rojas et al. 2024, robust VPINN). Kharazmi,
Zhang and Karniadakis 2021, CMAME 374, 113547; their published 2-D code lacks the
Jacobian factors and the boundary term of the second integration.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pinn._checks import check_count
from pinn.derivatives.jets import Jet, divergence
from pinn.domains.basis import Rule, RuleOf, Tests, gauss_legendre, lobatto
from pinn.domains.mesh import Mesh, check_boxes
from pinn.forms.assembly import (
    active_tests,
    against,
    check_domain,
    derivatives_of,
    inward,
    leading_part,
    points_of,
    unit_norm,
    warn_if_few,
)
from pinn.problem import Problem

__all__ = ["WeakForm"]


class WeakForm:
    """Weak residuals of a problem for every element and test function.

    Kharazmi, Zhang and Karniadakis 2021, CMAME 374, 113547. Jets are read at ``x``.

    Args:
        problem: The balance law.
        mesh: Elements and degrees, of the domain or of a part of it.
        points: Quadrature points per axis and element; None is the highest degree + 10.
        rule: ``gauss_legendre`` or ``gauss_lobatto``.
        hats: Whether to test with the two hats per axis too: bubbles alone cannot see
            what flows between elements.
        integrations: Integrations by parts, 0, 1 or 2.

    Raises:
        TypeError: If the mesh is made of triangles.
        ValueError: If the problem is not a balance law, the mesh leaves its domain,
            ``integrations`` not 0, 1 or 2, or 2 and the flux not linear in the gradient
            with constant coefficients.

    Warns:
        UserWarning: If there are too few points to integrate ``v_j' v_k'`` exactly; the
            message has the number needed.

    Example:
        >>> from pinn import jet_of, zoo
        >>> problem = zoo.heat()
        >>> form = WeakForm(problem, Mesh(problem.geometry, 2, degree=3))
        >>> R = form.residual(jet_of(problem.exact, form.x, form.wanted))
        >>> R.shape, bool(R.abs().max() < 1e-12)
        (torch.Size([36, 1]), True)
    """

    def __init__(
        self,
        problem: Problem,
        mesh: Mesh,
        *,
        points: int | None = None,
        rule: RuleOf = gauss_legendre,
        hats: bool = False,
        integrations: int = 1,
    ) -> None:
        flux = problem.check_balance_law("WeakForm")
        check_boxes("WeakForm", mesh)
        check_domain(problem, mesh, whole=False)
        if integrations not in (0, 1, 2):
            raise ValueError(f"integrations is {integrations}: expected 0, 1 or 2")
        self.problem, self.mesh, self.hats = problem, mesh, hats
        self.flux, self.integrations = flux, integrations
        bubbles = int(mesh.degrees.max())
        points = bubbles + 10 if points is None else points
        check_count("points", points, least=1)
        self.rule = rule(points)
        warn_if_few(points, bubbles, rule)
        self.dim, self.h = problem.dim, mesh.upper - mesh.lower
        self._leading = leading_part(problem) if integrations == 2 else None
        self.wanted = derivatives_of(problem, integrations, hats=hats)
        self._inner = lobatto(bubbles, self.rule.nodes, hats=hats)
        ends = self.rule.nodes.new_tensor([-1.0, 1.0])
        self._ends = lobatto(bubbles, ends, hats=hats)
        self.faces = hats and integrations > 0 or integrations == 2
        self.x, self._volume_points = points_of(mesh, self.rule.nodes, self.faces)
        self.active = active_tests(mesh, hats=hats)
        self.scale = unit_norm(mesh, hats=hats)
        self._load: Tensor | None = None

    @property
    def tests(self) -> int:
        """Active tests over all elements: rows of the residual."""
        return int(self.active.sum())

    @property
    def inner(self) -> Tensor:
        """Points inside the elements. Shape ``(points, dim)``."""
        return self.x[: self._volume_points]

    @property
    def element(self) -> Tensor:
        """Element of each row of the residual. Shape ``(tests,)``."""
        return self.active.nonzero()[:, 0]

    def to(self, like: Tensor) -> "WeakForm":
        """Move all tables to a tensor's device and dtype; nothing happens if they are.

        Args:
            like: The tensor. Shape ``(...)``.

        Returns:
            This object.
        """
        if self.x.dtype == like.dtype and self.x.device == like.device:
            return self
        for name in ("x", "h", "scale"):
            setattr(self, name, getattr(self, name).to(like))
        self.active = self.active.to(like.device)
        for name in ("_inner", "_ends"):
            t = getattr(self, name)
            moved = (v.to(like) for v in (t.values, t.first, t.second))
            setattr(self, name, Tests(*moved))
        nodes, weights = self.rule.nodes.to(like), self.rule.weights.to(like)
        self.rule = Rule(nodes, weights, self.rule.degree)
        self._leading = None if self._leading is None else self._leading.to(like)
        self._load = None
        return self

    def residual(self, jet: Jet) -> Tensor:
        """Evaluate all weak residuals, scaled to unit tests.

        Args:
            jet: Values and derivatives at ``self.x``.

        Returns:
            One row per element and active test. Shape ``(tests, equations)``.
        """
        self.to(jet.u)
        within = jet[: self._volume_points]
        R = self._volume(self.inner, within) - self._source(self.inner, within.u)
        if self.faces:
            R = R + self._boundary(jet)
        R = (R * self.scale[:, None]).movedim(1, -1)  # (elements, tests..., equations)
        return R[self.active]

    def element_norm(self, R: Tensor) -> Tensor:
        """Sum the residuals of each element: the estimator that drives refinement.

        Args:
            R: Residuals. Shape ``(tests, equations)``.

        Returns:
            Root of the sum of squares. Shape ``(elements,)``.
        """
        where, squares = self.element.to(R.device), R.square().sum(-1)
        return R.new_zeros(len(self.mesh)).index_add(0, where, squares).sqrt()

    def _on_elements(self, values: Tensor, axes: int) -> Tensor:
        """View rows of points as ``(elements, points per axis..., ...)``."""
        sizes = [len(self.rule.nodes)] * axes
        return values.reshape(len(self.mesh), *sizes, *values.shape[1:])

    def _measure(self, axes: Sequence[int]) -> Tensor:
        """Jacobian of the map to the element along some axes, ready to multiply."""
        factor = (self.h[:, list(axes)] / 2).prod(1)
        return factor.view(-1, *[1] * (self.dim + 1))

    def _slope(self, axis: int) -> Tensor:
        """Jacobian factor that one derivative along ``axis`` brings."""
        return (2 / self.h[:, axis]).view(-1, *[1] * (self.dim + 1))

    def _volume(self, x: Tensor, jet: Jet) -> Tensor:
        """Evaluate the integrals over the elements, the source left out."""
        w, t, dim = self.rule.weights, self._inner, self.dim
        measure = self._measure(range(dim))
        plain = [t.values * w] * dim
        if self.integrations == 0:
            r = divergence(self.flux, x, jet, self.problem.wanted)
            return measure * against(self._on_elements(r, dim), plain)
        p = jet.p if self._leading is None else torch.zeros_like(jet.p)
        F = self._on_elements(self.flux(x, jet.u, p), dim)
        total: Any = 0
        for i in range(dim):
            matrices = plain[:i] + [t.first * w] + plain[i + 1 :]
            total = total - self._slope(i) * against(F[..., i], matrices)
        if self._leading is not None:
            total = total + self._twice(self._leading, jet.u)
        return measure * total

    def _twice(self, A: Tensor, u: Tensor) -> Tensor:
        """Evaluate ``u A : grad grad v``."""
        w, t, dim = self.rule.weights, self._inner, self.dim
        total: Any = 0
        for i in range(dim):
            for j in range(dim):
                block = A[:, i, :, j]
                if not block.any():
                    continue
                matrices = [t.values * w] * dim
                matrices[i] = matrices[j] = (t.second if i == j else t.first) * w
                field = self._on_elements(u @ block.T, dim)
                factor = self._slope(i) * self._slope(j)
                total = total + factor * against(field, matrices)
        return total

    def _source(self, x: Tensor, u: Tensor) -> Tensor | float:
        """Evaluate ``int s v``; only once if ``s`` neither reads ``u`` nor learns."""
        if self.problem.source is None:
            return 0.0
        if self._load is not None:
            return self._load
        fixed = not self.problem.source_uses_u
        with torch.set_grad_enabled(fixed or torch.is_grad_enabled()):
            s = self.problem.source(x, u.detach() if fixed else u).to(u.dtype)
        tests = [self._inner.values * self.rule.weights] * self.dim
        measure = self._measure(range(self.dim))
        load = measure * against(self._on_elements(s, self.dim), tests)
        if fixed and not s.requires_grad:  # what learns is computed at every call
            self._load = load
        return load

    def load(self) -> Tensor:
        """Integrate the source against every unit test, at ``u = 0``.

        Returns:
            The integrals. Shape ``(tests, equations)``.
        """
        if self.problem.source is None:
            return self.x.new_zeros(self.tests, self.problem.equations)
        u = self.x.new_zeros(len(self.inner), self.problem.components)
        load = self._source(self.inner, u)
        return (load * self.scale[:, None]).movedim(1, -1)[self.active].detach()

    def _boundary(self, jet: Jet) -> Tensor:
        """Evaluate the integrals over the faces of the elements."""
        start, total = self._volume_points, torch.zeros(())
        size = (len(self.x) - start) // (2 * self.dim)
        for axis in range(self.dim):
            for end, sign in ((0, -1.0), (1, 1.0)):
                rows = slice(start, start + size)
                x = inward(self.x[rows], self.h[:, axis], axis, sign)
                total = total + sign * self._face(axis, end, x, jet[rows])
                start += size
        return total

    def _face(self, axis: int, end: int, x: Tensor, jet: Jet) -> Tensor:
        """Evaluate one face's integral of ``v F_axis - u (A^T grad v)_axis``."""
        others = [a for a in range(self.dim) if a != axis]
        total: Any = 0
        if self.hats:
            F = self.flux(x, jet.u, jet.p)[..., axis]
            matrices = self._face_tests(axis, end, along=None)
            total = total + against(self._on_face(F, axis), matrices)
        if self._leading is not None:
            for i in range(self.dim):
                block = self._leading[:, i, :, axis]
                if not block.any():
                    continue
                matrices = self._face_tests(axis, end, along=i)
                field = self._on_face(jet.u @ block.T, axis)
                total = total - self._slope(i) * against(field, matrices)
        return self._measure(others) * total

    def _on_face(self, values: Tensor, axis: int) -> Tensor:
        """View a face's rows as elements by points, one point along ``axis``."""
        return self._on_elements(values, self.dim - 1).unsqueeze(1 + axis)

    def _face_tests(self, axis: int, end: int, along: int | None) -> list[Tensor]:
        """Tests on a face, per axis; ``along``: the axis they are differentiated in."""
        w, t, e = self.rule.weights, self._inner, self._ends
        matrices = []
        for a in range(self.dim):
            inside, there = (t.values, e.values) if a != along else (t.first, e.first)
            matrices.append(there[:, end : end + 1] if a == axis else inside * w)
        return matrices
