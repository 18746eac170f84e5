"""One loop for every method: a schedule says what each module does next."""

from modular.training.history import History
from modular.training.method import Locks, Method
from modular.training.options import Options, accuracy
from modular.training.step import Step
from modular.training.trainer import Trainer
from modular.training.worker import Worker

__all__ = [
    "History",
    "Locks",
    "Method",
    "Options",
    "Step",
    "Trainer",
    "Worker",
    "accuracy",
]
