"""Over HTTP a first sign-in, everything written, is answered at least 2.2 times as often as the stock exchange."""

from functools import partial

from .exchange import sides
from .http import over_http

CLAIM = over_http(
    "HTTP: exchange, public client, full lazy finalize",
    throughput=2.2,
    expected=b'"id_token"',
    in_process=partial(sides, confidential=False),
)
