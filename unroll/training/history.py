"""What happened during a training, and what there is to say about it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["History", "bar", "is_far_above", "remarks_on"]


@dataclass(frozen=True)
class History:
    """What happened during a training: all of it, not only its best moment.

    That training of unrolled networks is not monotone, in depth or in time, shows in
    the curves of Chen, Chen, Chen, Heaton, Liu, Wang and Yin 2022, JMLR 23 (Open-L2O).

    Example:
        >>> from unroll import ALISTA, Recipe, SparseCoding, train
        >>> problem = SparseCoding.gaussian(20, 40, density=0.2)
        >>> history = train(ALISTA(problem.A, 2), problem, Recipe(steps=4))
        >>> isinstance(history, History), history.checked.tolist()
        (True, [0, 4])

    Args:
        loss: The objective at every step done. Shape ``(steps,)``.
        checked: Steps done at each validation, 0 first. Shape ``(checks,)``.
        validation: What the objective measures of every iterate on the validation set,
            at each validation: NMSE in dB, or the cost of the Lasso. Shape ``(checks,
            iterates)``.
        validation_db: "ratio" NMSE of every iterate on the validation set, at each
            validation; ``x_0 = 0`` has 0 dB. NaN without true codes. Shape ``(checks,
            iterates)``.
        best_step: Step whose weights the network has now: those whose last layer
            measures least in ``validation``.
        best_db: The NMSE then; NaN without true codes.
        samples: Training samples used.
        finished: Whether all steps were done; False after an interrupt, or where
            training died.
        remarks: What a reader of the numbers should know: that no step helped, that the
            end is far worse than the best, that validation samples were trained on.
    """

    loss: Tensor
    checked: Tensor
    validation: Tensor
    validation_db: Tensor
    best_step: int
    best_db: float
    samples: int
    finished: bool
    remarks: tuple[str, ...] = ()

    def plot(self, *, ax: Any = None) -> Any:
        """Draw what the last layer measures over the steps, and the best step.

        Args:
            ax: Axes; None is the current ones.

        Returns:
            The axes.
        """
        from unroll.plot import training_history

        unit = "objective" if self.validation_db.isnan().any() else "NMSE (ratio, dB)"
        values = self.validation if unit == "objective" else self.validation_db
        return training_history(
            self.checked, values[:, -1], self.best_step, unit=unit, ax=ax
        )


def bar(steps: range, progress: bool) -> Iterable[int]:
    """Return the steps, with a bar around them if wanted."""
    if not progress:
        return steps
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    return tqdm(steps, initial=steps.start, total=steps.stop)


def is_far_above(value: float, best: float, first: float, unit: str) -> bool:
    """Whether a measure is 3 dB above the best, or a tenth of all gain, or NaN."""
    gain = max(0.1 * (first - best), 0.01 * abs(first))
    return not value <= best + (3.0 if unit == "dB" else gain)


def remarks_on(measured: Sequence[float], best_step: int, unit: str) -> tuple[str, ...]:
    """Return what the last layer's curve says that its minimum does not."""
    first, last = measured[0], measured[-1]
    best = min((value for value in measured if math.isfinite(value)), default=last)
    if len(measured) > 1 and best_step == 0:
        return (
            f"no step was better than the start, {first:.4g} {unit}: the network is as "
            "it was before; try a smaller lr, or more steps",
        )
    if is_far_above(last, best, first, unit):
        return (
            f"training ended at {last:.4g} {unit}, far above its best, {best:.4g} "
            f"{unit} at step {best_step}, whose weights are kept; try a smaller lr",
        )
    return ()
