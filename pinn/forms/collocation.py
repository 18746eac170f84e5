"""What all discretisations share: points, conditions, and losses from residuals.

Each method names its residuals, block by block; the losses that DeepXDE trains on and
the vector that a Gauss-Newton method needs are both made from them here.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._backend import dde
from pinn.derivatives.tape import current_tape
from pinn.domains.border import corners
from pinn.problem import Problem

__all__ = ["Collocation"]

# Conditions that read the network's values only.
_MEASURED = dde.icbc.PointSetBC  # values at points, which no constraint fulfils
_OF_VALUES = (dde.icbc.DirichletBC, dde.icbc.IC, dde.icbc.PointSetBC)


class Collocation(dde.data.TimePDE):
    """Data of a ``deepxde.Model``: abstract, see ``Strong`` and its siblings.

    As DeepXDE's ``TimePDE``, but ``train_x`` holds the points of the conditions only;
    the network's derivatives are evaluated at ``train_x_all`` inside the losses.

    Args:
        problem: The problem.
        num_domain: Points inside the domain.
        num_boundary: Points on the boundary in space.
        num_initial: Points at the first time.
        hard: Whether the network fulfils the conditions by construction; then only
            measurements, ``PointSetBC``, make a loss.
        train_distribution: DeepXDE's name of the sampling: "uniform", "pseudo", "LHS",
            "Halton", "Hammersley" or "Sobol".
        num_test: Points for test losses and metrics; None takes the training points.
    """

    def __init__(
        self,
        problem: Problem,
        num_domain: int = 0,
        num_boundary: int = 0,
        num_initial: int = 0,
        *,
        hard: bool = False,
        train_distribution: str = "Hammersley",
        num_test: int | None = None,
    ) -> None:
        if not isinstance(problem, Problem):
            kind = type(problem).__name__
            raise TypeError(f"problem is of type {kind}: expected a pinn.Problem")
        if num_initial and not problem.in_time:
            raise ValueError(
                f"num_initial is {num_initial} but the problem has no time: expected 0"
            )
        if (
            problem.conditions
            and not hard
            and not num_domain + num_boundary + num_initial
        ):
            raise ValueError(
                f"the problem has {len(problem.conditions)} conditions but no points "
                "for them: expected num_boundary, num_initial, or hard=True"
            )
        self.problem = problem
        self.point_weights: Tensor | None = None
        self._uploaded: tuple[np.ndarray, Tensor] | None = None
        super().__init__(
            problem.geometry,
            None,  # so train_x are the points of the conditions
            [c for c in problem.conditions if not hard or isinstance(c, _MEASURED)],
            num_domain=num_domain,
            num_boundary=num_boundary,
            num_initial=num_initial,
            train_distribution=train_distribution,
            solution=problem.exact_numpy if problem.exact else None,
            num_test=num_test,
        )
        self._check_met(num_boundary, num_initial)

    def _check_met(self, num_boundary: int, num_initial: int) -> None:
        """Refuse a condition whose loss would be a mean over nothing."""
        for k, (condition, met) in enumerate(zip(self.bcs, self.num_bcs, strict=True)):
            if not met:
                kind = type(condition).__name__
                raise ValueError(
                    f"conditions[{k}], a {kind}, holds at none of the {num_boundary} "
                    f"points on the boundary and {num_initial} at the first time: "
                    "expected more points, or another on_boundary"
                )

    test_x: Any
    train_x_bc: Any

    @abstractmethod
    def blocks(self, net: torch.nn.Module, x: Tensor) -> list[Tensor]:
        """Evaluate the residuals at points of the domain.

        Args:
            net: The network.
            x: Points. Shape ``(batch, dim)``.

        Returns:
            Residuals, each of shape ``(points, 1)``; each makes one loss.
        """

    def points(self, like: Tensor) -> Tensor:
        """Return the training points of the domain, uploaded once.

        Args:
            like: A tensor with the dtype and the device wanted.

        Returns:
            The points. Shape ``(points, dim)``.
        """
        kept = self._uploaded
        if (
            kept is None
            or kept[0] is not self.train_x_all
            or kept[1].dtype != like.dtype
            or kept[1].device != like.device
        ):
            tensor = torch.as_tensor(self.train_x_all, device="cpu").to(like, copy=True)
            self._uploaded = kept = (self.train_x_all, tensor)
        return kept[1]

    # -- DeepXDE's interface -----------------------------------------------------------

    def losses_train(
        self,
        targets: Tensor | None,
        outputs: Tensor,
        loss_fn: object,
        inputs: Tensor,
        model: Any,
        aux: object = None,
    ) -> list[Tensor]:
        """Return the losses at the training points, as DeepXDE asks for them."""
        blocks = self.blocks(model.net, self.points(inputs))
        if self.point_weights is not None:
            weights = self.point_weights.to(inputs)
            count = len(weights)
            blocks = [b * weights if len(b) == count else b for b in blocks]
        return self._losses(blocks, outputs, loss_fn, inputs)

    def losses_test(
        self,
        targets: Tensor | None,
        outputs: Tensor,
        loss_fn: object,
        inputs: Tensor,
        model: Any,
        aux: object = None,
    ) -> list[Tensor]:
        """Return the losses at the test points, as DeepXDE asks for them."""
        start = sum(self.num_bcs)
        with torch.enable_grad():
            blocks = self.blocks(model.net, inputs[start:].detach())
        return self._losses(blocks, outputs, loss_fn, inputs)

    def test(self) -> tuple:
        """Return the test points: those of the conditions, then those of the domain."""
        if self.test_x is None:
            if self.num_test is None:
                self.test_x = np.vstack([self.train_x_bc, self.train_x_all])
            else:
                self.test_x = self.test_points()
            self.test_y = self.soln(self.test_x) if self.soln else None
        return self.test_x, self.test_y, None

    def bc_points(self) -> np.ndarray:
        """Place the conditions; what needs a normal is left out at corners."""
        if self.train_x_bc is None:
            places = [self._places(bc) for bc in self.bcs]
            self.num_bcs = [len(x) for x in places]
            nowhere = np.empty([0, self.train_x_all.shape[-1]])
            self.train_x_bc = np.vstack(
                [nowhere.astype(self.train_x_all.dtype), *places]
            )
        return self.train_x_bc

    def _places(self, bc: Any) -> np.ndarray:
        """Choose a condition's points."""
        x = bc.collocation_points(self.train_x_all)
        if isinstance(bc, (dde.icbc.NeumannBC, dde.icbc.RobinBC)):
            return x[~corners(self.problem.geometry, x)]
        return x

    def resample_train_points(
        self, pde_points: bool = True, bc_points: bool = True
    ) -> None:
        """Draw new training points; weights of the old ones are dropped."""
        if pde_points:
            self.point_weights = None
        super().resample_train_points(pde_points, bc_points)

    def residual_vector(
        self, net: torch.nn.Module, loss_weights: Sequence[float] | None = None
    ) -> Tensor:
        """Stack all residuals so that the sum of their squares is the training loss.

        This is what :class:`pinn.LevenbergMarquardt` minimises; the loss is DeepXDE's
        "MSE", summed over the blocks.

        Args:
            net: The network.
            loss_weights: As in ``deepxde.Model.compile``; None is 1 for each loss.

        Returns:
            The residuals. Shape ``(residuals,)``.

        Raises:
            ValueError: If there is not one weight per loss.
        """
        like = next(net.parameters())
        inputs = torch.as_tensor(self.train_x, device="cpu").to(like)
        if not all(isinstance(bc, _OF_VALUES) for bc in self.bcs):
            inputs.requires_grad_()  # a condition on derivatives
        blocks = self.blocks(net, self.points(like))
        if self.point_weights is not None:
            weights = self.point_weights.to(like)
            blocks = [b * weights if len(b) == len(weights) else b for b in blocks]
        if self.bcs:
            blocks += self._condition_errors(inputs, net(inputs))
            dde.grad.clear()
        tape = current_tape()
        if tape is not None:
            tape.blocks = [b.numel() for b in blocks]
        if loss_weights is None:
            loss_weights = [1.0] * len(blocks)
        if len(loss_weights) != len(blocks):
            raise ValueError(
                f"loss_weights has {len(loss_weights)} entries but there are "
                f"{len(blocks)} losses: expected one each"
            )
        return torch.cat(
            [
                b.flatten() * (w / b.numel()) ** 0.5
                for b, w in zip(blocks, loss_weights, strict=True)
            ]
        )

    def _losses(
        self, blocks: list[Tensor], outputs: Tensor, loss_fn: object, inputs: Tensor
    ) -> list[Tensor]:
        """Apply DeepXDE's loss functions to the residuals and the conditions."""
        errors = blocks + self._condition_errors(inputs, outputs)
        fns = loss_fn if isinstance(loss_fn, (list, tuple)) else [loss_fn] * len(errors)
        if len(fns) != len(errors):
            raise ValueError(
                f"loss has {len(fns)} entries but there are {len(errors)} losses: "
                "expected one each"
            )
        losses = [fn(torch.zeros_like(e), e) for fn, e in zip(fns, errors, strict=True)]
        for k, loss in enumerate(losses):
            if not loss.isfinite():
                raise FloatingPointError(
                    f"loss {k} ({self.name_of(k, len(blocks))}) is {loss.item()}: try "
                    "a smaller learning rate, or restore an earlier state"
                )
        return losses

    def name_of(self, k: int, count: int) -> str:
        """Say what the k-th loss is.

        Args:
            k: Its number.
            count: How many of the losses are residuals.

        Returns:
            A few words.
        """
        if k < count:
            return f"residual {k}"
        return f"condition {k - count}, {type(self.bcs[k - count]).__name__}"

    def _condition_errors(self, inputs: Tensor, outputs: Tensor) -> list[Tensor]:
        """Evaluate DeepXDE's conditions, in the order of their points."""
        for bc in self.bcs:
            # DeepXDE remembers a condition's values by the array's id. A freed array
            # can leave its id to another: keep all that a condition has seen.
            seen = bc.__dict__.setdefault("_arrays_seen", [])
            if not any(array is self.train_x for array in seen):
                seen.append(self.train_x)
        stops = np.cumsum([0, *self.num_bcs]).tolist()
        return [
            bc.error(self.train_x, inputs, outputs, begin, end)
            for bc, begin, end in zip(self.bcs, stops[:-1], stops[1:], strict=True)
        ]
