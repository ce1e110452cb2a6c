"""How often does what run? Celery beat, ``lazyauth_worker`` and the overview read it here.

Imported by ``tasks``, which a host imports before the apps are loaded. So this module imports nothing of Django.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Job:
    """One periodic job.

    Attributes:
        every: Time between two runs.
        overdue: Time after which operators are told that it should have run. Much longer than ``every``: a cron may be
            slower.
    """

    name: str
    every: timedelta
    overdue: timedelta


SWEEP: Final = Job("sweep", every=timedelta(minutes=5), overdue=timedelta(hours=1))
#: Each provider is fetched when its own ``max-age`` has passed.
KEYS: Final = Job("refresh_provider_keys", every=timedelta(minutes=15), overdue=timedelta(days=1))
LOGOUTS: Final = Job("deliver_logouts", every=timedelta(seconds=30), overdue=timedelta(hours=1))
JOBS: Final = (SWEEP, KEYS, LOGOUTS)
