"""What goes wrong in a training, told apart: dead, overflowing, leaking."""

from torch import Tensor

from unroll.networks.base import Unrolled
from unroll.operators import Operator
from unroll.training.recipe import Recipe
from unroll.training.sources import rows_in

__all__ = [
    "accidents",
    "in_validation",
    "is_dead",
    "refuse_dead_start",
    "refuse_overflow",
]


def is_dead(norm: Tensor, iterates: Tensor) -> bool:
    """Whether every code is 0 and no gradient is left: nothing revives that."""
    return not bool(norm.any()) and not bool(iterates[-1].any())


def refuse_dead_start(net: Unrolled, b: Tensor) -> None:
    """Say what the thresholds of an untrained network must be below."""
    if isinstance(net.A, Operator):
        seen, name = net.A.adjoint(b), "A^* b"
    else:
        W = getattr(net, "W", net.A)  # networks around one weight see W^T b
        seen, name = b @ W.detach(), "W^T b"
    largest = seen.abs().max().item()
    lam = getattr(net, "lam", None)
    now = "" if lam is None else f" (now {lam:.4g})"
    raise ValueError(
        "all codes are 0 at step 0 and no gradient reaches the network: no entry of "
        f"{name}, at most {largest:.3g}, passes a threshold; expected lam well below "
        f"{largest:.3g}{now}, or larger data"
    )


def refuse_overflow(
    net: Unrolled,
    recipe: Recipe,
    step: int,
    what: tuple[str, Tensor],
    iterates: Tensor,
) -> None:
    """Stop at a loss or gradient that is not finite, naming step and layer."""
    finite = iterates.isfinite().flatten(1).all(dim=1)
    start = f"{what[0]} is {what[1].item()} at step {step}"
    if not finite.all():
        layer = int((~finite).nonzero()[0])
        where = f"layer {layer} is the first to overflow"
        if step == 0:
            raise FloatingPointError(
                f"{start}, before anything was learned: {where}; the network diverges "
                "as it is: expected other constants to start from, or A and b of "
                "another scale"
            )
    else:
        names = [
            name
            for name, p in net.named_parameters()
            if p.grad is not None and not p.grad.isfinite().all()
        ]
        where = f"first in {names[0]}" if names else "all layers are finite"
    raise FloatingPointError(
        f"{start}: {where}; try clip=1, a smaller lr or lr_matrices (now "
        f"{recipe.rate:g}, {recipe.lr_matrices:g})"
    )


def in_validation(b: Tensor, held_out: Tensor) -> int:
    """Return how many rows of ``b`` are rows of ``held_out``; rows of zeros are not."""
    return int(rows_in(b, held_out).sum())


def accidents(leaks: int, rollbacks: int, died_at: int | None) -> tuple[str, ...]:
    """Return what happened on the way, in words."""
    found = []
    if rollbacks:
        found.append(
            f"training went astray {rollbacks} times and went back to its best "
            "weights, at half the rates; try a smaller lr"
        )
    if leaks:
        found.append(
            f"{leaks} of the first training samples are in the validation set: its "
            "error does not say how the network does on fresh samples; expected "
            "validation= with samples of its own"
        )
    if died_at is not None:
        found.append(
            f"at step {died_at} every code is 0 and no gradient is left: training died "
            "and stopped; try a smaller lr"
        )
    return tuple(found)
