"""Several small numbers in one byte, so that a message is as short as it claims."""

import torch
from torch import Tensor


def bits_for(values: int) -> int:
    """Return how many bits, a divisor of 8, tell so many values apart."""
    return next(bits for bits in (1, 2, 4, 8) if values <= 2**bits)


def pack(codes: Tensor, bits: int) -> Tensor:
    """Put ``8 // bits`` codes into each byte.

    Args:
        codes: Integers from 0 to ``2 ** bits - 1``. Shape ``(d,)``.
        bits: 1, 2, 4 or 8.

    Returns:
        Bytes, the last one filled with zeros. Shape ``(ceil(d * bits / 8),)``.
    """
    each = 8 // bits
    codes = torch.nn.functional.pad(codes.to(torch.uint8), (0, -len(codes) % each))
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=codes.device)
    return (codes.view(-1, each) << shifts).sum(dim=1, dtype=torch.uint8)


def unpack(packed: Tensor, bits: int, size: int) -> Tensor:
    """Take the codes out of the bytes again.

    Args:
        packed: From :func:`pack`. Shape ``(ceil(size * bits / 8),)``.
        bits: As given to it.
        size: How many codes there are.

    Returns:
        The codes. Shape ``(size,)``.
    """
    shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=packed.device)
    codes = (packed[:, None] >> shifts) & (2**bits - 1)
    return codes.flatten()[:size]
