"""Second-order steps for the layers of a field, from what the backward solve sees."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unroll._checks import check_count, check_positive
from unroll.ode.adjoints import Discrete, parameters_of
from unroll.ode.odeint import odeint
from unroll.ode.run import Run
from unroll.ode.tableau import RK4, Field, Method

__all__ = ["SNOpt", "gauss_newton"]

Layer = nn.Linear | nn.Conv2d


def gauss_newton(
    field: Field, x0: Tensor, t: Tensor, y: Tensor, method: Method = RK4
) -> tuple[Tensor, Tensor]:
    r"""Carry a low-rank second derivative of the loss back through a solution.

    .. math:: \Phi_{xx} = \sum_r y_r y_r^T \;\Rightarrow\;
              Q_{xx} = \sum_r q_r q_r^T, \; Q_{x\theta} = \sum_r q_r p_r^T, \;
              Q_{\theta\theta} = \sum_r p_r p_r^T

    at the first time, without the terms with second derivatives of the field: one
    vector adjoint for each ``r`` does what a matrix equation would. Liu, Chen and
    Theodorou 2021, NeurIPS (SNOpt), proposition 2, in its discrete form. The batch is
    one long vector.

    Args:
        field: Right side ``f(t, x)``, a module.
        x0: State at the first time. Shape ``(batch, ...)``.
        t: Times. Shape ``(times,)``.
        y: Vectors ``y_r``. Shape ``(rank, batch, ...)``.
        method: Method of the steps.

    Returns:
        ``q`` of shape ``(rank, batch, ...)``, and ``p``, all parameters in a row, of
        shape ``(rank, parameters)``.

    Raises:
        ValueError: If the shape of ``y`` does not fit.

    Example:
        >>> x0, t = torch.ones(4, 2), torch.linspace(0, 1, 5)
        >>> q, p = gauss_newton(lambda t, x: -x, x0, t, torch.ones(3, 4, 2))
        >>> q.shape, p.shape  # three vectors; nothing is learned here
        (torch.Size([3, 4, 2]), torch.Size([3, 0]))
    """
    if y.shape[1:] != x0.shape:
        raise ValueError(
            f"y has shape {tuple(y.shape)} and x0 {tuple(x0.shape)}: expected "
            "(rank, *x0.shape)"
        )
    x0 = x0.detach().requires_grad_()
    wanted = (x0, *parameters_of(field))
    with torch.enable_grad():
        x = odeint(field, x0, t, method, Discrete())
    q, p = [], []
    for one in y:
        found = torch.autograd.grad(
            x, wanted, one, retain_graph=True, materialize_grads=True
        )
        q.append(found[0])
        p.append(torch.cat([one.new_zeros(0), *(g.flatten() for g in found[1:])]))
    return torch.stack(q), torch.stack(p)


@dataclass
class _Factors:
    """What is known of one layer: sums, then eigenvectors and second moments."""

    A: Tensor  # (in, in), inputs, a 1 for the bias among them
    B: Tensor  # (out, out), adjoints at the outputs
    by_A: Tensor
    by_B: Tensor
    moment: Tensor  # (out, in), in the eigenvectors' directions


class SNOpt:
    r"""Divide the gradient of each layer by its Kronecker-factored Gauss-Newton matrix.

    .. math:: Q_{\theta\theta} \approx A \otimes B, \qquad
              A = \frac{1}{T} \int E[z z^T] dt, \quad
              B = T \int E\big[(F_h^T q)(F_h^T q)^T\big] dt

    for a layer ``h = W z`` in the field ``F`` and the adjoint ``q`` of one sample: Liu,
    Chen and Theodorou 2021, NeurIPS (SNOpt), section 3.3. It is exact if inputs and
    adjoints are independent of each other and stay the same in time. In the directions
    of the eigenvectors the gradient is divided by ``m + eps``, where ``m`` starts with
    the products of the eigenvalues and follows the squares of gradients, without a
    root. Then any optimiser of torch does its step. A convolution's ``z`` are patches,
    summed over places, as of Grosse and Martens 2016 (KFC). The loss must be a mean
    over the batch. Their free horizon is :class:`~unroll.ode.horizon.Horizon`.

    Args:
        field: Module whose parameters all belong to ``Linear`` and ``Conv2d`` layers,
            each used once in a look at the field.
        eps: What is added to the curvature.
        decay: Part of the second moments that is kept in a step.
        every: Steps between two looks at the factors.

    Raises:
        ValueError: If a parameter belongs to another layer or to two, a convolution has
            groups, or an option is out of range.

    Example:
        >>> from unroll.ode import Discrete, odeint
        >>> net = nn.Linear(2, 2)
        >>> class Turn(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.net = net
        ...     def forward(self, t, x):
        ...         return self.net(x)
        >>> field, t = Turn(), torch.linspace(0, 1, 5)
        >>> snopt, sgd = SNOpt(field), torch.optim.SGD(field.parameters(), lr=0.01)
        >>> x = odeint(field, torch.randn(8, 2), t, adjoint=Discrete(watch=snopt))
        >>> x.square().mean(dim=0).sum().backward()
        >>> snopt.step()  # changes the gradients
        >>> sgd.step()
    """

    def __init__(
        self, field: nn.Module, eps: float = 0.05, decay: float = 0.75, every: int = 100
    ) -> None:
        check_positive("eps", eps)
        check_count("every", every, least=1)
        if not 0 <= decay <= 1:
            raise ValueError(f"decay is {decay}: expected a number from 0 to 1")
        self.eps, self.decay, self.every = eps, decay, every
        self.layers = _layers(field)
        self.factors: dict[str, _Factors] = {}
        self.done = 0  # steps
        self._span, self._batch = 0.0, 0

    def __call__(self, run: Run, k: int, x: Tensor, v: Tensor) -> None:
        """Look at the layers at one time of the backward solve, if it is due.

        Args:
            run: The run that is reversed.
            k: Number of the step that was gone back.
            x: State before it. Shape ``(batch, ...)``.
            v: Gradient of the loss by that. Shape ``(batch, ...)``.
        """
        self._batch = len(x)
        if self.done % self.every:
            return
        if k == run.steps - 1:
            self.factors, self._span = {}, 0.0
        t, h = run.span(k)
        length = h.abs().item()
        seen = self._look(run.field, t, x, len(x) * v)
        for name, (z, g) in seen.items():
            A, B = length * z.T @ z / len(x), length * g.T @ g / len(x)
            if name in self.factors:
                old = self.factors[name]
                A, B = old.A + A, old.B + B
            self.factors[name] = _Factors(A, B, A, B, B)
        self._span += length

    def _look(
        self, field: Callable, t: Tensor, x: Tensor, v: Tensor
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return inputs and adjoints of each layer as rows."""
        calls: dict[str, tuple[Tensor, Tensor]] = {}

        def keep(name: str) -> Callable:
            def hook(layer: nn.Module, args: tuple, out: Tensor) -> None:
                if name in calls:
                    raise ValueError(
                        f"layer {name!r} is used twice in one look at the field: "
                        "expected once"
                    )
                calls[name] = args[0].detach(), out

            return hook

        hooks = [
            layer.register_forward_hook(keep(n)) for n, layer in self.layers.items()
        ]
        try:
            with torch.enable_grad():
                f = field(t, x.detach().requires_grad_())
        finally:
            for hook in hooks:
                hook.remove()
        outs = [out for _, out in calls.values()]
        back = torch.autograd.grad(f, outs, v, materialize_grads=True)
        return {
            name: _rows(self.layers[name], z, g)
            for (name, (z, _)), g in zip(calls.items(), back, strict=True)
        }

    @torch.no_grad()
    def step(self) -> None:
        """Change the gradients of the layers' parameters.

        Raises:
            RuntimeError: If nothing has been seen of the backward solve.
        """
        if not self.factors or not self._batch:
            raise RuntimeError(
                "no backward solve was watched: expected odeint(..., "
                "adjoint=Discrete(watch=snopt)) and backward() before step()"
            )
        if self.done % self.every == 0:
            for factors in self.factors.values():
                _decompose(factors, self._span)
        self.done += 1
        for name, factors in self.factors.items():
            layer = self.layers[name]
            if layer.weight.grad is not None:
                self._divide(layer, factors)
        self._batch = 0

    def _divide(self, layer: Layer, factors: _Factors) -> None:
        """Divide one layer's gradient in the directions of its eigenvectors."""
        grad = _grad(layer.weight).flatten(1)
        if layer.bias is not None:
            grad = torch.cat([grad, _grad(layer.bias)[:, None]], dim=1)
        seen = factors.by_B.T @ grad @ factors.by_A
        fresh = self._batch * seen.square()
        factors.moment = torch.lerp(fresh, factors.moment, self.decay)
        seen = factors.by_B @ (seen / (factors.moment + self.eps)) @ factors.by_A.T
        if layer.bias is not None:
            _grad(layer.bias).copy_(seen[:, -1])
            seen = seen[:, :-1]
        _grad(layer.weight).copy_(seen.view_as(layer.weight))


def _grad(parameter: Tensor) -> Tensor:
    """Return the gradient of a parameter that has one."""
    assert parameter.grad is not None
    return parameter.grad


def _layers(field: nn.Module) -> dict[str, Layer]:
    """Return the layers of a field, whose parameters must be all that there are."""
    layers: dict[str, Layer] = {}
    owners: dict[int, str] = {}
    for name, module in field.named_modules():
        for kind, parameter in module.named_parameters(recurse=False):
            if not isinstance(module, nn.Linear | nn.Conv2d):
                raise ValueError(
                    f"{name}.{kind} belongs to a {type(module).__name__}: expected "
                    "Linear and Conv2d layers only"
                )
            if id(parameter) in owners:
                raise ValueError(
                    f"{name}.{kind} is {owners[id(parameter)]}'s, too: expected layers "
                    "that share nothing"
                )
            owners[id(parameter)] = name
            layers[name] = module
        if isinstance(module, nn.Conv2d) and (
            module.groups != 1
            or module.padding_mode != "zeros"
            or isinstance(module.padding, str)
        ):
            raise ValueError(
                f"{name} has {module.groups} groups and padding {module.padding!r}, "
                f"{module.padding_mode!r}: expected one group and a number of zeros"
            )
    return layers


def _rows(layer: Layer, z: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Return a layer's inputs and adjoints as rows, one for each sample or place."""
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)
        z = nn.functional.unfold(
            z, layer.kernel_size, layer.dilation, layer.padding, layer.stride
        )
        places = z.shape[-1]
        z, g = z.mT.flatten(0, 1), g.flatten(2).mT.flatten(0, 1) / places**0.5
    elif z.ndim != 2:
        raise ValueError(
            f"a Linear layer was given shape {tuple(z.shape)}: expected (batch, n)"
        )
    if layer.bias is not None:
        z = torch.cat([z, torch.ones_like(z[:, :1])], dim=1)
    return z, g


def _decompose(factors: _Factors, span: float) -> None:
    """Turn the sums of one layer into factors, and find their eigenvectors."""
    factors.A, factors.B = factors.A / span, factors.B * span
    parts = [torch.linalg.eigh((M + M.T) / 2) for M in (factors.A, factors.B)]
    (a, factors.by_A), (b, factors.by_B) = parts
    factors.moment = b.clamp(min=0)[:, None] * a.clamp(min=0)
