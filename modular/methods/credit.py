"""How far a loss reaches back: what Backprop, Greedy, DGL and Interlocking share.

They are four values of one dataclass, a file each. With K modules and horizon n, the
parameters of module i take the gradient of one loss only, that of

    target(i) = min(i + n - 1, K - 1),

and every head takes its own. n = 1 is a local loss, n = K is backpropagation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from modular._checks import check_choice, check_count
from modular.event import Event
from modular.objectives import Objective, Pred
from modular.training import Locks, Method

__all__ = ["Credit"]


@dataclass(frozen=True)
class Credit(Method):
    """Gradients of local losses that travel back at most ``horizon`` modules.

    Args:
        objective: What each module minimises; the last has the true loss.
        horizon: n, how many modules a loss may reach, its own included; None is all.
        order: ``"parallel"`` (all modules in every step) or ``"sequential"`` (one after
            another, each for all epochs, then frozen).
        heads: Whether losses that no other parameter takes still train their own head.
        name: How it is called in reports.

    Raises:
        TypeError: If ``objective`` is not an :class:`Objective`.
        ValueError: If the horizon is below 1, the order unknown, or a sequential method
            has a horizon other than 1.

    Example:
        >>> Credit(horizon=2).takes(3).int()
        tensor([[0, 0, 0],
                [1, 0, 0],
                [0, 1, 1]], dtype=torch.int32)
    """

    objective: Objective = field(default_factory=Pred)
    horizon: int | None = 1
    order: str = "parallel"
    heads: bool = True
    name: str = field(default="Credit", compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.objective, Objective):
            raise TypeError(
                f"objective is {self.objective!r}: expected an Objective, as Pred()"
            )
        if self.horizon is not None:
            check_count("horizon", self.horizon, least=1)
        check_choice("order", self.order, ["parallel", "sequential"])
        if self.order == "sequential" and self.horizon != 1:
            raise ValueError(
                f"horizon is {self.horizon} in a sequential method: expected 1, "
                "because the modules before are frozen"
            )

    def check(self, modules: int) -> None:
        """Refuse a horizon beyond the number of modules."""
        if self.horizon is not None and self.horizon > modules:
            raise ValueError(
                f"horizon is {self.horizon} but there are {modules} modules: "
                f"expected at most {modules}"
            )

    def phases(self, modules: int) -> int:
        """Return one phase per module if they are trained one after another."""
        return modules if self.order == "sequential" else 1

    def reach(self, modules: int) -> int:
        """Return the horizon as a number."""
        return modules if self.horizon is None else self.horizon

    def target(self, module: int, modules: int) -> int:
        """Return whose loss the parameters of ``module`` take."""
        return min(module + self.reach(modules) - 1, modules - 1)

    def takes(self, modules: int) -> Tensor:
        """Declare ``[j, i]`` for ``j = target(i)``."""
        mask = torch.zeros(modules, modules, dtype=torch.bool)
        for i in range(modules):
            mask[self.target(i, modules), i] = True
        return mask

    def mask(self, modules: int) -> Tensor:
        """Declare the band ``j - n < i <= j``: identity for n = 1, triangle for K."""
        ones = torch.ones(modules, modules, dtype=torch.bool)
        return ones.tril().triu(1 - self.reach(modules))

    def locks(self, modules: int) -> Locks:
        """Declare n - 1 later modules, and the forward lock of training in parallel."""
        later = self.reach(modules) - 1
        forward = self.order == "parallel" and modules > 1
        return Locks(forward=forward, update=later, backward=later)

    def messages(self, modules: int) -> Tensor:
        """Declare at most n - 1 gradients for each cut."""
        n = self.reach(modules)
        counts = [
            # losses from the receiver's next module on that some earlier module takes
            max(0, min(k + n - 2, modules - 1) - max(k, min(n, modules) - 1) + 1)
            for k in range(1, modules)
        ]
        return torch.tensor(counts, dtype=torch.int64)

    def schedule(
        self, modules: int, phase: int = 0, *, audit: bool = False
    ) -> Iterator[Event]:
        """Yield each module's forward pass, then what its loss makes possible."""
        if self.order == "sequential":
            for k in range(phase):
                yield Event("forward", k, k, learns=False, scored=False)
            yield Event("forward", phase, phase)
            yield Event("take", phase, phase)
            return
        n = self.reach(modules)
        for k in range(modules):
            last = k == modules - 1
            first = max(0, k - n + 1)  # the earliest module that loss k may reach
            passes = k > 0 and n > 1
            yield Event(
                "forward", k, k, scored=audit or self.heads or last, passes=passes
            )
            for i in range(k, first - 1, -1):
                if audit:
                    yield Event("backward" if i > first else "take", i, k)
                else:
                    yield from self._events(i, k, modules)

    def _events(self, module: int, loss: int, modules: int) -> Iterator[Event]:
        """Yield what a module does with the credit of a loss."""
        first = max(0, loss - self.reach(modules) + 1)
        takers = [
            i for i in range(first, module + 1) if self.target(i, modules) == loss
        ]
        takes, passes = module in takers, any(i < module for i in takers)
        if takes and passes and not self.heads:
            yield Event("backward", module, loss)
            return
        if passes:  # first: others are waiting for it
            yield Event("pass", module, loss)
        if takes:
            yield Event("take", module, loss)
