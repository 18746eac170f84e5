"""A small network learns from what a large one says, and not from labels only."""

from torch import Tensor
from torch.nn.functional import kl_div

from modular._checks import check_positive

__all__ = ["distill"]


def distill(student: Tensor, teacher: Tensor, temperature: float = 4.0) -> Tensor:
    r"""Measure how far the student's softened guesses are from the teacher's.

    .. math:: L = T^2\, \mathrm{KL}\bigl(\operatorname{softmax}(z_t / T) \,\|\,
              \operatorname{softmax}(z_s / T)\bigr)

    averaged over samples. ``T^2`` keeps the size of the gradient: for large ``T`` it
    becomes that of matching centred logits, ``(z_s - z_t) / C``. Nothing flows to the
    teacher. Hinton, Vinyals and Dean 2015 (arXiv 1503.02531), sections 2 and 2.1.

    Args:
        student: Logits. Shape ``(batch, classes)``.
        teacher: Logits. Shape ``(batch, classes)``.
        temperature: ``T``, positive.

    Returns:
        The loss. Shape ``()``.

    Raises:
        ValueError: If ``temperature`` is not positive, or shapes differ.

    Example:
        >>> import torch
        >>> z = torch.tensor([[2.0, 0.0]])
        >>> distill(z, z), distill(-z, z) > 1
        (tensor(0.), tensor(True))
    """
    check_positive("temperature", temperature)
    if student.shape != teacher.shape or student.ndim != 2:
        raise ValueError(
            f"student has shape {tuple(student.shape)} and teacher "
            f"{tuple(teacher.shape)}: expected (batch, classes) for both"
        )
    said = (student / temperature).log_softmax(1)
    wanted = (teacher.detach() / temperature).log_softmax(1)
    divergence = kl_div(said, wanted, reduction="batchmean", log_target=True)
    return temperature**2 * divergence
