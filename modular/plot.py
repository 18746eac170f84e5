"""Pictures of modular training: accuracy along the chain, Gantt charts, isolation."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from modular.audit import Isolation, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["accuracy", "frontier", "gantt", "isolation"]

_KINDS = ("forward", "pass", "take", "backward", "learn", "exchange")
_COLORS = {kind: f"C{index}" for index, kind in enumerate(_KINDS)}


def accuracy(ax: "Axes", accuracies: Mapping[str, Tensor]) -> "Axes":
    """Draw accuracy after each module, one line per method.

    Args:
        ax: Where to draw.
        accuracies: By method, one row per seed: shape ``(seeds, modules)``. The band is
            the standard error.

    Returns:
        The axes.
    """
    for index, (name, values) in enumerate(accuracies.items()):
        values = torch.atleast_2d(values)
        mean, x = values.mean(dim=0), torch.arange(values.shape[1])
        style = ("-", "--", "-.", ":")[index % 4]
        ax.plot(x.numpy(), mean.numpy(), style, marker="o", label=name)
        if len(values) > 1:
            error = standard_error(values)
            low, high = (mean - error).numpy(), (mean + error).numpy()
            ax.fill_between(x.numpy(), low, high, alpha=0.2)
    ax.set_xlabel("module")
    ax.set_ylabel("accuracy")
    ax.legend()
    return ax


def frontier(
    ax: "Axes",
    costs: Mapping[str, float],
    accuracies: Mapping[str, Tensor],
    *,
    chain: Mapping[str, str],
    line: str,
    others: Mapping[str, str],
) -> "Axes":
    """Draw accuracy against what it costs, one point per method.

    Args:
        ax: Where to draw.
        costs: Of each method: bytes, seconds, speed.
        accuracies: Of each method, one per seed: shape ``(seeds,)``. The bar is the
            standard error.
        chain: Methods to be joined by a line, such as rising horizons, and what to
            write beside each.
        line: What the line is called in a legend.
        others: Methods that stand alone, and what they are called there.

    Returns:
        The axes.
    """

    def points(names: Iterable[str], style: str, label: str) -> None:
        x = [costs[name] for name in names]
        y = [float(accuracies[name].mean()) for name in names]
        error = [float(standard_error(accuracies[name])) for name in names]
        ax.errorbar(x, y, error, fmt=style, capsize=2, label=label)
        rises = (x[-1] - x[0]) * (y[-1] - y[0]) >= 0
        place = (5 if rises else -12, -13)  # off the line
        for name, at in zip(names, zip(x, y, strict=True), strict=True):
            text = chain.get(name, "")
            ax.annotate(text, at, xytext=place, textcoords="offset points")

    points(chain, "-o", line)
    for index, (name, label) in enumerate(others.items()):
        points([name], "s^Dv"[index % 4], label)
    ax.set_xlabel("cost")
    ax.set_ylabel("accuracy")
    return ax


def standard_error(values: Tensor) -> Tensor:
    """Return the standard error over the first dimension; one row has none."""
    if len(values) == 1:
        return torch.zeros_like(values[0])
    return values.std(dim=0) / len(values) ** 0.5


def gantt(ax: "Axes", course: Timeline) -> "Axes":
    """Draw who works on what and when.

    Args:
        ax: Where to draw.
        course: Computed by ``audit.timeline`` or measured.

    Returns:
        The axes.
    """
    spans = zip(course.events, course.start.tolist(), course.end.tolist(), strict=True)
    seen = set()
    for event, start, end in spans:
        label = None if event.kind in seen else event.kind
        seen.add(event.kind)
        color = _COLORS[event.kind]
        ax.barh(
            event.module,
            end - start,
            left=start,
            color=color,
            label=label,
            edgecolor="w",
        )
    ax.set_xlabel("time (seconds)")
    ax.set_ylabel("module")
    ax.set_yticks(sorted({event.module for event in course.events}))
    ax.invert_yaxis()
    ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    return ax


def isolation(ax: "Axes", found: Isolation) -> "Axes":
    """Draw how far losses reach; a cross marks what the method does not declare.

    Args:
        ax: Where to draw.
        found: Measured by ``audit.isolation``.

    Returns:
        The axes.
    """
    ax.imshow(found.reaches.numpy(), cmap="Greys", vmin=0, vmax=1.5)
    for loss, module in (found.reaches != found.mask).nonzero().tolist():
        ax.plot(module, loss, "x", color="C3", markersize=12)
    for loss, module in found.takes.nonzero().tolist():
        ax.plot(module, loss, "o", color="C0")
    ax.set_xlabel("module")
    ax.set_ylabel("loss")
    ax.set_xticks(range(len(found.reaches)))
    ax.set_yticks(range(len(found.reaches)))
    return ax
