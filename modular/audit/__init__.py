"""Certificates and meters that hold for any method: measured, then compared."""

from modular.audit.features import alignment, probe
from modular.audit.isolation import Isolation, isolation
from modular.audit.locking import Locking, Timeline, locking, timeline
from modular.audit.memory import Memory, memory
from modular.audit.report import report

__all__ = [
    "Isolation",
    "Locking",
    "Memory",
    "Timeline",
    "alignment",
    "isolation",
    "locking",
    "memory",
    "probe",
    "report",
    "timeline",
]
