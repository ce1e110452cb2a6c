"""Which redirect URIs may a client use, and how does an answer get there (RFC 6749 §4.1.2)? No database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from django_lazyauth.conf import DANGEROUS_SCHEMES, lazyauth_settings
from django_lazyauth.toolkit.scopes import extra_schemes

#: http on the loopback interface. The client chooses the port at run time (RFC 8252 §7.3).
LOOPBACK = re.compile(r"http://(?P<host>127\.0\.0\.1|\[::1\]|localhost)(?::\d{1,5})?(?P<rest>[/?].*)?\Z")
#: RFC 3986 §3.1.
SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):")
#: Printable ASCII without space and the characters that no URI may hold (RFC 3986 §2).
URI_CHARACTERS = re.compile(r"[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]+\Z")
#: A host that every parser reads alike (RFC 3986 §3.2): no userinfo, nothing encoded.
AUTHORITY = re.compile(r"https://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?(?:[/?].*)?\Z")
DEFAULT_PORTS = {"https": 443, "http": 80}


def is_safe_redirect_uri(uri: str, *, extra_schemes: Iterable[str] = ()) -> bool:
    """Say whether *uri* is of a kind that may be redirected to at all (RFC 9700 §2.1).

    These are: https with a host and no userinfo, http on loopback, and a private-use scheme. Such a scheme needs a
    dot, as in reverse-DNS form (RFC 8252 §7.1), unless the operator named it. A fragment is never allowed.
    """
    if not URI_CHARACTERS.match(uri) or "#" in uri or not _can_be_parsed(uri):
        return False
    if LOOPBACK.match(uri):
        return True
    found = SCHEME.match(uri)
    if found is None:
        return False
    scheme = found["scheme"]
    if scheme == "https":
        return AUTHORITY.match(uri) is not None
    return scheme not in DANGEROUS_SCHEMES and ("." in scheme or scheme in extra_schemes)


def _can_be_parsed(uri: str) -> bool:
    """Refuse brackets without an address and ports that do not exist. Django cannot redirect to such a URI."""
    try:
        return urlsplit(uri).port != 0
    except ValueError:
        return False


def redirect_uri_matches(requested: str, registered: str) -> bool:
    """Compare as strings (RFC 9700 §4.1.3); on loopback the port may differ (RFC 8252 §7.3)."""
    if requested == registered:
        return True
    theirs, ours = LOOPBACK.match(requested), LOOPBACK.match(registered)
    if theirs is None or ours is None:
        return False
    return (theirs["host"], theirs["rest"] or "") == (ours["host"], ours["rest"] or "")


def redirect_uri_allowed(client: Any, uri: str) -> bool:
    """Say whether *client* registered *uri*, and *uri* is of a kind that is safe to redirect to."""
    return is_safe_redirect_uri(uri, extra_schemes=extra_schemes()) and any(
        redirect_uri_matches(uri, registered) for registered in client.redirect_uris.split()
    )


def post_logout_redirect_allowed(client: Any, uri: str) -> bool:
    """Say whether *client* registered exactly *uri* for after a logout, and it is safe to redirect to."""
    registered = client.post_logout_redirect_uris.split()
    return uri in registered and is_safe_redirect_uri(uri, extra_schemes=extra_schemes())


def origin_allowed(client: Any, origin: str) -> bool:
    """Say whether scripts of *origin* may read answers meant for *client*: it owns one of its redirect URIs.

    On loopback the port may differ, as it may in its redirect URIs.
    """
    uris = (*client.redirect_uris.split(), *client.allowed_origins.split())
    return any(is_of_origin(uri, origin) for uri in uris)


def is_of_origin(uri: str, origin: str) -> bool:
    """Say whether *uri* has *origin*, in the form of the ``Origin`` header. On loopback the port may differ."""
    if not origin or origin == "null":
        return False
    theirs, ours = LOOPBACK.match(origin), LOOPBACK.match(uri)
    if theirs is not None and ours is not None:
        return theirs["host"] == ours["host"]
    return _origin_of(uri) == origin


def _origin_of(uri: str) -> str:
    """Return scheme and host in lower case, and the port unless it is the scheme's own (RFC 6454 §6.2)."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:  # An operator may have typed something that is no URI.
        return ""
    host = parts.netloc.rpartition("@")[2].lower()
    if port is not None:
        host = host.removesuffix(f":{DEFAULT_PORTS.get(parts.scheme)}")
    return f"{parts.scheme}://{host}"


#: What a policy for forms can name (Content Security Policy §2.3.1). It knows no IPv6 address.
POSTABLE = re.compile(r"https?://[A-Za-z0-9._-]+(?::\d{1,5})?(?:[/?].*)?\Z")


@dataclass(frozen=True, slots=True)
class AuthorizationResponse:
    """What the browser brings to the client, and how.

    Attributes:
        parameters: The answer; empty where the browser is only sent on.
        is_posted: In the body of a form (OAuth 2.0 Form Post Response Mode); otherwise in the query.
    """

    redirect_uri: str
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_posted: bool = False

    @property
    def url(self) -> str:
        """The URL that has the answer in its query."""
        return with_parameters(self.redirect_uri, self.parameters) if self.parameters else self.redirect_uri

    @property
    def origin(self) -> str:
        """Scheme, host and port of the redirect URI (RFC 6454)."""
        return _origin_of(self.redirect_uri)


def authorization_response(
    redirect_uri: str, *, state: str, is_posted: bool = False, **parameters: str
) -> AuthorizationResponse:
    """Return what brings the client its code, or an error (RFC 6749 §4.1.2).

    It always has ``iss`` (RFC 9207). Empty parameters are left out.
    """
    sent = {name: value for name, value in (*parameters.items(), ("state", state)) if value}
    return AuthorizationResponse(redirect_uri, sent | {"iss": lazyauth_settings.issuer}, is_posted)


def can_be_posted_to(uri: str) -> bool:
    """Say whether a form may bring an answer to *uri*. An app that is opened by its scheme gets no body."""
    return POSTABLE.match(uri) is not None


def with_parameters(uri: str, parameters: Mapping[str, str]) -> str:
    """Return *uri* with *parameters* added to its query. The registered query stays as it is."""
    separator = "&" if "?" in uri else "?"
    if uri.endswith(("?", "&")):
        separator = ""
    return f"{uri}{separator}{urlencode(parameters)}"


def is_on_device(uri: str) -> bool:
    """Say whether *uri* leads to a program on the person's own machine: loopback, or an app's scheme (RFC 8252 §7)."""
    return bool(LOOPBACK.match(uri)) or bool(SCHEME.match(uri) and not uri.startswith(("https:", "http:")))


def host_of(uri: str) -> str:
    """Return the part of *uri* that a person should check: its host, or the scheme of an app."""
    found = re.match(r"https?://([^/?]+)", uri)
    if found:
        return found[1]
    return uri.partition(":")[0]
