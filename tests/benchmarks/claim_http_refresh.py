"""Over HTTP a refresh with its sealed answer is answered at least 2.9 times as often as the stock toolkit's."""

from functools import partial

from .http import over_http
from .refresh import sides

CLAIM = over_http(
    "HTTP: refresh, public client, ID token, successor sealed",
    throughput=2.9,
    expected=b'"refresh_token"',
    in_process=partial(sides, "openid"),
)
