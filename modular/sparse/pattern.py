"""Which entries of a matrix exist: compressed rows, and the same for its transpose."""

import warnings

import torch
from torch import Tensor

from modular._checks import check_count

__all__ = ["Pattern", "erdos_renyi"]


class Pattern:
    """The places of the connections of a matrix, for products both ways.

    Args:
        places: Where the connections are, ``row * columns + column``, strictly
            increasing. Shape ``(connections,)``.
        rows: Rows of the matrix.
        columns: Its columns.

    Indices have 32 bits where that is enough: products take those as they are.

    Attributes:
        places: As given.
        row, column: Of each connection. Shape ``(connections,)`` each.
        starts: Where each row starts. Shape ``(rows + 1,)``.
        transposed: ``(starts, row, order)`` of the transpose: ``values[order]`` are
            its values.

    Example:
        >>> import torch
        >>> pattern = Pattern(torch.tensor([1, 2, 5]), rows=2, columns=3)
        >>> pattern.starts, pattern.column
        (tensor([0, 2, 3], dtype=torch.int32), tensor([1, 2, 2], dtype=torch.int32))
    """

    def __init__(self, places: Tensor, rows: int, columns: int) -> None:
        self.places, self.rows, self.columns = places, rows, columns
        row = places.div(columns, rounding_mode="floor")
        column = places - row * columns
        order = column.argsort(stable=True)
        small = max(rows, columns, len(places)) < 2**31
        kind = torch.int32 if small else torch.int64
        self.row, self.column = row.to(kind), column.to(kind)
        self.starts = _starts(row, rows).to(kind)
        transposed = (_starts(column, columns), row[order], order)
        self.transposed = tuple(index.to(kind) for index in transposed)

    def matrix(self, values: Tensor) -> Tensor:
        """Return the matrix, compressed. Shape ``(rows, columns)``."""
        shape = (self.rows, self.columns)
        return _compressed(self.starts, self.column, values, shape)

    def transpose(self, values: Tensor) -> Tensor:
        """Return its transpose, compressed by its own rows. ``(columns, rows)``."""
        starts, row, order = self.transposed
        shape = (self.columns, self.rows)
        return _compressed(starts, row, values.index_select(0, order), shape)


def erdos_renyi(
    epsilon: float,
    rows: int,
    columns: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Draw the places of ``round(epsilon (rows + columns))`` connections, all alike.

    .. math:: P(\text{an entry exists}) =
              \varepsilon \frac{n_\text{in} + n_\text{out}}{n_\text{in} n_\text{out}}

    Large layers become sparser than small ones. The paper draws every entry for
    itself; here the number is fixed, at most all. Mocanu et al. 2018 (Nature
    Communications 9, 2383), equation 3.

    Args:
        epsilon: Sets the density, positive.
        rows: Rows of the matrix.
        columns: Its columns.
        generator: Draws the places, on the CPU.

    Returns:
        Strictly increasing places ``row * columns + column``. Shape
        ``(connections,)``.

    Raises:
        TypeError: If ``rows`` or ``columns`` is not an int.
        ValueError: If ``epsilon`` is not positive, or too small for one connection.

    Example:
        >>> erdos_renyi(1, 2, 2)  # four of four
        tensor([0, 1, 2, 3])
    """
    check_count("rows", rows, least=1)
    check_count("columns", columns, least=1)
    wanted = min(round(epsilon * (rows + columns)), rows * columns)
    if wanted < 1:
        raise ValueError(
            f"epsilon is {epsilon}, which gives {wanted} connections between {columns} "
            f"inputs and {rows} outputs: expected at least one"
        )
    return draw(wanted, rows * columns, generator)


def draw(
    wanted: int,
    size: int,
    generator: torch.Generator | None,
    taken: Tensor | None = None,
) -> Tensor:
    """Draw different places below ``size``, none of them taken; all sets alike.

    A matrix may have more entries than memory has bytes: none is listed as long as
    most are free.
    """
    taken = torch.empty(0, dtype=torch.long) if taken is None else taken.cpu()
    if 2 * (wanted + len(taken)) > size:  # few are free: list those
        free = torch.ones(size, dtype=torch.bool)
        free[taken] = False
        left = free.nonzero()[:, 0]
        chosen = torch.randperm(len(left), generator=generator)[:wanted]
        return left[chosen].sort().values
    found = torch.empty(0, dtype=torch.long)
    while len(found) < wanted:  # first come, first served, so that all sets are alike
        more = torch.randint(size, (2 * (wanted - len(found)),), generator=generator)
        both = torch.cat([found, more])
        found = _different(both[~torch.isin(both, taken)])[:wanted]
    return found.sort().values


def _different(places: Tensor) -> Tensor:
    """Return the different places in the order in which they come first."""
    ordered, order = places.sort(stable=True)
    fresh = torch.ones_like(ordered, dtype=torch.bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return places[order[fresh].sort().values]


def _compressed(
    starts: Tensor, index: Tensor, values: Tensor, shape: tuple[int, int]
) -> Tensor:
    return torch.sparse_csr_tensor(starts, index, values, shape, check_invariants=False)


with warnings.catch_warnings():  # torch says once in a process that these are young
    warnings.simplefilter("ignore", UserWarning)
    _compressed(torch.tensor([0, 1]), torch.tensor([0]), torch.ones(1), (1, 1))


def _starts(index: Tensor, count: int) -> Tensor:
    counts = torch.bincount(index, minlength=count)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])
