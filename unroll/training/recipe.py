"""How a network is trained: steps, samples, and the rates of its parameters."""

import math
from dataclasses import dataclass, replace

import torch

from unroll._checks import check_count, check_positive
from unroll.networks.base import Unrolled
from unroll.operators import Operator
from unroll.training.objectives import DeepLogNMSE, Objective, named

__all__ = [
    "Recipe",
    "fitted",
    "go_back",
    "grown",
    "parameter_groups",
    "set_rates",
    "was_whole",
]


@dataclass(frozen=True)
class Recipe:
    r"""Everything that decides what a training results in, beside network and samples.

    The objective is an object, or the name of one: ``"deep-log-nmse"``
    (:class:`DeepLogNMSE`), ``"last"`` (:class:`LastNMSE`), ``"stagewise"``
    (:class:`Stagewise`) or ``"lasso"`` (:class:`LassoCost`, which needs no true codes).
    In stages, layers that are ``a`` stages old learn at ``age_decay ** a`` times the
    rate: a true rate, where the published code scales gradients, which Adam undoes.

    Args:
        objective: What to minimise.
        steps: Steps in all; of a stage, ``steps // depth``.
        batch: Samples per step; a DataLoader has its own.
        lr: Adam's rate for numbers (tensors with less than two axes); None is 10 /
            steps, at most 0.05 (in stages 0.05): who has few steps takes long ones.
        lr_matrices: Adam's rate for matrices, whose entries are small and many.
        grow: Share of the steps over which the network grows from one layer to all; a
            new one starts as it was made, at its classical parent. 0 trains all layers
            from the first step. None is 0.5, which is fast and steady, but 0 where
            steps are dear: less than 20 for each layer, or a matrix of its own in each;
            stages grow by themselves.
        decay: Whether rates fall to 0 over the steps along a half cosine; the stages of
            ``"stagewise"`` have their own.
        clip: Largest norm of the gradient; ``math.inf`` does not clip. None is 1, but
            ``math.inf`` for errors in dB, numbers alone and more than ``2 m`` atoms:
            there few samples decide the error, and clipped they would not count.
        age_decay: Factor per stage of age; only ``"stagewise"`` uses it.
        validation: Samples in the fixed validation set, drawn before the first batch;
            of tensors a fifth at most.
        every: Steps between validations, and between checkpoints.
        rollback: Whether a training that has gone astray goes back to its best weights
            at half the rates: at every validation that is 3 dB above the best, or, of
            the Lasso's cost, a tenth of what was gained. Not in stages. None is True,
            but False for errors in dB and more than ``2 m`` atoms, unless every layer
            has a matrix of its own.

    Raises:
        TypeError: If a count is not an int, or ``objective`` cannot be minimised.
        ValueError: If a number is not positive, ``grow`` not in [0, 1), or
            ``objective`` unknown.

    Example:
        >>> Recipe(objective="last", steps=200).batch
        128
    """

    objective: str | Objective = "deep-log-nmse"
    steps: int = 600
    batch: int = 128
    lr: float | None = None
    lr_matrices: float = 2e-3
    grow: float | None = None
    decay: bool = True
    clip: float | None = None
    age_decay: float = 0.3
    validation: int = 1000
    every: int = 20
    rollback: bool | None = None

    def __post_init__(self) -> None:
        named(self.objective)
        for name in ("steps", "batch", "validation", "every"):
            check_count(name, getattr(self, name), least=1)
        for name in ("lr_matrices", "age_decay"):
            check_positive(name, getattr(self, name))
        if self.lr is not None:
            check_positive("lr", self.lr)
        if self.grow is not None and not 0 <= self.grow < 1:
            raise ValueError(f"grow is {self.grow}: expected 0 <= grow < 1")
        if self.clip is not None and self.clip != math.inf:
            check_positive("clip", self.clip)

    @property
    def rate(self) -> float:
        """The rate for numbers, also where none was given."""
        if self.lr is not None:
            return self.lr
        return 0.05 if self.goal.staged else min(10 / self.steps, 0.05)

    @property
    def goal(self) -> Objective:
        """The objective as an object."""
        return named(self.objective)


def parameter_groups(net: Unrolled, recipe: Recipe) -> list[dict]:
    """Return one parameter group per layer and kind; layer None is what all share."""
    if not torch.is_grad_enabled():
        raise RuntimeError(
            "gradients are off here, by torch.no_grad or torch.inference_mode: "
            "expected to train outside"
        )
    for name, value in [*net.named_parameters(), *net.named_buffers()]:
        if value.is_inference():
            raise ValueError(
                f"{name} of net was made under torch.inference_mode, where autograd "
                "cannot follow: expected a network made outside"
            )
    groups: dict[tuple, dict] = {}
    owners = {
        id(parameter): k
        for k, layer in enumerate(net.layers)
        for parameter in layer.parameters()
    }
    for parameter in net.parameters():
        layer = owners.get(id(parameter)) if len(net.layers) > 1 else None
        rate = recipe.lr_matrices if parameter.ndim >= 2 else recipe.rate
        group = groups.setdefault((layer, rate), {"params": []})
        group["params"].append(parameter)
        group.update(layer=layer, rate=rate, lr=rate)
    if not groups:
        raise ValueError("net has no parameters: expected something to learn")
    return list(groups.values())


def fitted(recipe: Recipe, net: Unrolled) -> Recipe:
    """Return the recipe with what follows from a network, where it was not given.

    Growth is 0.5, or 0 where steps are dear. The gradient is clipped at 1, and a
    training that goes astray goes back, except where few samples decide the error: of
    errors in dB, with more than ``2 m`` atoms, in layers without matrices of their own.
    There ``W^T A`` has eigenvalues far above 1, and a layer whose threshold is too low
    for a sample makes its code grow without end. Such samples are rare, and the only
    ones that raise the threshold: after a step back the next one comes as before. And
    clipped, a batch with one counts no more than any other: where all that is learned
    are numbers, which are the same for every sample, nothing is clipped.
    """
    own = len(net.layers) > 1 and any(p.ndim >= 2 for p in net.layers.parameters())
    dear = own or recipe.steps < 20 * net.depth
    logs = isinstance(recipe.goal, DeepLogNMSE)
    rare = logs and not own and _has_many_atoms(net)
    free = rare and all(p.ndim < 2 for p in net.parameters())
    return replace(
        recipe,
        grow=(0.0 if dear else 0.5) if recipe.grow is None else recipe.grow,
        clip=(math.inf if free else 1.0) if recipe.clip is None else recipe.clip,
        rollback=not rare if recipe.rollback is None else recipe.rollback,
    )


def _has_many_atoms(net: Unrolled) -> bool:
    """Whether there are more atoms than ``2 m``."""
    shape = () if isinstance(net.A, Operator) else net.A.shape
    return len(shape) == 2 and shape[1] > 2 * shape[0]


def grown(step: int, depth: int, recipe: Recipe) -> int:
    """Return how many layers there are at a step, before any there is one."""
    whole = (recipe.grow or 0.0) * recipe.steps
    return depth if step >= whole else max(1, math.ceil(depth * step / whole))


def was_whole(step: int, recipe: Recipe) -> bool:
    """Whether the network of a step had all its layers; only that is gone back to."""
    return recipe.goal.staged or step >= (recipe.grow or 0.0) * recipe.steps


def go_back(net: Unrolled, best: dict, adam: torch.optim.Adam) -> None:
    """Return to the best weights with half the rates and no momentum."""
    net.load_state_dict(best)
    adam.state.clear()
    for group in adam.param_groups:
        group["rate"] *= 0.5


def set_rates(groups: list[dict], step: int, depth: int, recipe: Recipe) -> int:
    """Set the rate of every group; return how many layers this step runs."""
    if not recipe.goal.staged:
        fraction = torch.tensor(step / recipe.steps, dtype=torch.float64)
        factor = 0.5 * (1 + torch.cos(torch.pi * fraction)).item()
        for group in groups:
            group["lr"] = group["rate"] * (factor if recipe.decay else 1.0)
        return grown(step, depth, recipe)
    length = max(recipe.steps // depth, 1)
    stage = min(step // length, depth - 1)  # the newest layer
    third = min(3 * (step - stage * length) // length, 2)
    for group in groups:
        layer = stage if group["layer"] is None else group["layer"]
        factor = (1.0, 0.2, 0.02)[third] * recipe.age_decay ** (stage - layer)
        asleep = layer > stage or (third == 0 and layer < stage)
        group["lr"] = 0.0 if asleep else group["rate"] * factor
    return stage + 1
