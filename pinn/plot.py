"""Pictures: solutions, errors, points, elements, and error against CPU seconds."""

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pinn._checks import check_shape
from pinn.domains.mesh import Mesh
from pinn.domains.triangulation import Triangulation
from pinn.forms.collocation import Collocation
from pinn.problem import Problem

__all__ = ["animate_solution", "plot_mesh", "plot_points", "plot_race", "plot_solution"]

Predict = Callable[[Tensor], Tensor]
_STYLES = ("-", "--", "-.", ":")


def _pyplot() -> ModuleType:
    """Import matplotlib when a picture is asked for."""
    from matplotlib import pyplot

    return pyplot


def _grid(problem: Problem, count: int) -> tuple[Tensor, list[np.ndarray]]:
    """Make a grid of points over a domain in one or two coordinates."""
    if problem.dim > 2:
        raise ValueError(f"problem has {problem.dim} coordinates: expected 1 or 2")
    axes = [np.linspace(*ends, count) for ends in zip(*problem.bounds, strict=True)]
    x = torch.cartesian_prod(*map(torch.as_tensor, axes)).view(-1, problem.dim)
    return x, axes


def _names(problem: Problem) -> tuple[str, str]:
    """Name the axes."""
    return ("x", "t") if problem.in_time else ("x", "y")


def plot_solution(problem: Problem, predict: Predict, *, component: int = 0) -> object:
    """Draw a solution and, if the exact one is known, its absolute error.

    Args:
        problem: The problem, in one or two coordinates.
        predict: A function of points.
        component: Which component.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If there are more than two coordinates.

    Example:
        >>> from pinn import zoo
        >>> len(plot_solution(zoo.heat(), zoo.heat().exact).axes)  # two and two bars
        4
    """
    x, axes = _grid(problem, 301 if problem.dim == 1 else 121)
    inside = problem.inside(x)
    shown = {"u": torch.full((len(x),), torch.nan, dtype=x.dtype)}
    shown["u"][inside] = predict(x[inside])[:, component].detach()
    if problem.exact is not None:
        shown["error"] = (shown["u"] - problem.exact(x)[:, component]).abs().detach()
    figure, panels = _pyplot().subplots(1, len(shown), squeeze=False, figsize=(7, 3))
    for panel, (name, values) in zip(panels[0], shown.items(), strict=True):
        if problem.dim == 1:
            panel.plot(axes[0], values)
            panel.set(xlabel="x", ylabel=name)
            continue
        field = values.reshape(len(axes[0]), -1).T
        picture = panel.pcolormesh(*axes, field, shading="auto")
        figure.colorbar(picture, ax=panel)
        across, up = _names(problem)
        panel.set(xlabel=across, ylabel=up, title=name)
    figure.tight_layout()
    return figure


def plot_points(data: Collocation) -> object:
    """Draw the training points of the domain.

    Args:
        data: ``Strong`` or one of its siblings, in two coordinates.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If there are not two coordinates.
    """
    if data.problem.dim != 2:
        raise ValueError(f"problem has {data.problem.dim} coordinates: expected 2")
    figure, panel = _pyplot().subplots(figsize=(4, 3))
    panel.plot(*data.train_x_all.T[:2], ".", markersize=2)
    across, up = _names(data.problem)
    panel.set(xlabel=across, ylabel=up)
    return figure


def plot_mesh(mesh: Mesh | Triangulation, values: Tensor | None = None) -> object:
    """Draw the elements, coloured by a value each: by default the degree of boxes.

    Args:
        mesh: Elements in one or two coordinates, boxes or triangles.
        values: For instance ``data.element_norm(net)``. Shape ``(elements,)``.

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: If there are more than two coordinates, or not one value for each
            element.
    """
    if isinstance(mesh, Triangulation):
        dim, plain = 2, torch.zeros(len(mesh))
    else:
        dim, plain = mesh.lower.shape[1], mesh.degrees
    if dim > 2:
        raise ValueError(f"mesh has {dim} coordinates: expected 1 or 2")
    values = plain if values is None else values
    check_shape("values", values, (len(mesh),))
    shade = values.detach().cpu().double()
    shade = (shade - shade.min()) / (shade.max() - shade.min()).clamp_min(1e-300)
    figure, panel = _pyplot().subplots(figsize=(4, 3))
    if isinstance(mesh, Triangulation):
        panel.tripcolor(
            *mesh.corners.T,
            mesh.triangles,
            facecolors=0.2 + 0.8 * shade,
            edgecolors="black",
            vmin=0,
            vmax=1,
        )
    else:
        _draw_boxes(panel, mesh, shade)
    panel.autoscale_view()
    panel.set(xlabel="x", ylabel="y or t")
    return figure


def _draw_boxes(panel: Any, mesh: Mesh, shade: Tensor) -> None:
    """Draw boxes, those on a line with height one."""
    pyplot = _pyplot()
    for k in range(len(mesh)):
        low, high = mesh.lower[k].tolist(), mesh.upper[k].tolist()
        low, high = (
            c if len(c) == 2 else [*c, end] for c, end in ((low, 0), (high, 1))
        )
        colour = pyplot.get_cmap("viridis")(0.2 + 0.8 * shade[k].item())
        corner = (high[0] - low[0], high[1] - low[1])
        panel.add_patch(
            pyplot.Rectangle(low, *corner, facecolor=colour, edgecolor="black")
        )


def plot_race(solutions: Mapping[str, Sequence]) -> object:
    """Draw error against CPU seconds: median and band; a line for finite elements.

    Args:
        solutions: Per method, one :class:`pinn.Solution` per seed.

    Returns:
        A matplotlib figure.
    """
    figure, panel = _pyplot().subplots(figsize=(7, 3.5))
    for k, (name, runs) in enumerate(solutions.items()):
        style, colour = _STYLES[k % len(_STYLES)], f"C{k % 10}"
        histories = [run.history for run in runs]
        if len(histories[0].seconds) == 1:
            error, seconds = histories[0].error.item(), histories[0].seconds.item()
            label = f"{name} ({seconds:.2g} s)"
            panel.axhline(error, color="black", linestyle=":", label=label)
            continue
        end = min(float(h.seconds[-1]) for h in histories)
        t = np.geomspace(max(end / 100, 1e-3), end, 60)
        curves = [
            np.interp(t, h.seconds, h.error.clamp_min(1e-16).log()) for h in histories
        ]
        low, middle, high = (
            np.exp(f(curves, axis=0)) for f in (np.min, np.median, np.max)
        )
        panel.plot(t, middle, style, color=colour, label=name)
        panel.fill_between(t, low, high, color=colour, alpha=0.2)
    panel.set(xscale="log", yscale="log", xlabel="CPU seconds", ylabel="relative error")
    panel.legend()
    figure.tight_layout()
    return figure


def animate_solution(problem: Problem, predict: Predict, frames: int = 30) -> object:
    """Animate a solution in one space coordinate.

    Args:
        problem: The problem, in time.
        predict: A function of points.
        frames: Pictures.

    Returns:
        A ``matplotlib.animation.FuncAnimation``.

    Raises:
        ValueError: If there is no time, or more than one coordinate in space.
    """
    if not problem.in_time or problem.dim != 2:
        raise ValueError(
            f"problem has {problem.dim} coordinates and in_time={problem.in_time}: "
            "expected one in space and time"
        )
    from matplotlib.animation import FuncAnimation

    (left, start), (right, end) = problem.bounds
    x = torch.linspace(left, right, 301, dtype=torch.float64)
    figure, panel = _pyplot().subplots(figsize=(5, 3))
    (line,) = panel.plot(x, torch.zeros_like(x))

    def draw(k: int) -> tuple:
        t = start + (end - start) * k / max(1, frames - 1)
        u = predict(torch.stack([x, torch.full_like(x, t)], dim=1))[:, 0]
        line.set_ydata(u.detach())
        panel.set_title(f"t = {t:.2f}")
        panel.relim()
        panel.autoscale_view()
        return (line,)

    panel.set(xlabel="x", ylabel="u")
    return FuncAnimation(figure, draw, frames=frames)
