"""Every check of an ID token costs little more than its ES256 signature alone."""

from functools import partial

from .harness import Claim
from .verification import BATCH, pipeline_sides

CLAIM = Claim(
    f"{BATCH} ID tokens verified, ES256, beside {BATCH} bare signature checks",
    bound=4,
    sides=partial(pipeline_sides, "ES256"),
)
