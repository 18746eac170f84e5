"""What a module does next: the words that schedules are made of.

=========== ======================================================================
forward     take ``h_in``, compute ``h_out``, hand it on; compute the local loss
pass        pull the gradient of a loss from ``h_out`` back to ``h_in``, send it on
take        pull it into the parameters and let the module's optimiser step
backward    both at once, in one sweep: cheaper, but whoever waits waits longer
learn       take what came back, to guess better: synthetic gradients only
exchange    take what both neighbours found, to move the stored states: lifted only
=========== ======================================================================
"""

from dataclasses import dataclass

__all__ = ["Event"]


@dataclass(frozen=True)
class Event:
    """One thing that one module does in one step.

    Args:
        kind: ``"forward"``, ``"pass"``, ``"take"``, ``"backward"``, ``"learn"`` or
            ``"exchange"``.
        module: Who does it.
        loss: Whose gradient it is about; in a forward event the module's own.
        learns: In a forward event: whether the module is trained in this step. If not,
            it runs in evaluation mode and keeps nothing.
        scored: In a forward event: whether its local loss is computed.
        passes: In a forward event: whether the gradient of ``h_in`` will be asked for.
        stored: In a forward event: whether ``h_in`` is a state that the module keeps,
            so that nothing is waited for.
        sends: In a forward event: whether ``h_out`` is handed on.
    """

    kind: str
    module: int
    loss: int
    learns: bool = True
    scored: bool = True
    passes: bool = False
    stored: bool = False
    sends: bool = True
