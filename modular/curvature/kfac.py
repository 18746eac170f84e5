"""K-FAC: divide each layer's gradient by a Kronecker product of two small matrices."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from modular._checks import check_count, check_kind, check_positive
from modular.curvature.layers import (
    KINDS,
    Layer,
    factor_of_gradients,
    factor_of_inputs,
    gradient_of,
    put,
    refuse,
    refuse_tied,
    shapes,
)
from modular.curvature.placements import Placement, Replicated
from modular.curvature.solves import Eigen, Solve

__all__ = ["KFAC"]


def trains(layer: Layer) -> bool:
    """Whether all its numbers are trained; refuse a layer of which only some are."""
    flags = {p.requires_grad for p in layer.parameters()}
    if len(flags) > 1:
        raise ValueError(
            "a layer trains its weights or its bias only: expected both or none"
        )
    return flags == {True}


class KFAC:
    r"""Precondition the gradients of linear layers, convolutions and embeddings.

    .. math:: F \approx G \otimes A, \qquad A = E[a a^T], \quad G = E[g g^T], \qquad
              P = (F + \lambda I)^{-1} \nabla W

    with ``a`` what goes into a layer, a 1 at its end for the bias, and ``g`` the
    gradient of one sample's loss by what comes out: the product takes the two for
    independent. Martens and Grosse 2015 (ICML); convolutions after Grosse and Martens
    2016 (ICML), where places count as samples of ``a`` and add up in ``G``
    ("expand"). An embedding is a linear layer on unit vectors: its ``A`` is diagonal,
    how often each row was asked for, and is kept so. The gradients are those of the
    loss with its own labels, the empirical Fisher. Running averages start at the first
    batch's factors, and damping is added when they are inverted, never to the averages.
    The step is shortened to
    ``nu = sqrt(kappa / |sum lr^2 <P, nabla W>|)`` where that is less than 1.

    For the Fisher itself, go backward in training mode from a loss with labels drawn
    from the model, set gradients to None, and go backward from the true loss in
    evaluation mode, in which nothing is noted.

    The loss must be a mean over the batch. Layers of other kinds, and frozen ones, keep
    their gradients; ``layers`` names those that are changed. Where several workers
    share a batch, in equal parts, they average gradients before :meth:`step`, as
    ``DistributedDataParallel`` does; where the factors live is the ``placement``.

    Args:
        model: Holds the layers.
        optimizer: Whose rate the clipping asks for; it takes the step afterwards.
        decay: Of the running averages, in [0, 1).
        period: Steps from one inversion to the next; factors are updated at every one.
        clip: ``kappa``, positive, or None.
        solve: :class:`Eigen` or :class:`PiSplit`, with its damping.
        placement: :class:`Replicated`, :class:`Owner`, :class:`Fraction` or
            :class:`Local`; the layers are shared out here, so after
            ``init_process_group``.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If a number is out of its range, no layer can be preconditioned, or
            a layer is no single matrix.

    Example:
        >>> net = nn.Linear(3, 2)
        >>> list(KFAC(net, torch.optim.SGD(net.parameters(), lr=0.1)).layers)
        ['']
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        decay: float = 0.95,
        period: int = 10,
        clip: float | None = 1e-3,
        solve: Solve | None = None,
        placement: Placement | None = None,
    ) -> None:
        check_kind("optimizer", optimizer, torch.optim.Optimizer)
        check_count("period", period, least=1)
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}: expected a number in [0, 1)")
        if clip is not None:
            check_positive("clip", clip)
        self.solve = Eigen() if solve is None else solve
        check_kind("solve", self.solve, Solve, ", as Eigen()")
        self.placement = Replicated() if placement is None else placement
        check_kind("placement", self.placement, Placement, ", as Replicated()")
        self.optimizer, self.decay = optimizer, decay
        self.period, self.clip, self.steps = period, clip, 0
        self.layers: dict[str, Layer] = {
            name: layer
            for name, layer in model.named_modules()
            if isinstance(layer, KINDS) and trains(layer)
        }
        if not self.layers:
            raise ValueError("model has no Linear, Conv2d or Embedding that trains")
        refuse_tied(self.layers)
        self.factors: dict[str, tuple[Tensor, Tensor]] = {}
        self.prepared: dict[str, tuple[Tensor, ...]] = {}
        self._inputs: dict[str, Tensor] = {}
        self._fresh: dict[str, tuple[Tensor, Tensor]] = {}
        self._ready: set[str] = set()
        for name, layer in self.layers.items():
            refuse(name, layer)
        self.placement.assign({name: shapes(x) for name, x in self.layers.items()})
        for name, layer in self.layers.items():
            layer.register_forward_hook(self._watch(name))

    def _watch(self, name: str) -> Callable[..., None]:
        """Return what looks at a layer's input and at its output's gradient."""

        def look(layer: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
            if not (layer.training and torch.is_grad_enabled() and out.requires_grad):
                return
            if name in self._inputs:
                raise RuntimeError(
                    f"{name or 'the layer'} ran twice since the last step: expected "
                    "one forward pass, then backward(), then step()"
                )
            self._inputs[name] = inputs[0].detach()
            out.register_hook(lambda g: self._note(name, g.detach()))

        return look

    @torch.no_grad()
    def _note(self, name: str, g: Tensor) -> None:
        """Compute the factors of a batch, during the backward pass."""
        layer, x = self.layers[name], self._inputs[name]
        self._ready.add(name)
        if self.placement.builds(name):
            A, G = factor_of_inputs(layer, x), factor_of_gradients(layer, g)
            self._fresh[name] = A, G

    @torch.no_grad()
    def step(self) -> None:
        """Divide the gradients, in place: after ``backward``, before the optimiser.

        Raises:
            RuntimeError: If a layer has seen no backward pass since the last step, or
                workers have not averaged their gradients.
            FloatingPointError: If a gradient is NaN or infinite.
        """
        missing = [name for name in self.layers if name not in self._ready]
        if missing:
            raise RuntimeError(
                f"layer {missing[0]!r} has seen no backward pass since the last step: "
                "expected forward in training mode, backward(), then step()"
            )
        gradients = {name: gradient_of(layer) for name, layer in self.layers.items()}
        for name, W in gradients.items():
            if not W.isfinite().all():
                raise FloatingPointError(
                    f"the gradient of layer {name!r} is not finite at step {self.steps}"
                    ": try a smaller rate, more damping or a smaller clip"
                )
        self.placement.check_averaged(list(gradients.values()))
        changed = {}
        for name, W in gradients.items():
            if self.placement.builds(name):
                self._average(name)
            if self.steps % self.period == 0:
                self._prepare(name)
            changed[name] = W, self._divide(name, W)
        nu = self._shorten(changed)
        for name, (_, P) in changed.items():
            put(self.layers[name], nu * P)
        self.steps += 1
        self._inputs, self._fresh, self._ready = {}, {}, set()

    def _average(self, name: str) -> None:
        """Take a batch's factors into the running averages."""
        A, G = self.placement.average(self._fresh[name])
        if name in self.factors:
            old_A, old_G = self.factors[name]
            A, G = torch.lerp(A, old_A, self.decay), torch.lerp(G, old_G, self.decay)
        self.factors[name] = A, G

    def _prepare(self, name: str) -> None:
        """Invert the factors here, or hear what their owner has prepared."""
        place = self.placement
        if not place.divides(name):
            return
        A, G = self.factors[name]
        prepared = (
            self.solve.prepare(A, G) if place.prepares(name) else self.solve.blank(A, G)
        )
        self.prepared[name] = tuple(place.tell_column(name, t) for t in prepared)

    def _divide(self, name: str, W: Tensor) -> Tensor:
        """Divide a gradient here, or hear it from one that does."""
        divides = self.placement.divides(name)
        P = (
            self.solve.divide(W, self.prepared[name])
            if divides
            else torch.empty_like(W)
        )
        return self.placement.tell_row(name, P)

    def _shorten(self, changed: dict[str, tuple[Tensor, Tensor]]) -> float:
        """Return the factor ``nu`` of the step."""
        if self.clip is None:
            return 1.0
        rates = {
            id(p): group["lr"]
            for group in self.optimizer.param_groups
            for p in group["params"]
        }
        total = 0.0
        for name, (W, P) in changed.items():
            rate = float(rates.get(id(self.layers[name].weight), 0.0))
            total += rate**2 * (W * P).sum().item()
        return min(1.0, (self.clip / abs(total)) ** 0.5) if total else 1.0

    def state_dict(self) -> dict[str, Any]:
        """Return what a run needs to go on exactly.

        Returns:
            This worker's factors, what was prepared of them, and the number of steps.
        """
        return {
            "factors": dict(self.factors),
            "prepared": dict(self.prepared),
            "steps": self.steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another has stopped.

        Args:
            state: From :meth:`state_dict`.

        Raises:
            ValueError: If it is of other layers, or of other sizes.
        """
        names, own = (
            set(state["factors"]),
            set(filter(self.placement.builds, self.layers)),
        )
        if names and names != own:
            odd = sorted(names ^ own)
            raise ValueError(f"state is of other layers, as {odd[0]!r}")
        for name, (A, G) in state["factors"].items():
            came, expected = (tuple(A.shape), tuple(G.shape)), shapes(self.layers[name])
            if came != expected:
                raise ValueError(
                    f"factors of {name!r} have shapes {came[0]} and {came[1]}: "
                    f"expected {expected[0]} and {expected[1]}"
                )
        self.factors, self.prepared = dict(state["factors"]), dict(state["prepared"])
        self.steps = state["steps"]
