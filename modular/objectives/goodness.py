"""Forward-Forward: real data should excite a module, wrong data should not."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from modular._checks import check_positive
from modular._modes import evaluating
from modular.objectives.base import Objective, Pred
from modular.partition import Head, Partition

__all__ = ["Goodness", "LengthNorm", "goodness_scores"]


class LengthNorm(nn.Module):
    """Scale every sample to root mean square 1, so that its length is not passed on.

    Without it the next module could read the answer off the length (Hinton 2022,
    section 2). Put it first in every block but the first.

    Example:
        >>> LengthNorm()(torch.tensor([[3.0, 4.0]])).square().mean()
        tensor(1.)
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, h: Tensor) -> Tensor:
        """Return the scaled samples.

        Args:
            h: Features. Shape ``(batch, n)``.

        Returns:
            The same directions. Shape ``(batch, n)``.
        """
        return h / (h.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


@dataclass(frozen=True)
class Goodness(Objective):
    r"""Tell pairs of data and right label from pairs of data and wrong label.

    .. math:: \ell_k = \mathrm{mean}\, \mathrm{softplus}(\theta - G(h_k^+))
              + \mathrm{mean}\, \mathrm{softplus}(G(h_k^-) - \theta),
              \qquad G(h) = \mathrm{mean}_i\, h_i^2

    Hinton 2022, "The Forward-Forward Algorithm", eq. (1) and section 3.3. The label is
    written over the first ``classes`` inputs as a one-hot vector. While training, every
    sample enters three times: with its label, with a label that is never its own, and
    with a neutral one (all entries 1 / classes), from which the last module learns to
    predict as usual. Differs: the mean of squares, not the sum, so that the threshold
    does not depend on the width. Use :class:`LengthNorm` between blocks, and no
    BatchNorm: its statistics would mix right and wrong samples.

    Args:
        theta: Threshold.

    Raises:
        ValueError: If ``theta`` is not positive.

    Example:
        >>> x, y = torch.zeros(2, 5), torch.tensor([0, 2])
        >>> Goodness().enter(x, y, classes=3)[:2]
        tensor([[1., 0., 0., 0., 0.],
                [0., 0., 1., 0., 0.]])
    """

    theta: float = 2.0
    rows = 3
    needs_labels = True

    def __post_init__(self) -> None:
        check_positive("theta", self.theta)

    def enter(
        self,
        x: Tensor,
        target: Tensor,
        classes: int,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the samples with right, wrong and neutral labels, in this order.

        Args:
            x: Data. Shape ``(batch, n)``.
            target: Labels. Shape ``(batch,)``.
            classes: How many there are, at least 2.
            generator: Draws the wrong labels, evenly among the others; None is torch's
                global one.

        Returns:
            Three times as many samples. Shape ``(3 batch, n)``.

        Raises:
            ValueError: If there is no room for the label, or only one class.
        """
        if x.ndim != 2 or x.shape[1] <= classes or classes < 2:
            raise ValueError(
                f"x has shape {tuple(x.shape)} and there are {classes} classes: "
                "expected (batch, n) with n > classes >= 2, because the label is "
                "written over the first inputs"
            )
        shift = torch.randint(1, classes, target.shape, generator=generator)
        wrong = (target + shift.to(target.device)) % classes
        labels = [functional.one_hot(y, classes).to(x.dtype) for y in (target, wrong)]
        marked = [torch.cat([y, x[:, classes:]], dim=1) for y in labels]
        return torch.cat([*marked, self.neutral(x, classes)])

    def neutral(self, x: Tensor, classes: int) -> Tensor:
        """Return the samples with a label that says nothing."""
        label = torch.full_like(x[:, :classes], 1 / classes)
        return torch.cat([label, x[:, classes:]], dim=1)

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the loss; ``h_out`` has three rows per label, see ``enter``."""
        right, wrong, _ = h_out.flatten(1).square().mean(dim=1).chunk(3)
        softplus = functional.softplus
        return softplus(self.theta - right).mean() + softplus(wrong - self.theta).mean()

    def final(self) -> Objective:
        """Return the loss of the scores, for the samples with a neutral label."""
        return _Neutral()


@dataclass(frozen=True)
class _Neutral(Objective):
    """Cross-entropy on the last third of the rows."""

    rows = 3
    predicts = True
    needs_labels = True

    def __call__(
        self, h_in: Tensor, h_out: Tensor, head: Head, target: Tensor
    ) -> Tensor:
        """Return the loss."""
        return Pred()(h_in, h_out.chunk(3)[2], head, target)


@torch.no_grad()
def goodness_scores(partition: Partition, x: Tensor) -> Tensor:
    """Score every label by the goodness it arouses, module 0 left out.

    Hinton 2022, section 3.3: the label with the highest sum over hidden modules is the
    prediction. Module 0 sees the label itself, so that it is not asked.

    Args:
        partition: Trained by :class:`Goodness`, with at least three blocks.
        x: Data. Shape ``(batch, n)``.

    Returns:
        Summed goodness per label. Shape ``(batch, classes)``.

    Example:
        >>> layers = [nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 3)]
        >>> partition = Partition(layers, 3, sample=torch.zeros(1, 5))
        >>> goodness_scores(partition, torch.zeros(2, 5)).shape
        torch.Size([2, 3])
    """
    scores, pixels = [], x[:, partition.classes :]
    with evaluating(partition):
        for one_hot in torch.eye(partition.classes, dtype=x.dtype, device=x.device):
            label = one_hot.expand(len(x), -1)
            states = partition.states(torch.cat([label, pixels], dim=1))
            hidden = [h.square().mean(dim=1) for _, h in states[1:-1]]
            scores.append(torch.stack(hidden).sum(dim=0))
    return torch.stack(scores, dim=1)
