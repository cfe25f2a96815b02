"""Audit: copies, closeness, fidelity and coverage of generated rows, and the verdict."""

import sys
from types import ModuleType
from typing import Any

from wasserscore.audit.examine import audit as audit
from wasserscore.audit.halves import SplitHalf as SplitHalf
from wasserscore.audit.halves import split_half as split_half
from wasserscore.audit.report import PRIVACY as PRIVACY
from wasserscore.audit.report import AuditReport as AuditReport
from wasserscore.audit.report import Suspect as Suspect
from wasserscore.audit.watch import Watch as Watch


class _Room(ModuleType):
    """The room bears the name of its function: ``wasserscore.audit(...)`` works on either."""

    def __call__(self, **settings: Any) -> AuditReport:
        return audit(**settings)


# Importing any file of this room binds the module itself as ``wasserscore.audit``, before or
# instead of the lazily loaded function of that name.
sys.modules[__name__].__class__ = _Room
