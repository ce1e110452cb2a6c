"""Every request of this site to another server, and the limits that protect this site.

A request uses https and resolves its host once. It checks every address of the answer, and connects to a checked
address only. It ends at a total deadline and a size cap.

Not here: redirects, compression by strangers, proxies from the environment, cookies, retries, connections kept for
later. The caller checks the status. An error never holds a URL's query, a header or a body (I13).
"""

from .addresses import OPERATOR, STRANGER, Policy, check_url, is_global_address
from .answer import FetchError, Response
from .request import delete, get, post, post_form

__all__ = [
    "OPERATOR",
    "STRANGER",
    "FetchError",
    "Policy",
    "Response",
    "check_url",
    "delete",
    "get",
    "is_global_address",
    "post",
    "post_form",
]
