"""The compressor of the paper: predicted from neighbours, within a bound."""

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modular._checks import check_positive
from modular.memory.codec import Codec

__all__ = ["SZ3"]

_KINDS = {torch.float32: np.float32, torch.float64: np.float64}


@dataclass(frozen=True)
class _Kept:
    numbers: np.ndarray
    signs: bytes
    like: Tensor  # of no size: dtype and device
    shape: torch.Size


class SZ3(Codec):
    """Remember each number to within ``bound`` by SZ3, zeros and signs beside it.

    SZ3 predicts each number from its neighbours and codes what is left:
    Liang et al. 2022 (arXiv 2111.02925). By itself it moves zeros off zero; so signs
    are kept, too, and what came back with a wrong one is half the bound. The compressor
    of Jin et al. 2021 (arXiv 2111.09562), who keep zeros by a filter. It runs on the
    CPU, by the package ``pysz``.

    Args:
        bound: The largest error, positive.

    Raises:
        ImportError: If ``pysz`` is not installed.
        ValueError: If ``bound`` is not positive.

    Example:
        >>> import torch
        >>> x = torch.linspace(-1, 1, 1001).relu()
        >>> codec = SZ3(0.01)
        >>> codec.count(codec.encode(x)) < 400
        True
    """

    def __init__(self, bound: float) -> None:
        check_positive("bound", bound)
        try:
            import pysz
        except ImportError as error:
            raise ImportError("SZ3 needs pysz: pip install pysz") from error
        self.bound, self._pysz = bound, pysz

    def _encode(self, x: Tensor) -> _Kept:
        if x.dtype not in _KINDS:
            raise ValueError(f"x has dtype {x.dtype}: SZ3 expects float32 or float64")
        if not x.numel():
            raise ValueError("x is empty: SZ3 expects numbers")
        flat = x.detach().cpu().contiguous().numpy()
        plan = self._pysz.szConfig()
        plan.errorBoundMode = self._pysz.szErrorBoundMode.ABS
        plan.absErrorBound = self.bound
        packed, _ = self._pysz.sz.compress(flat.reshape(-1), plan)
        signs = zlib.compress(np.sign(flat).astype(np.int8).tobytes(), 1)
        return _Kept(packed, signs, x.new_empty(0), x.shape)

    def decode(self, kept: _Kept) -> Tensor:
        """Return the activation as it is remembered.

        Args:
            kept: From ``encode``.

        Returns:
            The activation. Shape ``(...)``.
        """
        kind, count = _KINDS[kept.like.dtype], (kept.shape.numel(),)
        found, _ = self._pysz.sz.decompress(kept.numbers, kind, count)
        sign = np.frombuffer(zlib.decompress(kept.signs), dtype=np.int8)
        size = np.where(found * sign > 0, found * sign, self.bound / 2)
        x = torch.from_numpy((sign * size).astype(kind))
        return x.to(kept.like).view(kept.shape)

    def count(self, kept: _Kept) -> int:
        """Count the bytes that are kept.

        Args:
            kept: From ``encode``.

        Returns:
            Bytes.
        """
        return kept.numbers.nbytes + len(kept.signs)
