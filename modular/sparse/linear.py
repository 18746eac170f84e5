"""A linear layer that has some connections only, and pays for those only."""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from modular._checks import check_count
from modular.sparse.pattern import Pattern, erdos_renyi

__all__ = ["SparseLinear"]


class SparseLinear(nn.Module):
    r"""Map ``x`` to ``x W^T + b``, where only some entries of ``W`` exist.

    .. math:: y = x W^\top + b, \qquad
              \frac{\partial L}{\partial W_{ij}} =
              \sum_n \frac{\partial L}{\partial y_{ni}}\, x_{nj}
              \quad\text{where } W_{ij} \text{ exists}

    The values are one dense vector, so that every optimiser takes them; where they
    stand are buffers. Forward is one product with compressed rows, backward one with
    those of the transpose and one product that is sampled where connections are:
    time and memory follow the number of connections. After Curci, Mocanu and
    Pechenizkiy 2021 (arXiv 2102.01732), section 3.

    Args:
        in_features: Inputs.
        out_features: Outputs.
        epsilon: ``epsilon (inputs + outputs)`` connections (:func:`erdos_renyi`).
        generator: Draws the connections and the values.

    ``values`` are those of the connections (:meth:`drawn`) and ``places`` their
    ``output * in_features + input``, increasing.

    Raises:
        TypeError: If a number of features is not an int.
        ValueError: If ``epsilon`` is not positive, or too small for one connection.

    Example:
        >>> import torch
        >>> layer = SparseLinear(1000, 500, epsilon=4)
        >>> layer.connections, layer(torch.ones(8, 1000)).shape
        (6000, torch.Size([8, 500]))
    """

    places: Tensor
    size: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        epsilon: float = 20.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_count("in_features", in_features, least=1)
        check_count("out_features", out_features, least=1)
        self.in_features, self.out_features = in_features, out_features
        places = erdos_renyi(epsilon, out_features, in_features, generator).cpu()
        self.values = nn.Parameter(torch.empty(len(places)))
        self.values.data = self.drawn(len(places), generator)
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.register_buffer("places", places)
        self.register_buffer("size", torch.tensor([out_features, in_features]))
        self._pattern: Pattern | None = None

    @property
    def connections(self) -> int:
        """How many entries of the matrix exist."""
        return self.values.numel()

    @property
    def pattern(self) -> Pattern:
        """Where they are, ready for products."""
        known = self._pattern
        if known is None or known.places is not self.places:
            known = Pattern(self.places, self.out_features, self.in_features)
            self._pattern = known
        return known

    def drawn(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        r"""Draw values for new connections, as at the start.

        .. math:: w \sim U(-b, b), \qquad
                  b^2 = 6 \,\frac{n_\text{out}}{\text{connections}}

        He's distribution for the mean number of connections that an output really has;
        the published code divides by ``n_in``, which makes sparse layers faint.

        Args:
            count: How many.
            generator: Draws them, on the CPU.

        Returns:
            The values. Shape ``(count,)``.
        """
        bound = (6 * self.out_features / self.connections) ** 0.5
        values = torch.empty(count).uniform_(-bound, bound, generator=generator)
        return values.to(self.values)

    def dense(self) -> Tensor:
        """Return the matrix with its zeros.

        Returns:
            ``W``. Shape ``(out_features, in_features)``.
        """
        matrix = self.values.new_zeros(self.out_features * self.in_features)
        matrix = matrix.index_put((self.places,), self.values)
        return matrix.view(self.out_features, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            x: Inputs. Shape ``(batch, in_features)``.

        Returns:
            Outputs. Shape ``(batch, out_features)``.

        Raises:
            ValueError: If ``x`` has another shape, or another dtype than the values
                (under ``torch.autocast`` it may have).
        """
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(
                f"x has shape {tuple(x.shape)}: expected (batch, {self.in_features})"
            )
        if x.dtype != self.values.dtype:
            raise ValueError(
                f"x has dtype {x.dtype}: expected {self.values.dtype}, that of values"
            )
        y: Tensor = _Product.apply(x, self.values, self.pattern)
        return y + self.bias

    def extra_repr(self) -> str:
        """Say the sizes."""
        return (
            f"{self.in_features}, {self.out_features}, {self.connections} connections"
        )

    def __getstate__(self) -> dict:
        """Leave out what can be computed again."""
        return super().__getstate__() | {"_pattern": None}  # type: ignore[misc]

    def _load_from_state_dict(
        self, state_dict: dict, prefix: str, *others: object
    ) -> None:
        """Take another number of connections, which pruning changes, but no other size.

        Places are numbers: in a matrix of other sizes they would stand elsewhere.
        """
        size, own = state_dict.get(prefix + "size"), self.size.tolist()
        if isinstance(size, Tensor) and size.tolist() != own:
            raise ValueError(
                f"{prefix}size is {size.tolist()}: expected {own}, outputs and inputs"
            )
        values = state_dict.get(prefix + "values")
        if isinstance(values, Tensor) and values.ndim == 1:
            if values.shape != self.values.shape:
                self.values.data = self.values.new_zeros(values.shape)
                self.places = self.places.new_zeros(values.shape)
        super()._load_from_state_dict(state_dict, prefix, *others)  # type: ignore[arg-type]
        self._pattern = None


class _Product(torch.autograd.Function):
    """``x W^T``, with gradients for ``x`` and for the values of ``W``."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, values: Tensor, pattern: Pattern
    ) -> Tensor:
        xt = x.t().contiguous()  # rows are read in one piece, here and in backward
        ctx.save_for_backward(xt, values)
        ctx.pattern = pattern  # type: ignore[attr-defined]
        return (pattern.matrix(values) @ xt).t()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, dy: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None]:
        xt, values = ctx.saved_tensors  # type: ignore[attr-defined]
        pattern: Pattern = ctx.pattern  # type: ignore[attr-defined]
        dyt = dy.t().contiguous()
        dx = dv = None
        if ctx.needs_input_grad[0]:  # type: ignore[attr-defined]
            dx = (pattern.transpose(values) @ dyt).t()
        if ctx.needs_input_grad[1]:  # type: ignore[attr-defined]
            sampled = pattern.matrix(torch.zeros_like(values))
            dv = torch.sparse.sampled_addmm(sampled, dyt, xt.t(), beta=0.0).values()
        return dx, dv, None
