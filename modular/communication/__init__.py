"""Large batches, and messages that weigh little.

``P`` workers hold the same model, each its own share of a batch. Every step they
average their gradients: one number for each parameter and worker. Three ways to spend
less on it are here. Larger batches take fewer steps, as long as the noise of the
gradient is larger than the gradient (``noise_scale``), and with a step for each layer
that follows the size of its weights (``LARS``, ``LAMB``); ``torch.optim.lr_scheduler.
LinearLR`` warms up. A ``Compressor`` makes a message smaller, ``ErrorFeedback`` sends
later what it left out, and ``Exchange`` hangs both into ``DistributedDataParallel``.
``LocalSGD`` lets the workers go alone for some steps.

>>> import torch
>>> from modular.communication import ErrorFeedback, TopK
>>> compress = ErrorFeedback(TopK(0.25))
>>> g = torch.tensor([4.0, 1.0, -3.0, 0.5])
>>> compress(g), compress(g)  # what was left out comes with the next
(tensor([4., 0., 0., 0.]), tensor([ 0.,  0., -6.,  0.]))
"""

from modular.communication.exchange import Exchange
from modular.communication.feedback import ErrorFeedback
from modular.communication.lamb import LAMB
from modular.communication.lars import LARS
from modular.communication.local_sgd import LocalSGD
from modular.communication.qsgd import QSGD
from modular.communication.random_k import RandomK
from modular.communication.scaling import linear_rate, noise_scale, root_rate
from modular.communication.sign import Sign
from modular.communication.terngrad import TernGrad
from modular.communication.top_k import TopK

__all__ = [
    # a message made smaller
    "QSGD",
    "RandomK",
    "Sign",
    "TernGrad",
    "TopK",
    # what carries it
    "ErrorFeedback",
    "Exchange",
    "LocalSGD",
    # large batches
    "LAMB",
    "LARS",
    "linear_rate",
    "noise_scale",
    "root_rate",
]
