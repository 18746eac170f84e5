"""What modules are good for elsewhere: few labels, and other tasks without training."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from modular._checks import check_count
from modular._modes import evaluating
from modular.objectives.kernel import Proxy, same_class, unit_gram, upper_alignment

__all__ = ["few_labels", "transferability"]


def few_labels(
    target: Tensor, per_class: int, generator: torch.Generator | None = None
) -> Tensor:
    """Choose a few samples of every class.

    For the ten-label experiment of Duan, Yu and Principe 2021.

    Args:
        target: Labels. Shape ``(samples,)``.
        per_class: How many of each.
        generator: Draws them; None is torch's global one.

    Returns:
        Indices, class after class. Shape ``(chosen,)``.

    Raises:
        TypeError: If ``per_class`` is not an int.
        ValueError: If it is not positive, or a class has fewer samples.

    Example:
        >>> few_labels(torch.tensor([0, 1, 1, 0, 1]), 1).shape
        torch.Size([2])
    """
    check_count("per_class", per_class, least=1)
    chosen = []
    for label in target.unique().tolist():
        (members,) = (target == label).nonzero(as_tuple=True)
        if len(members) < per_class:
            raise ValueError(
                f"per_class is {per_class} but class {label} has {len(members)} samples"
            )
        order = torch.randperm(len(members), generator=generator)
        chosen.append(members[order[:per_class]])
    return torch.cat(chosen)


@torch.no_grad()
def transferability(
    module: nn.Module,
    tasks: Iterable[tuple[Any, Any]],
    *,
    proxy: Proxy = upper_alignment,
) -> Tensor:
    """Estimate how useful a trained module is for other tasks, without training.

    The value of the proxy for the module's features and the task's labels: the higher,
    the better an output module on top of it will do. Duan, Yu and Principe 2021, the
    section on module reusability.

    Args:
        module: Returns features, in evaluation mode.
        tasks: Data and labels of each task.
        proxy: As in training.

    Returns:
        One value per task. Shape ``(tasks,)``.

    Example:
        >>> x = torch.eye(4)
        >>> tasks = [(x, torch.tensor([0, 0, 1, 1])), (x, torch.tensor([0, 1, 0, 1]))]
        >>> pairs_up = nn.Linear(4, 2, bias=False)  # 0 with 1, and 2 with 3
        >>> pairs_up.weight.data = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
        >>> transferability(pairs_up, tasks).round()
        tensor([1., 0.])
    """
    with evaluating(module):
        values = [proxy(unit_gram(module(x)), same_class(y)) for x, y in tasks]
    return torch.stack(values)
