"""Ask a provider what an operator wants to know: its documents, its endpoints, its clock, and whether it knows us.

Each request is one that a sign-in sends too, or a GET of an endpoint. No person takes part, and no token is asked for
that could be given.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from django.utils import timezone

from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.kit import fetch
from django_lazyauth.kit.results import SourceFailed
from django_lazyauth.openid import published
from django_lazyauth.openid.descriptor import ProviderDescriptor
from django_lazyauth.openid.jose import KEY_OF, MAC_OF
from django_lazyauth.openid.key_fetch import is_issuer_of
from django_lazyauth.openid.published import policy_of
from django_lazyauth.providers import key_refresh
from django_lazyauth.providers.authorize_request import wants_offline
from django_lazyauth.providers.code_flow import CodeFlow, Endpoints
from django_lazyauth.providers.openid import OpenIDProvider
from django_lazyauth.providers.sso import AskedDomain
from django_lazyauth.sign_in.failures import reason_of

from .finding import Finding, fix, note, ok, unasked

#: Seconds that one endpoint may take.
DEADLINE: Final = 5.0
LARGEST_SKEW: Final = timedelta(seconds=30)
#: Why there was no answer at all. Another time there may be one.
_NO_ANSWER: Final = frozenset({"broken", "connect", "dns", "not_ready", "timeout"})
#: What a token endpoint says of a code that it never gave to a client that it knows; the second one is GitHub's.
_KNOWN: Final = frozenset({"invalid_grant", "bad_verification_code"})


def probe(provider: CodeFlow, redirect_uri: str) -> Iterator[Finding]:
    """Yield what the provider says; *redirect_uri* is ours. Writes its row, and nothing else."""
    if isinstance(provider, AskedDomain):
        yield from _documents_of_domain(provider)
    elif isinstance(provider, OpenIDProvider):
        yield from _documents(provider)
    try:
        endpoints = provider.endpoints()
    except ProviderUnavailable as error:
        yield unasked("endpoints", f"Its endpoints are not known ({error.detail}).")
        return
    if provider.descriptor.logout.upstream_logout != "never" and not endpoints.end_session:
        yield fix(
            "end_session_endpoint", '"upstream_logout" does nothing: it names no address to sign out at.'
        )
    yield from _answers(provider, endpoints)
    if isinstance(provider, OpenIDProvider):
        yield from _keys(provider)
    yield from _client(provider, endpoints, redirect_uri)


# -- what it publishes -----------------------------------------------------------------------------------


def _documents(provider: OpenIDProvider) -> Iterator[Finding]:
    descriptor = provider.descriptor
    refreshed = key_refresh.refresh_provider(provider.name, force=True)
    yield _fetched("" if refreshed.ok else refreshed.reason, refreshed.detail)
    if descriptor.openid_configuration or not descriptor.authorization_endpoint:
        try:
            document = published.get_document(descriptor.configuration_url, policy_of(descriptor))
        except SourceFailed:
            return  # Told above.
        yield from _issuers(descriptor, document)
        yield from _offers(descriptor, document)


def _documents_of_domain(provider: AskedDomain) -> Iterator[Finding]:
    try:
        descriptor = provider.descriptor
    except ProviderUnavailable as error:
        yield _fetched(error.reason, error.detail)
        return
    yield _fetched("")
    with contextlib.suppress(SourceFailed):  # It was there a moment ago.
        yield from _offers(
            descriptor, published.get_document(descriptor.configuration_url, policy_of(descriptor))
        )


def _fetched(failure: str, detail: str = "") -> Finding:
    """Say that metadata and keys were fetched, or why they were not: *failure*, and more of it in *detail*."""
    if not failure:
        return ok("metadata", "Its metadata and keys were fetched.")
    if failure in _NO_ANSWER:
        return unasked("metadata", f"Its metadata and keys could not be fetched ({failure}).")
    hint = " On your own machine, ALLOW_LOOPBACK_UPSTREAMS lets http://127.0.0.1 pass."
    text = f"Its metadata or keys cannot be used ({detail})."
    return fix("metadata", text + (hint if failure == "not_https" else ""))


def _issuers(descriptor: ProviderDescriptor, document: Mapping[str, Any]) -> Iterator[Finding]:
    named = document.get("issuer")
    text = f"The entry says {descriptor.issuer}, and its metadata {_shown(named)}."
    if not is_issuer_of(named, descriptor):
        yield fix("issuer", text + ' "issuer" must be what the metadata say, to the letter.')
    else:
        # The others are names that the entry knows.
        yield (ok if named == descriptor.issuer else note)("issuer", text)


def _offers(descriptor: ProviderDescriptor, document: Mapping[str, Any]) -> Iterator[Finding]:
    methods = document.get("code_challenge_methods_supported")
    uses_pkce = descriptor.requests.pkce == "S256"
    if isinstance(methods, list) and "S256" in methods:
        yield (ok if uses_pkce else note)("pkce", f"It offers S256, and this site {_sends(uses_pkce)} it.")
    else:
        yield note("pkce", f"It does not say that it knows S256. This site {_sends(uses_pkce)} it.")
    is_named = document.get(published.ISS_MEMBER) is True
    yield note("iss", f"Its answers {'name' if is_named else 'need not name'} the issuer (RFC 9207).")
    if document.get("require_pushed_authorization_requests") is True:
        yield fix(
            "par", "It takes pushed authorization requests only (RFC 9126), which this site cannot send."
        )
    elif "pushed_authorization_request_endpoint" in document:
        yield note("par", "It offers pushed authorization requests (RFC 9126). This site does not use them.")
    yield from _offers_offline(descriptor, document)
    signs = document.get("id_token_signing_alg_values_supported")
    if isinstance(signs, list) and not set(descriptor.algorithms) & {_shown(name) for name in signs}:
        yield fix("algorithms", "It signs ID tokens with no algorithm that the entry allows.")


def _offers_offline(descriptor: ProviderDescriptor, document: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the scopes for refresh tokens that it does not list. It need not list what it knows (RFC 8414 §2)."""
    listed = document.get("scopes_supported")
    if not isinstance(listed, list) or not wants_offline(descriptor):
        return
    unlisted = [scope for scope in descriptor.requests.offline_scopes if scope not in listed]
    if unlisted:
        text = (
            f"It does not list the scope {', '.join(unlisted)}. If it refuses that, set offline_scopes to []."
        )
        yield note("offline", text)


def _sends(is_sent: bool) -> str:
    return "sends" if is_sent else "does not send"


def _shown(value: object) -> str:
    """Return what a provider says of itself, on one line."""
    text = value if isinstance(value, str) else type(value).__name__
    return "".join(character if character.isprintable() else "?" for character in text[:255])


def _keys(provider: OpenIDProvider) -> Iterator[Finding]:
    keys, allowed = provider.published.stored.keys.keys, provider.published.descriptor.algorithms
    fitting = [
        key
        for key in keys
        if any(key.kind == KEY_OF.get(name) and key.algorithm in (None, name) for name in allowed)
    ]
    text = f"{len(keys)} keys, of which {len(fitting)} fit the algorithms of the entry."
    # With HS256 the secret is the key.
    is_enough = fitting or any(name in MAC_OF for name in allowed)
    yield (ok if is_enough else fix)("keys", text)


# -- where it is -----------------------------------------------------------------------------------------


def _answers(provider: CodeFlow, endpoints: Endpoints) -> Iterator[Finding]:
    """Yield whether each endpoint answers over TLS, how fast, and what time it is there."""
    descriptor = provider.descriptor
    each = {
        "authorization_endpoint": endpoints.authorization,
        "token_endpoint": endpoints.token,
        "userinfo_endpoint": endpoints.userinfo,
        "emails_endpoint": descriptor.emails_endpoint,
        "revocation_endpoint": endpoints.revocation,
        "refresh_endpoint": descriptor.requests.refresh_endpoint,
        "end_session_endpoint": endpoints.end_session,
    }
    if isinstance(provider, OpenIDProvider) and descriptor.fetches_keys:
        each["jwks_uri"] = provider.published.stored.endpoint("jwks_uri", descriptor)
    for name, url in each.items():
        # Its path may hold what is filled in later.
        if url and "{" not in url.partition("?")[0]:
            yield from _answer(name, url.partition("?")[0], policy_of(descriptor))


def _answer(name: str, url: str, policy: fetch.Policy) -> Iterator[Finding]:
    began = time.monotonic()
    try:
        response = fetch.get(url, policy=policy, max_bytes=1024 * 1024, deadline=DEADLINE)
    except fetch.FetchError as error:
        level = unasked if error.reason in _NO_ANSWER else fix
        yield level(name, f"{url} cannot be asked ({error.reason}).")
        return
    seconds = time.monotonic() - began
    if response.status >= 500:
        yield unasked(name, f"{url} answers with HTTP {response.status}.")
    elif (location := response.location()) and name != "authorization_endpoint":
        # A browser follows it, and a sign-in here does not. It sends a POST, which may be answered.
        yield note(name, f"{url} redirects to {location}, and no redirect is followed.")
    else:
        yield ok(name, f"{url} answers in {seconds:.2f} s.")
    skew = _skew(response.headers.get("date", ""))
    if abs(skew) > LARGEST_SKEW:
        where = "behind" if skew > timedelta(0) else "ahead of"
        yield fix(name, f"The clock of this site is {abs(skew).total_seconds():.0f} s {where} that of {url}.")


def _skew(date: str) -> timedelta:
    """Return how far the clock there is ahead of ours; zero where the answer has no time."""
    try:
        there = parsedate_to_datetime(date)
        return there - timezone.now() if there.tzinfo else timedelta(0)
    except (TypeError, ValueError, OverflowError):
        return timedelta(0)


# -- whether it knows us ---------------------------------------------------------------------------------


def _client(provider: CodeFlow, endpoints: Endpoints, redirect_uri: str) -> Iterator[Finding]:
    """Yield what the token endpoint says of a code that it never gave. It looks at the client first."""
    try:
        provider.try_code(redirect_uri)
    except ProviderUnavailable as error:
        # What was found just now is in the row, and not in what was loaded before.
        again = type(provider)(provider.name, provider.config)
        method = again.authenticating(endpoints).token_endpoint_auth_method
        yield _client_finding(error, method, redirect_uri)
    else:
        yield fix("client", "The token endpoint gave tokens for a code that nobody was given.")


def _client_finding(error: ProviderUnavailable, method: str, redirect_uri: str) -> Finding:
    code, said = error.upstream_error, error.upstream_error or f"HTTP {error.http_status or '-'}"
    if code in _KNOWN:
        by = "its client id alone" if method == "none" else method
        return ok("client", f"The provider knows this site by {by}.")
    if code == "redirect_uri_mismatch":
        return fix("client", f"The provider does not know the redirect URI {redirect_uri}.")
    if error.http_status and 300 <= error.http_status < 400:
        return fix("client", f"The token endpoint answers with {error.debug}, which is not followed.")
    match reason_of(error):
        case "down":
            return unasked("client", f"The token endpoint gave no answer ({error.detail}).")
        case "misconfigured":
            return fix("client", f"The provider does not take this site by {method}: {said}.")
    if error.reason == "code_refused":
        return note("client", "The token endpoint refused a made-up code in words of its own.")
    return fix("client", f"The token endpoint gave no answer that can be read ({said}).")
