"""VPINN and hp-VPINN: the balance law against test functions on elements."""

import torch
from torch import Tensor

from pinn.derivatives.jets import jet_of
from pinn.domains.basis import RuleOf, gauss_legendre
from pinn.domains.mesh import Mesh
from pinn.forms.assembly import check_domain
from pinn.forms.collocation import Collocation
from pinn.forms.weak_form import WeakForm
from pinn.problem import Problem

__all__ = ["Variational"]


class Variational(Collocation):
    r"""Sum of the squared weak residuals, one loss per equation.

    .. math:: L = \sum_{e, k} R_{e,k}^2, \qquad
              R_{e,k} = -\int_e F \cdot \nabla v_k + \oint_{\partial e} v_k F \cdot n
              - \int_e s \, v_k

    over the elements ``e`` and tests ``k``, each test scaled to ``int |grad v|^2 = 1``:
    the square of the dual norm. A mean over the tests would let the equation fade
    against the conditions as the mesh is refined. Then one loss per condition, a mean
    over its points. One element is the VPINN of Kharazmi, Zhang and Karniadakis 2019
    (arXiv:1912.00873), several the hp-VPINN of 2021 (CMAME 374, 113547). They sum over
    elements and do not scale the tests. One network covers all elements.

    Args:
        problem: The balance law.
        mesh: Elements and degrees.
        num_boundary: Points on the boundary in space.
        num_initial: Points at the first time.
        points: Quadrature points per axis and element; None is the highest degree + 10.
        rule: ``gauss_legendre`` or ``gauss_lobatto``.
        hats: Whether to test with hats too; None is: if there are several elements,
            because bubbles alone do not see what flows between them.
        integrations: Integrations by parts, 0, 1 or 2.
        hard: Whether the network fulfils the conditions by construction.

    Raises:
        ValueError: If the mesh is of a part of the domain only, or as
            :class:`pinn.WeakForm`.

    Warns:
        UserWarning: If there are too few quadrature points for the tests.

    Example:
        >>> from pinn import JetFNN, Mesh, zoo
        >>> problem = zoo.poisson_1d_steep()
        >>> mesh = Mesh(problem.geometry, [[-1, -0.1, 0.1, 1]], degree=60)
        >>> data = Variational(problem, mesh, num_boundary=2, points=80)
        >>> data.residual_vector(JetFNN([1, 20, 1])).shape  # 3 * 62 tests, 2 ends
        torch.Size([188])
    """

    def __init__(  # noqa: PLR0913 - the conditions' points and the weak form's options
        self,
        problem: Problem,
        mesh: Mesh,
        num_boundary: int = 0,
        num_initial: int = 0,
        *,
        points: int | None = None,
        rule: RuleOf = gauss_legendre,
        hats: bool | None = None,
        integrations: int = 1,
        hard: bool = False,
    ) -> None:
        self.form = WeakForm(
            problem,
            mesh,
            points=points,
            rule=rule,
            hats=len(mesh) > 1 if hats is None else hats,
            integrations=integrations,
        )
        check_domain(problem, mesh)
        super().__init__(problem, 0, num_boundary, num_initial, hard=hard)

    def blocks(self, net: torch.nn.Module, x: Tensor) -> list[Tensor]:
        """Evaluate the weak residuals; the points are the form's own.

        Args:
            net: The network.
            x: Points, of which only dtype and device matter. Shape ``(batch, dim)``.

        Returns:
            Residuals times the root of the number of tests, so that DeepXDE's mean of
            their squares is the sum; one block per equation, each of shape
            ``(tests, 1)``.
        """
        form = self.form.to(x)
        R = form.residual(jet_of(net, form.x, form.wanted))
        return list((len(R) ** 0.5 * R).split(1, dim=1))

    def element_norm(self, net: torch.nn.Module) -> Tensor:
        """Estimate the error per element, to drive ``mesh.refine``.

        Args:
            net: The network.

        Returns:
            Dual norm of the residual on each element's tests. Shape ``(elements,)``.
        """
        form = self.form.to(next(net.parameters()))
        with torch.no_grad():
            R = form.residual(jet_of(net, form.x, form.wanted))
        return form.element_norm(R.detach())
