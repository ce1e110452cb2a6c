"""The one way out: how this site asks another server for something, and what it refuses to do for that.

Every request is https, resolves its host once, judges every address of the answer, connects to a judged
address and to nothing else, and ends at a total deadline and a size cap, whatever the other side does.

Not here: no redirects, no compression, no proxy from the environment, no cookies, no retries, no connection
kept for later, no judgement of the status. A caller that wants 200 asks for it. An error never holds a URL's
query, a header or a body (I13).
"""

from .addresses import OPERATOR, STRANGER, Policy, check_url, is_global_address
from .answer import FetchError, Response
from .request import DOCUMENT_LIMIT, KEY_SET_LIMIT, get, post_form

__all__ = [
    "DOCUMENT_LIMIT",
    "KEY_SET_LIMIT",
    "OPERATOR",
    "STRANGER",
    "FetchError",
    "Policy",
    "Response",
    "check_url",
    "get",
    "is_global_address",
    "post_form",
]
