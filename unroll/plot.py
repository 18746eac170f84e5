"""Pictures of networks: error over layers, learned numbers, what the weights pick up.

Every function draws into the axes that it is given, or into the current ones, and
returns them. matplotlib is loaded when the first picture is drawn.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from unroll.metrics import RecoveryBounds
from unroll.networks.base import Unrolled
from unroll.weights import check_weight

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "coherences",
    "constants_over_depth",
    "error_per_layer",
    "training_history",
]


def error_per_layer(
    curves: Mapping[str, Tensor],
    bounds: RecoveryBounds | None = None,
    *,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw the error of every layer of some methods, between what bounds them.

    The horizontal lines are what no Lasso can pass (best Lasso), what approximate
    message passing reaches, what a method that is told how codes and noise are drawn
    reaches (Bayes), and one that is told the support (oracle).

    Args:
        curves: Error in dB of ``x_0, x_1, ...`` by the method's name, for example
            ``nmse_db(net.iterates(b), x)``. Each of shape ``(depth + 1,)``.
        bounds: From :func:`~unroll.metrics.recovery_bounds`; None draws no lines.
        ax: Axes; None is the current ones.

    Returns:
        The axes.

    Raises:
        ValueError: If there are no curves, or one is not of that shape.
    """
    if not curves:
        raise ValueError("curves is empty: expected at least one method")
    ax = _axes(ax)
    for name, errors in curves.items():
        if errors.ndim != 1:
            raise ValueError(
                f"curves[{name!r}] has shape {tuple(errors.shape)}: "
                "expected (depth + 1,)"
            )
        ax.plot(range(len(errors)), errors.detach().cpu(), label=name)
    if bounds is not None:
        for label, level, style in (
            ("best Lasso", bounds.lasso, "--"),
            ("AMP", bounds.amp, "-."),
            ("Bayes", bounds.bayes, (0, (3, 1, 1, 1, 1, 1))),
            ("oracle", bounds.oracle, ":"),
        ):
            ax.axhline(level, color="0.4", linestyle=style, label=label)
    ax.set_xlabel("layer")
    ax.set_ylabel("NMSE (ratio, dB)")
    ax.legend()
    return ax


def constants_over_depth(net: Unrolled, *, ax: "Axes | None" = None) -> "Axes":
    """Draw the learned numbers of a network, layer by layer.

    Args:
        net: Network with some scalar per layer.
        ax: Axes; None is the current ones.

    Returns:
        The axes.

    Raises:
        ValueError: If the layers have no scalars.
    """
    constants = net.constants()
    if not constants:
        raise ValueError("net has no scalar constants: expected one per layer")
    ax = _axes(ax)
    for name, values in constants.items():
        ax.plot(range(1, net.depth + 1), values.cpu(), marker="o", label=name)
    ax.set_xlabel("layer")
    ax.set_ylabel("learned value")
    ax.legend()
    return ax


def training_history(
    checked: Tensor,
    measured: Tensor,
    best_step: int,
    *,
    unit: str = "NMSE (ratio, dB)",
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw what was measured on the validation set over the steps, and the best step.

    Args:
        checked: Steps done at each validation. Shape ``(checks,)``.
        measured: What was measured then. Shape ``(checks,)``.
        best_step: Step whose weights were kept.
        unit: What it is, for the axis.
        ax: Axes; None is the current ones.

    Returns:
        The axes.

    Raises:
        ValueError: If the two do not have the same shape.
    """
    if checked.shape != measured.shape or checked.ndim != 1:
        raise ValueError(
            f"measured has shape {tuple(measured.shape)} but checked "
            f"{tuple(checked.shape)}: expected (checks,) twice"
        )
    ax = _axes(ax)
    ax.plot(checked.cpu(), measured.detach().cpu(), label="validation")
    ax.axvline(best_step, color="0.4", linestyle=":", label="kept")
    ax.set_xlabel("step")
    ax.set_ylabel(unit)
    ax.legend()
    return ax


def coherences(
    weights: Mapping[str, Tensor],
    A: Tensor,
    *,
    bins: int = 60,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw how much the columns of some weights pick up from other atoms.

    The histograms of ``|w_i^T a_j|`` over all ``i != j``: the analytic weight makes
    their second moment small, the coherence weight their right end.

    Args:
        weights: Weights by name, each of shape ``(m, n)``.
        A: Dictionary. Shape ``(m, n)``.
        bins: Bins.
        ax: Axes; None is the current ones.

    Returns:
        The axes.

    Raises:
        ValueError: If there are no weights, or one does not fit ``A``.
    """
    if not weights:
        raise ValueError("weights is empty: expected at least one")
    others = ~A.new_ones(A.shape[1]).diag().bool()
    ax = _axes(ax)
    for name, W in weights.items():
        picked = (check_weight(f"weights[{name!r}]", W, A).T @ A)[others].abs()
        ax.hist(picked.detach().cpu(), bins, histtype="step", density=True, label=name)
    ax.set_xlabel("what a column picks up from another atom")
    ax.set_ylabel("density")
    ax.legend()
    return ax


def _axes(ax: "Axes | None") -> "Axes":
    """Return the axes to draw into."""
    if ax is not None:
        return ax
    from matplotlib import pyplot  # heavy, and needed only here

    return pyplot.gca()
