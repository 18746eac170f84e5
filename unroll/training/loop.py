r"""Training that does not collapse: fresh samples, an error in dB per layer, Adam.

A threshold above every entry makes the code zero, and with it every gradient: nothing
revives such a network, so all of them start at ISTA with a moderate ``lam``. And the
squared error of the last layer says little to the first ones: asking every layer for
its error in dB, a layer that is 40 dB down counts as much as the first.
"""

import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from unroll.metrics import nmse_db
from unroll.networks.base import Unrolled
from unroll.training.recipe import Recipe, objective_of, parameter_groups, set_rates

__all__ = ["History", "train"]


class Problem(Protocol):
    """Where samples come from: :class:`~unroll.problems.SparseCoding`, or your own."""

    def sample(
        self, batch: int, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return measurements ``(batch, m)`` and true codes ``(batch, n)``."""


@dataclass(frozen=True)
class History:
    """What happened during a training.

    Args:
        loss: The objective at every step done. Shape ``(steps,)``.
        checked: Steps done at each validation, 0 first. Shape ``(checks,)``.
        validation_db: "ratio" NMSE of every iterate on the validation set, at each
            validation; ``x_0 = 0`` has 0 dB. Shape ``(checks, iterates)``.
        best_step: Step whose weights the network has now: those with the least error of
            the last layer.
        best_db: That error.
        samples: Training samples used.
        finished: Whether all steps were done; False after an interrupt.
    """

    loss: Tensor
    checked: Tensor
    validation_db: Tensor
    best_step: int
    best_db: float
    samples: int
    finished: bool


def train(
    net: Unrolled,
    problem: Problem,
    recipe: Recipe | None = None,
    *,
    generator: torch.Generator | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike | None = None,
) -> History:
    """Train a network on fresh samples, in place; it ends with its best weights.

    An interrupt (Ctrl-C, or the kernel's stop button) ends the training early: the
    network has the best weights so far, and the history says so. With ``checkpoint``
    the same call made again, on a new network and a new generator of any seed, goes on
    from the last
    checkpoint: losses and final weights are those of an unbroken run, bit for bit.
    The optimiser is Adam (Kingma and Ba 2015, ICLR), with rates by layer and by kind of
    parameter; fresh samples at every step follow Chen, Liu, Wang and Yin 2018.

    Args:
        net: Network.
        problem: Source of samples: ``problem.sample(batch, generator)`` returns ``b``
            and ``x``.
        recipe: How to train; None is ``Recipe()``.
        generator: Source of randomness, on the device of the samples; None is seeded
            from torch's global one.
        progress: Whether to show a bar.
        checkpoint: File to go on from, if it exists, and to keep up to date.

    Returns:
        Losses and errors along the way, as :class:`History`.

    Raises:
        FloatingPointError: If the loss or a gradient is NaN or infinite; names the step
            and the layer.
        ValueError: If ``checkpoint`` was written by another recipe.

    Example:
        >>> from unroll import ALISTA, SparseCoding
        >>> generator = torch.Generator().manual_seed(0)
        >>> problem = SparseCoding.gaussian(25, 50, generator, density=0.05)
        >>> net = ALISTA(problem.A, depth=4)
        >>> history = train(net, problem, Recipe(steps=60), generator=generator)
        >>> bool(history.validation_db[0, -1] > -10), history.best_db < -10
        (True, True)
    """
    recipe = Recipe() if recipe is None else recipe
    if generator is None:
        seed = int(torch.randint(2**62, ()))
        generator = torch.Generator(net.A.device).manual_seed(seed)
    run = _Run(net, problem, recipe, generator)
    if checkpoint is not None and Path(checkpoint).exists():
        run.load(Path(checkpoint))
    try:
        for _ in _bar(range(run.step, recipe.steps), progress):
            run.advance()
            if run.step % recipe.every == 0 or run.step == recipe.steps:
                run.validate()
                if checkpoint is not None:
                    run.save(Path(checkpoint))
    except KeyboardInterrupt:
        pass  # what there is, is returned
    return run.finish()


class _Run:
    """The state of one training: all that a checkpoint holds."""

    def __init__(
        self,
        net: Unrolled,
        problem: Problem,
        recipe: Recipe,
        generator: torch.Generator,
    ) -> None:
        self.net, self.problem, self.recipe = net, problem, recipe
        self.generator, self.origin = generator, generator.get_state()
        self.groups = parameter_groups(net, recipe)
        self.adam = torch.optim.Adam(self.groups)
        self.step, self.losses, self.checks = 0, [], []
        self.held_out = problem.sample(recipe.validation, generator)
        self.best_step, self.best = 0, _copy(net)
        self.validate()

    def advance(self) -> None:
        """Do one step."""
        stage = set_rates(self.groups, self.step, self.net.depth, self.recipe)
        b, x = self.problem.sample(self.recipe.batch, self.generator)
        iterates = self.net.iterates(b, depth=stage)
        loss = objective_of(iterates, x, self.recipe.objective)
        if not loss.isfinite():
            self._refuse("loss", loss.item(), iterates)
        self.adam.zero_grad()
        loss.backward()
        norm = nn.utils.get_total_norm(
            [p.grad for p in self.net.parameters() if p.grad is not None]
        )
        if not norm.isfinite():
            self._refuse("gradient", norm.item(), iterates)
        if self.recipe.clip is not None:
            nn.utils.clip_grads_with_norm_(
                self.net.parameters(), self.recipe.clip, norm
            )
        self.adam.step()
        self.losses.append(loss.item())
        self.step += 1

    @torch.no_grad()
    def validate(self) -> None:
        """Measure every layer on the validation set; remember the best weights."""
        b, x = self.held_out
        errors = nmse_db(self.net.iterates(b), x).tolist()
        if not self.checks or errors[-1] < self.best_db:
            self.best_step, self.best = self.step, _copy(self.net)
            self.best_db = errors[-1]
        self.checks.append((self.step, errors))

    def save(self, path: Path) -> None:
        """Write the state; a half-written file never takes the place of a whole one."""
        state = {
            "recipe": asdict(self.recipe),
            "net": self.net.state_dict(),
            "adam": self.adam.state_dict(),
            "generator": self.generator.get_state(),
            "origin": self.origin,
            "step": self.step,
            "losses": self.losses,
            "checks": self.checks,
            "best": self.best,
            "best_step": self.best_step,
            "best_db": self.best_db,
        }
        part = path.with_name(path.name + ".part")
        torch.save(state, part)
        os.replace(part, path)

    def load(self, path: Path) -> None:
        """Go back to what :meth:`save` wrote."""
        state = torch.load(path, weights_only=True, map_location=self.net.A.device)
        for name, value in asdict(self.recipe).items():
            saved = state["recipe"].get(name)
            if saved != value:
                raise ValueError(
                    f"checkpoint has {name} = {saved!r} but the recipe {value!r}: "
                    "expected the same recipe, or another file"
                )
        self.net.load_state_dict(state["net"])
        self.adam.load_state_dict(state["adam"])
        self.groups = self.adam.param_groups
        self.generator.set_state(state["origin"].cpu())
        self.origin = state["origin"].cpu()
        self.held_out = self.problem.sample(self.recipe.validation, self.generator)
        self.generator.set_state(state["generator"].cpu())
        for name in ("step", "losses", "checks", "best", "best_step", "best_db"):
            setattr(self, name, state[name])

    def finish(self) -> History:
        """Put the best weights into the network and tell the story."""
        self.net.load_state_dict(self.best)
        return History(
            loss=torch.tensor(self.losses),
            checked=torch.tensor([step for step, _ in self.checks]),
            validation_db=torch.tensor([errors for _, errors in self.checks]),
            best_step=self.best_step,
            best_db=self.best_db,
            samples=self.step * self.recipe.batch,
            finished=self.step == self.recipe.steps,
        )

    def _refuse(self, what: str, value: float, iterates: Tensor) -> None:
        """Stop the training, naming the layer at fault."""
        finite = iterates.isfinite().all(dim=2).all(dim=1)
        if not finite.all():
            where = f"layer {int((~finite).nonzero()[0])} is the first to overflow"
        else:
            names = [
                name
                for name, p in self.net.named_parameters()
                if p.grad is not None and not p.grad.isfinite().all()
            ]
            where = f"first in {names[0]}" if names else "all layers are finite"
        raise FloatingPointError(
            f"{what} is {value} at step {self.step}: {where}; try clip=1, a smaller lr "
            f"or lr_matrices (now {self.recipe.lr:g}, {self.recipe.lr_matrices:g})"
        )


def _copy(net: nn.Module) -> dict:
    """Return the weights of now, safe from the training to come."""
    return deepcopy(net.state_dict())


def _bar(steps: range, progress: bool) -> Iterator[int] | range:
    """Return the steps, with a bar around them if wanted."""
    if not progress:
        return steps
    from tqdm.auto import tqdm  # only where a bar is shown

    return tqdm(steps, initial=steps.start, total=steps.stop)
