"""How many bytes autograd holds for the backward pass, and when it lets them go.

Every tensor that autograd saves passes through a pair of hooks. The meter counts each
storage once, however many views of it are saved, leaves out parameters and buffers
(they are there anyway), and notices when a graph is freed. Counts are exact and the
same on every run, unlike the resident memory of a process.
"""

import weakref
from collections import Counter
from collections.abc import Hashable, Iterable

import torch
from torch import Tensor

__all__ = ["SavedTensors"]


class _Held:
    """A tensor that autograd keeps: as long as this lives, so do its bytes."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class SavedTensors:
    """Meter the bytes that autograd saves while the ``with`` block runs.

    Built on ``torch.autograd.graph.saved_tensors_hooks``. What C++ holds outside of
    saved tensors (workspaces, the gradients on their way) is not counted.

    Args:
        exclude: Tensors that are not counted, usually parameters and buffers.

    Attributes:
        now: Bytes held at this moment.
        peak: Most bytes held at one moment.
        peaks: The same for each ``label`` that was set while saving.
        label: Under which name the next saved tensors are counted.

    Example:
        >>> x, w = torch.ones(3, 4), torch.ones(4, requires_grad=True)
        >>> with SavedTensors(exclude=[w]) as meter:
        ...     y = (x * w).sum()  # saves x: 12 floats of 4 bytes
        ...     held = meter.now
        ...     del y
        >>> held, meter.now, meter.peak
        (48, 0, 48)
    """

    def __init__(self, exclude: Iterable[Tensor] = ()) -> None:
        self.label: Hashable = None
        self.now = self.peak = 0
        self.peaks: dict[Hashable, int] = {}
        self._live: dict[Hashable, int] = {}
        self._times: Counter[int] = Counter()  # how often a storage is saved
        self._times_here: Counter[tuple[Hashable, int]] = Counter()  # and per label
        self._excluded = {t.untyped_storage().data_ptr() for t in exclude}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)

    def __enter__(self) -> "SavedTensors":
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)

    def _pack(self, tensor: Tensor) -> _Held:
        held = _Held(tensor.detach())
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._excluded:
            self._add(self.label, storage.data_ptr(), storage.nbytes())
            weakref.finalize(
                held, self._drop, self.label, storage.data_ptr(), storage.nbytes()
            )
        return held

    @staticmethod
    def _unpack(held: _Held) -> Tensor:
        return held.tensor

    def _add(self, label: Hashable, pointer: int, size: int) -> None:
        self._times[pointer] += 1
        if self._times[pointer] == 1:
            self.now += size
            self.peak = max(self.peak, self.now)
        self._times_here[label, pointer] += 1
        if self._times_here[label, pointer] == 1:
            self._live[label] = self._live.get(label, 0) + size
            self.peaks[label] = max(self.peaks.get(label, 0), self._live[label])

    def _drop(self, label: Hashable, pointer: int, size: int) -> None:
        self._times[pointer] -= 1
        if self._times[pointer] == 0:
            self.now -= size
        self._times_here[label, pointer] -= 1
        if self._times_here[label, pointer] == 0:
            self._live[label] -= size
