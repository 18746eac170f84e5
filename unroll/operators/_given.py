"""What operators refuse: another shape, no batch, another dtype than their own."""

from torch import Tensor


def check_given(
    name: str, value: Tensor, shape: tuple[int, ...], like: Tensor | None = None
) -> None:
    """Refuse what is no batch of tensors of a shape, or not of the dtype of a buffer.

    A real buffer acts on complex tensors of its precision.
    """
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(f"{name} is of type {kind}: expected a torch.Tensor")
    if not (value.is_floating_point() or value.is_complex()):
        raise TypeError(
            f"{name} has dtype {value.dtype}: expected a floating-point or complex one"
        )
    if value.ndim <= len(shape) or value.shape[-len(shape) :] != shape:
        wanted = ", ".join(map(str, shape))
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}: expected (batch, ..., {wanted})"
        )
    if like is not None and value.dtype not in (like.dtype, like.dtype.to_complex()):
        raise TypeError(
            f"{name} has dtype {value.dtype} but the operator has {like.dtype}: "
            "expected the same dtype"
        )


def checked_size(size: tuple[int, ...]) -> tuple[int, int]:
    """Return height and width of images as ints, or refuse them."""
    if len(size) != 2 or any(
        isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in size
    ):
        raise ValueError(f"size is {size}: expected (height, width), positive ints")
    height, width = size
    return height, width


def check_constant_numbers(name: str, value: Tensor) -> None:
    """Refuse buffers with NaN or infinite entries, or that ask for gradients."""
    if not isinstance(value, Tensor):
        kind = type(value).__name__
        raise TypeError(f"{name} is of type {kind}: expected a torch.Tensor")
    if not (value.is_floating_point() or value.is_complex()):
        raise TypeError(
            f"{name} has dtype {value.dtype}: expected a floating-point or complex one"
        )
    if value.requires_grad:
        raise ValueError(
            f"{name} requires gradients but is kept as a constant: expected "
            f"{name}.detach()"
        )
    if not value.isfinite().all():
        raise ValueError(f"{name} has entries that are not finite")
