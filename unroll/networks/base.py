r"""The one abstraction of the networks: an algorithm whose constants are free.

An algorithm is a map ``x_{k+1} = T(x_k; b)``. :class:`Unrolled` keeps ``depth`` steps
of it, one module a layer, whose parameters may be learned. A method says what a layer
computes and what the layers are given beside the state; nothing else.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unroll._checks import (
    check_batch,
    check_constant,
    check_count,
    check_dictionary,
)
from unroll.networks import _state
from unroll.networks._state import State, code_of
from unroll.networks.positive import Positive

__all__ = ["Unrolled"]


class Unrolled(nn.Module):
    r"""``depth`` steps of an algorithm, each a module with constants of its own.

    .. math:: x_{k+1} = T_k(x_k; b), \qquad k = 0, \dots, \text{depth} - 1

    Gregor and LeCun 2010, ICML; for the name and the view, Monga, Li and Eldar 2021,
    IEEE Signal Process. Mag. 38(2). ``net(b)`` is the last iterate, ``net.iterates(b)``
    all of them, ``net.layers`` the modules, ``net.constants()`` the learned numbers.

    A new method is a subclass that passes ``layer``, which makes one layer, and
    overrides :meth:`given` if its layers see more than ``b`` and ``A``, and
    :meth:`start` if its state is more than the code ``x``: then it is a tuple with
    ``x`` first. Without a subclass: :meth:`from_step`.

    The state (``net.state_dict()``) holds the parameters, the matrices, and what is
    neither but decides the output, such as counts: loading it makes the outputs those
    of the network that was saved, or is refused.

    Args:
        A: Dictionary, kept as a buffer, a constant. Shape ``(m, n)``.
        depth: Layers.
        layer: Called without arguments, returns a module that maps the state and what
            is :meth:`given` to the next state.
        tied: Whether one layer is repeated, as in a recurrent network.

    Raises:
        TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
        ValueError: If ``A`` is not a finite, non-zero matrix, is to be learned, or
            ``depth`` is not positive.

    Example:
        >>> class Landweber(nn.Module):
        ...     def forward(self, x, b, A):
        ...         return x + 0.25 * (b - x @ A.T) @ A
        >>> Unrolled(2 * torch.eye(2), depth=3, layer=Landweber)(torch.ones(1, 2))
        tensor([[0.5000, 0.5000]])
    """

    settings: ClassVar[tuple[str, ...]] = ()
    """Attributes that decide the output beside parameters and buffers."""
    must_agree: ClassVar[tuple[str, ...]] = ("network", "depth")
    """What a state must have in common with the network that takes it."""

    A: Tensor
    layers: nn.ModuleList

    def __init__(
        self,
        A: Tensor,
        depth: int,
        layer: Callable[[], nn.Module],
        *,
        tied: bool = False,
    ) -> None:
        super().__init__()
        self._keep(A)
        check_count("depth", depth, least=1)
        self.depth = depth
        self.register_load_state_dict_pre_hook(_state.refuse_another)
        self.layers = nn.ModuleList(layer() for _ in range(1 if tied else depth))

    def described(self) -> dict[str, Any]:
        """Tell what this network is beside its tensors.

        Returns:
            Its method, its depth, and its settings by name.
        """
        values = {name: getattr(self, name) for name in self.settings}
        return {"network": type(self).__name__, "depth": self.depth} | values

    def get_extra_state(self) -> Tensor:
        """Return what the state must hold beside parameters and matrices."""
        return _state.packed(self.described())

    def set_extra_state(self, state: Tensor) -> None:
        """Take the settings of a saved network."""
        saved = _state.unpacked(state)
        for name in self.settings:
            setattr(self, name, saved[name])

    def start(self, b: Tensor) -> State:
        """Return the state before the first layer: ``x_0 = 0``.

        Args:
            b: Measurements. Shape ``(batch, m)``.

        Returns:
            Code, or a tuple that starts with it. Shape ``(batch, n)``.
        """
        return self._zero(b)

    def given(self, b: Tensor, k: int) -> tuple:
        """Return what layer ``k`` sees beside the state.

        Args:
            b: Measurements. Shape ``(batch, m)``.
            k: Number of the layer, from 0.

        Returns:
            Arguments of the layer after the state: ``b`` of shape ``(batch, m)``, and
            ``A`` of shape ``(m, n)``, unless a method needs others.
        """
        return b, self.A

    def forward(self, b: Tensor, depth: int | None = None) -> Tensor:
        """Return the last iterate.

        Args:
            b: Measurements. Shape ``(batch, m)``.
            depth: Stop after this many layers; None is all of them.

        Returns:
            Code. Shape ``(batch, n)``.

        Raises:
            TypeError: If ``b`` is not of the dtype of ``A``, or ``depth`` not an int.
            ValueError: If ``b`` does not fit ``A``, is empty or not finite, or
                ``depth`` is not between 0 and the number of layers.
        """
        state = self._checked_start(b)
        for k in range(self._checked_depth(depth)):
            state = self._layer(k)(state, *self.given(b, k))
        return code_of(state)

    def iterates(self, b: Tensor, depth: int | None = None) -> Tensor:
        """Return every iterate, ``x_0`` included.

        Args:
            b: Measurements. Shape ``(batch, m)``.
            depth: Stop after this many layers; None is all of them.

        Returns:
            Codes. Shape ``(depth + 1, batch, n)``.

        Raises:
            TypeError: As :meth:`forward`.
            ValueError: As :meth:`forward`.
        """
        state = self._checked_start(b)
        codes = [code_of(state)]
        for k in range(self._checked_depth(depth)):
            state = self._layer(k)(state, *self.given(b, k))
            codes.append(code_of(state))
        return torch.stack(codes)

    @torch.no_grad()
    def constants(self) -> dict:
        """Return the learned numbers of the layers, by name, over depth.

        Returns:
            Name to tensor, one entry for each layer. Only scalars: not the matrices,
            and not what lies deeper inside a layer.
        """
        rows = [_state.scalars(self._layer(k)) for k in range(self.depth)]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    @classmethod
    def from_step(
        cls,
        step: Callable,
        parameters: Mapping,
        depth: int,
        *,
        A: Tensor,
        tied: bool = False,
        start: Callable | None = None,
    ) -> "Unrolled":
        """Unroll a step of your own.

        Args:
            step: Called as ``step(state, b, A, **parameters)``, returns the next state:
                a code ``(batch, n)``, or a tuple that starts with one.
            parameters: Where the constants start; every layer learns a copy. A number
                or tensor is free, a :class:`Positive` stays non-negative.
            depth: Layers.
            A: Dictionary. Shape ``(m, n)``.
            tied: Whether all layers share one copy.
            start: Called as ``start(b)``, returns the state before the first layer;
                None is the code 0.

        Returns:
            The network.

        Raises:
            TypeError: If ``A`` is not a floating-point tensor or ``depth`` not an int.
            ValueError: If ``A`` is not a finite, non-zero matrix or ``depth`` not
                positive.

        Example:
            Landweber's iteration with learned steps:

            >>> def landweber(x, b, A, *, step):
            ...     return x + step * (b - x @ A.T) @ A
            >>> A = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
            >>> net = Unrolled.from_step(landweber, {"step": 0.25}, depth=3, A=A)
            >>> net(torch.tensor([[1.0, 2.0]]))
            tensor([[0.5781, 1.0000]], grad_fn=<AddBackward0>)
        """
        return _FromStep(A, depth, lambda: _Step(step, parameters, A), tied, start)

    def _keep(self, A: Tensor) -> None:
        """Take the dictionary as a constant, or refuse it."""
        check_dictionary(A)
        check_constant("A", A)
        self.register_buffer("A", A.detach().clone())

    def _zero(self, b: Tensor) -> Tensor:
        """Return the code 0 of every sample."""
        return b.new_zeros(b.shape[0], self.A.shape[1])

    def _layer(self, k: int) -> nn.Module:
        """Return the module of layer ``k``; the same one for all k if tied."""
        return self.layers[k % len(self.layers)]

    def _checked_start(self, b: Tensor) -> State:
        """Return the first state of a batch, or refuse the batch."""
        if not torch.compiler.is_compiling():
            check_batch("b", b, self.A, dim=0)
        return self.start(b)

    def _checked_depth(self, depth: int | None) -> int:
        """Return how many layers to run."""
        if depth is None:
            return self.depth
        check_count("depth", depth, least=0)
        if depth > self.depth:
            raise ValueError(
                f"depth is {depth} but the network has {self.depth} layers: "
                f"expected at most {self.depth}"
            )
        return depth


class _Step(nn.Module):
    """A user's step as a layer: the function, and a copy of its parameters."""

    def __init__(
        self, step: Callable[..., State], parameters: Mapping, A: Tensor
    ) -> None:
        super().__init__()
        self._function = step
        for name, value in parameters.items():
            if isinstance(value, Positive):
                self.add_module(name, deepcopy(value).to(A))
            else:
                value = torch.as_tensor(value).detach().to(A, copy=True)
                self.register_parameter(name, nn.Parameter(value))

    def forward(self, state: State, b: Tensor, A: Tensor) -> State:
        """Return the next state."""
        positive = {name: child() for name, child in self.named_children()}
        free = dict(self.named_parameters(recurse=False))
        return self._function(state, b, A, **positive, **free)


class _FromStep(Unrolled):
    """What :meth:`Unrolled.from_step` returns."""

    def __init__(
        self,
        A: Tensor,
        depth: int,
        layer: Callable[[], nn.Module],
        tied: bool,
        start: Callable[[Tensor], State] | None,
    ) -> None:
        super().__init__(A, depth, layer, tied=tied)
        self._start = start

    def start(self, b: Tensor) -> State:
        """Return the user's first state, or 0."""
        return super().start(b) if self._start is None else self._start(b)
