r"""Training that does not collapse: fresh samples, an error in dB per layer, Adam.

A threshold above every entry makes the code zero, and with it every gradient: nothing
revives such a network, so all of them start at ISTA with a moderate ``lam``, and a
start that is dead for the data is refused. And the squared error of the last layer says
little to the first ones: asking every layer for its error in dB, a layer that is 40 dB
down counts as much as the first.
"""

import os
import warnings
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from unroll.metrics import nmse_db
from unroll.networks.base import Unrolled
from unroll.training import checkpoint as files
from unroll.training import sources
from unroll.training.history import History, bar, is_far_above, remarks_on
from unroll.training.objectives import Objective, as_rows
from unroll.training.recipe import (
    Recipe,
    fitted,
    go_back,
    parameter_groups,
    set_rates,
    was_whole,
)
from unroll.training.sources import Batch, Source
from unroll.training.troubles import (
    accidents,
    in_validation,
    is_dead,
    refuse_dead_start,
    refuse_overflow,
)

__all__ = ["train"]

_COUNTS = ("step", "samples", "leaks", "rollbacks", "losses", "checks")
_KEPT = (*_COUNTS, "best", "best_step", "best_value")
_STATE = (*_KEPT, "origin", "net", "adam", "generator")


def train(  # noqa: PLR0913 - what every training needs, in one call
    net: Unrolled,
    problem: Any,
    recipe: Recipe | None = None,
    *,
    objective: str | Objective | None = None,
    validation: Any = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike | None = None,
) -> History:
    """Train a network in place; it ends with its best weights.

    Samples are fresh ones of a problem, batches of tensors, or those of a DataLoader.
    An interrupt (Ctrl-C, or the kernel's stop button) ends the training early: the
    network has the best weights so far, and the history says so. With ``checkpoint``
    the same call made again, on a new network and a new generator of any seed, goes on
    from the last checkpoint: losses and final weights are those of an unbroken run, bit
    for bit. What a reader must know is in ``history.remarks``, and a warning. The
    optimiser is Adam (Kingma and Ba 2015, ICLR), with rates by layer and by kind of
    parameter; fresh samples at every step follow Chen, Liu, Wang and Yin 2018.

    Args:
        net: Network.
        problem: Source of samples, one a row, or images: ``problem.sample(batch,
            generator)`` returns ``b`` and ``x``; or tensors ``(b, x)``, a fifth of
            which is held out to validate with; or an iterable of batches of them, as a
            DataLoader, the first of which is held out and taken out of later ones; or
            ``b`` alone if the objective needs no codes.
        recipe: How to train; None is ``Recipe()``.
        objective: What to minimise; None is the recipe's.
        validation: Samples to validate with, ``(b, x)`` or ``b``; None holds some of
            the problem out.
        generator: Source of randomness, on the device of the samples; None is seeded
            from torch's global one.
        progress: Whether to show a bar.
        checkpoint: File to go on from, if it exists, and to keep up to date.

    Returns:
        Losses and errors along the way, as :class:`History`.

    Raises:
        FloatingPointError: If the loss or a gradient is NaN or infinite; names the step
            and the layer.
        RuntimeError: If gradients are off.
        TypeError: If the samples are of a kind or dtype that cannot be used.
        ValueError: If ``checkpoint`` was written for another recipe, network or
            problem, or cannot be resumed; if samples are not finite, do not fit or lack
            codes; or if no gradient reaches the network at its start.

    Example:
        >>> from unroll import ALISTA, SparseCoding
        >>> generator = torch.Generator().manual_seed(0)
        >>> problem = SparseCoding.gaussian(25, 50, generator, density=0.05)
        >>> net = ALISTA(problem.A, depth=4)
        >>> history = train(net, problem, Recipe(steps=60), generator=generator)
        >>> bool(history.validation_db[0, -1] > -10), history.best_db < -10
        (True, True)
    """
    recipe = fitted(Recipe() if recipe is None else recipe, net)
    if objective is not None:
        recipe = replace(recipe, objective=objective)
    if generator is None:
        seed = int(torch.randint(2**62, ()))
        generator = torch.Generator(sources.device_of(net)).manual_seed(seed)
    source = sources.source_of(problem)
    path = None if checkpoint is None else files.checked_path(checkpoint, source)
    run = _Run(net, source, recipe, generator, validation)
    if path is not None and path.exists():
        run.load(path)
    try:
        for _ in bar(range(run.step, recipe.steps), progress):
            alive = run.advance()
            if not alive or run.step % recipe.every == 0 or run.step == recipe.steps:
                run.validate()
                if path is not None:
                    run.save(path)
            if not alive:
                break
    except KeyboardInterrupt:
        pass  # what there is, is returned
    history = run.finish()
    for remark in history.remarks:
        warnings.warn(remark, stacklevel=2)
    return history


class _Run:
    """The state of one training: all that a checkpoint holds."""

    def __init__(
        self,
        net: Unrolled,
        source: Source,
        recipe: Recipe,
        generator: torch.Generator,
        validation: Any,
    ) -> None:
        self.net, self.source, self.recipe = net, source, recipe
        self.goal, self.validation = recipe.goal, validation
        self.unit = "dB" if self.goal.needs_codes else "of the objective"
        self.generator, self.origin = generator, generator.get_state()
        self.groups = parameter_groups(net, recipe)
        self.adam = torch.optim.Adam(self.groups)
        self.step, self.samples, self.dead = 0, 0, False
        self.leaks, self.rollbacks = 0, 0
        self.losses: list[float] = []
        self.checks: list[tuple[int, list[float], list[float]]] = []
        self.best_step, self.best, self.best_value = 0, _copy(net), float("inf")
        self.held_out = self._hold_out()
        self.validate()

    def advance(self) -> bool:
        """Do one step; return whether there is anything left to learn."""
        recipe = self.recipe
        stage = set_rates(self.groups, self.step, self.net.depth, recipe)
        found = self.source.batch(recipe.batch, self.generator)
        b, x = self._checked(found, f"the batch of step {self.step}")
        if self.step < recipe.every:
            self.leaks += in_validation(b, self.held_out[0])
        iterates = self.net.iterates(b, depth=stage)
        loss = self.goal.loss(self.net, iterates, b, x)
        if not loss.isfinite():
            refuse_overflow(self.net, recipe, self.step, ("loss", loss), iterates)
        self.adam.zero_grad()
        loss.backward()
        norm = nn.utils.get_total_norm(
            [p.grad for p in self.net.parameters() if p.grad is not None]
        )
        if not norm.isfinite():
            refuse_overflow(self.net, recipe, self.step, ("gradient", norm), iterates)
        if is_dead(norm, iterates):
            if self.step == 0:
                refuse_dead_start(self.net, b)
            self._count(loss, b)
            self.dead = not self._revive()
            return not self.dead
        if recipe.clip is not None:
            nn.utils.clip_grads_with_norm_(self.net.parameters(), recipe.clip, norm)
        self.adam.step()
        self._count(loss, b)
        return True

    def _count(self, loss: Tensor, b: Tensor) -> None:
        """Note a step."""
        self.losses.append(loss.item())
        self.samples += len(b)
        self.step += 1

    def _revive(self) -> bool:
        """Go back to the best weights; return False where that is not wanted."""
        if not self.recipe.rollback or self.goal.staged:
            return False
        go_back(self.net, self.best, self.adam)
        self.rollbacks += 1
        return True

    @torch.no_grad()
    def validate(self) -> None:
        """Measure every layer on the validation set; remember the best weights."""
        b, x = self.held_out
        iterates = self.net.iterates(b)
        values = self.goal.measure(self.net, iterates, b, x).tolist()
        if self.step == 0 and not iterates.isfinite().all():
            start = ("loss", iterates.sum())
            refuse_overflow(self.net, self.recipe, 0, start, iterates)
        unknown = x is None or not x.any()
        errors = [float("nan")] * len(values)
        if x is not None and not unknown:
            errors = nmse_db(*as_rows(iterates, x)).tolist()
        if values[-1] < self.best_value:
            self.best_step, self.best = self.step, _copy(self.net)
            self.best_value = values[-1]
        self.checks.append((self.step, values, errors))
        first = self.checks[0][1][-1]
        astray = is_far_above(values[-1], self.best_value, first, self.unit)
        if astray and not self.dead and was_whole(self.best_step, self.recipe):
            self._revive()

    def save(self, path: Path) -> None:
        """Write the state."""
        state = {name: getattr(self, name) for name in (*_KEPT, "origin")}
        state |= {
            "recipe": files.settled(self.recipe),
            "net": self.net.state_dict(),
            "adam": self.adam.state_dict(),
            "generator": self.generator.get_state(),
        }
        files.write(path, state, self.held_out)

    def load(self, path: Path) -> None:
        """Go back to what :meth:`save` wrote, or refuse it and change nothing."""
        state = files.read(path, self.recipe, sources.device_of(self.net), _STATE)
        files.refuse_another_network(self.net, state["net"])
        now = self.generator.get_state()
        self.generator.set_state(state["origin"].cpu())
        self.held_out = self._hold_out()
        try:
            files.refuse_other_samples(state["held_out"], self.held_out)
        except ValueError:
            self.generator.set_state(now)
            raise
        self.net.load_state_dict(state["net"])
        self.adam.load_state_dict(state["adam"])
        self.groups = self.adam.param_groups
        self.origin = state["origin"].cpu()
        self.generator.set_state(state["generator"].cpu())
        for name in _KEPT:
            setattr(self, name, state[name])

    def finish(self) -> History:
        """Put the best weights into the network and tell the story."""
        self.net.load_state_dict(self.best)
        steps, values, errors = zip(*self.checks, strict=True)
        errors_db = torch.tensor(errors)
        best = steps.index(self.best_step)
        last = [value[-1] for value in values]
        return History(
            loss=torch.tensor(self.losses),
            checked=torch.tensor(steps),
            validation=torch.tensor(values),
            validation_db=errors_db,
            best_step=self.best_step,
            best_db=errors_db[best, -1].item(),
            samples=self.samples,
            finished=self.step == self.recipe.steps,
            remarks=remarks_on(last, self.best_step, self.unit) + self._accidents(),
        )

    def _hold_out(self) -> Batch:
        """Return the samples to validate with: the user's, or some of the problem."""
        if self.validation is None:
            count = self.recipe.validation
            found = self.source.hold_out(count, self.generator)
        else:
            found = sources.pair_of("validation", self.validation)
        return self._checked(found, "the samples to validate with")

    def _checked(self, found: Batch, where: str) -> Batch:
        """Return samples that fit the network and the objective, or refuse them."""
        return sources.checked_batch(found, self.net.A, where, self.goal.needs_codes)

    def _accidents(self) -> tuple[str, ...]:
        """Return remarks that the curve does not tell."""
        return accidents(self.leaks, self.rollbacks, self.step if self.dead else None)


def _copy(net: nn.Module) -> dict:
    """Return the weights of now, safe from the training to come."""
    return deepcopy(net.state_dict())
