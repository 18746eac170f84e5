"""The schedules of torch, read from what they print."""

import re
from collections.abc import Mapping, Sequence

from modular._checks import check_kind
from modular.pipeline.schedule import Op, Schedule

__all__ = ["from_torch"]

_KINDS = {"F": "forward", "B": "backward", "I": "input", "W": "weight"}
_OTHERS = "SEND_F|RECV_F|SEND_B|RECV_B|UNSHARD|RESHARD|REDUCE_GRAD"
_ACTION = re.compile(rf"(\d+)({_OTHERS}|[{''.join(_KINDS)}])(\d*)")


def from_torch(
    order: Mapping[int, Sequence[object]] | Sequence[Sequence[object]],
) -> Schedule:
    """Read a schedule of ``torch.distributed.pipelining``.

    Give it ``schedule.pipeline_order``, or rows of the file that a schedule's
    ``_dump_csv`` writes. What is read is the text of an action, such as ``"2F0"``: its
    classes are private and change. Messages are left out, they follow from the order;
    overlapped actions count one after the other. Read, not checked: see :func:`check`.

    Source: Qi, Wan, Huang and Lin 2024, DeepSeek-AI 2024 and others, as torch has them.

    Args:
        order: What each rank does; None or an empty text is a rest.

    Returns:
        The same as :class:`Schedule`.

    Raises:
        ValueError: If an action is none of torch's.

    Example:
        >>> schedule = from_torch([["0F0", None, None, "0B0"], [None, "1F0", "1B0"]])
        >>> print(schedule[1][1])
        backward of stage 1, micro-batch 0
    """
    rows = order if isinstance(order, Mapping) else dict(enumerate(order))
    ops: dict[int, list[Op]] = {}
    for rank, row in rows.items():
        check_kind(f"order[{rank}]", row, Sequence, " of actions")
        ops[rank] = []
        for action in row:
            text = "" if action is None else str(action)
            found = _ACTION.findall(text)
            if text and not found:
                raise ValueError(f"order[{rank}] has {text!r}: expected such as '2F0'")
            ops[rank] += [
                Op(_KINDS[kind], 0, int(stage), int(micro))
                for stage, kind, micro in found
                if kind in _KINDS
            ]
    return Schedule.of(ops)
