"""Every check of an ID token costs little more than its RS256 signature alone."""

from functools import partial

from .harness import Claim
from .verification import BATCH, pipeline_sides

CLAIM = Claim(
    f"{BATCH} ID tokens verified, RS256, beside {BATCH} bare signature checks",
    bound=12,
    sides=partial(pipeline_sides, "RS256"),
)
