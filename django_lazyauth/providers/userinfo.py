"""What an upstream says about a person at its userinfo endpoint, which may be signed, and in lists of addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import IdentityRejected, ProviderError, ProviderUnavailable
from django_lazyauth.kit import fetch
from django_lazyauth.openid.descriptor import ProviderDescriptor
from django_lazyauth.openid.people.admission import misses_a_path, misses_a_wish
from django_lazyauth.openid.published import policy_of
from django_lazyauth.openid.requests.fill import fill_each, fill_url
from django_lazyauth.openid.rules import Documents, Rule, as_text, find, parse_path, paths_of

from .profile import Profile
from .token_answers import error_of
from .token_requests import authenticated, headers_of, with_query

logger = logging.getLogger("django_lazyauth.upstream")

#: Levels of lists and objects. What is read of it has its own limit.
DEPTH_LIMIT: Final = 256
#: Seconds in all: a person waits for it.
DEADLINE: Final = 5.0


def wants_userinfo(descriptor: ProviderDescriptor, documents: Documents, profile: Profile) -> bool:
    """Say whether UserInfo is asked.

    With ``auto`` it is if address or name is missing whose scope was requested, or what a rule, ``allow`` or
    ``keep_claims`` names.
    """
    if descriptor.userinfo != "auto":
        return descriptor.userinfo == "always"
    rules = descriptor.claims
    scopes = {"email" if not profile.email else "", "profile" if not profile.name else ""}
    if scopes & set(descriptor.scopes):
        return True
    if misses_a_path(descriptor.people, documents) or misses_a_wish(descriptor.people, documents):
        return True
    if any(_names_userinfo(rule) for rule in descriptor.people.legacy_subjects):
        return True
    return any(
        _names_userinfo(rule) or (rule != parse_path(standard) and next(find(rule, documents), None) is None)
        for standard, rule in (
            ("email", rules.email),
            ("email_verified", rules.email_verified),
            ("name", rules.name),
        )
    )


def _names_userinfo(rule: Rule) -> bool:
    return any(path.source == "userinfo" for path in paths_of(rule))


@dataclass(frozen=True, slots=True)
class Signed:
    """An answer that is a JWT. Nothing of it was checked."""

    token: str = field(repr=False)


@sensitive_variables()
def read_claims(
    descriptor: ProviderDescriptor,
    endpoint: str,
    access_token: str,
    documents: Documents,
    *,
    sub: str,
    verify: Callable[[str], Mapping[str, Any]],
) -> Mapping[str, Any]:
    """Return what UserInfo says beside an ID token; nothing where it says nothing usable and need not.

    Args:
        sub: Of the ID token.
        verify: Checks an answer that is signed, and returns its claims. The others are those of :func:`read_userinfo`.

    Raises:
        IdentityRejected: ``userinfo_sub``: the answer has another subject (OpenID Connect Core §5.3.2).
        ProviderError: There was no usable answer, and ``userinfo`` is ``always``, or *documents* miss what the
            configuration asks of a person.
    """
    is_required = descriptor.userinfo == "always" or misses_a_path(descriptor.people, documents)
    try:
        document = read_userinfo(descriptor, endpoint, access_token, documents)
        if isinstance(document, Signed):
            document = verify(document.token)
    except ProviderError as error:
        if is_required:
            raise
        why = f"{error.detail} (HTTP {error.http_status or '-'})"
        logger.warning("%s is used without UserInfo: %s", descriptor.name, why)
        return {}
    members: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
    if as_text(members.get("sub")) == sub:
        return members
    if is_required or members.get("sub") not in (None, ""):
        raise IdentityRejected("userinfo_sub", stage="userinfo")
    logger.warning("%s is used without UserInfo: it names no subject", descriptor.name)
    return {}


@sensitive_variables()
def read_userinfo(
    descriptor: ProviderDescriptor, endpoint: str, access_token: str, documents: Documents
) -> Any:
    """Return the JSON that the userinfo endpoint answers, or :class:`Signed` (OpenID Connect Core §5.3).

    Args:
        descriptor: The provider, with the method by which this site authenticates.
        endpoint: The configured or published one.
        access_token: Of the person.
        documents: What the provider said so far, for placeholders.

    Raises:
        ProviderUnavailable: There was no answer, it was no JSON, or it says that it failed.
    """
    requests = descriptor.requests
    filled = {"client_id": descriptor.client_id, "access_token": access_token}
    if endpoint == descriptor.userinfo_endpoint:
        # What a provider publishes about itself is never filled.
        endpoint = fill_url(endpoint, filled, documents)
    sent = _placed(descriptor, access_token)
    is_form = requests.userinfo_method == "POST" and not requests.userinfo_body
    (sent.form if is_form else sent.query).update(fill_each(requests.userinfo_params, filled, documents))
    if requests.userinfo_auth == "client":
        place = sent.form if is_form else sent.query
        parameters, headers = authenticated(descriptor, endpoint, place)
        place.update(parameters)
        sent.headers.update(headers)
    document = _ask(descriptor, endpoint, sent, requests.userinfo_method, requests.userinfo_body)
    if (
        not isinstance(document, Signed)
        and error_of(document, requests.answer_error["userinfo"], requests) is not None
    ):
        raise ProviderUnavailable("bad_answer", stage="userinfo", debug="it says that it failed")
    return document


@sensitive_variables()
def read_addresses(descriptor: ProviderDescriptor, access_token: str, documents: Documents) -> Any:
    """Return the JSON of the e-mail endpoint. Raises as :func:`read_userinfo`."""
    filled = {"client_id": descriptor.client_id, "access_token": access_token}
    sent = _placed(descriptor, access_token)
    sent.query.update(sent.form)
    return _ask(descriptor, fill_url(descriptor.emails_endpoint, filled, documents), sent, "GET", "")


@dataclass(frozen=True, slots=True)
class _Sent:
    """What is sent beside the endpoint."""

    headers: dict[str, str] = field(repr=False)
    query: dict[str, str] = field(default_factory=dict, repr=False)
    form: dict[str, str] = field(default_factory=dict, repr=False)


@sensitive_variables()
def _placed(descriptor: ProviderDescriptor, access_token: str) -> _Sent:
    """Put the access token where the provider looks for it."""
    sent = _Sent(headers_of(descriptor))
    place, _, name = descriptor.requests.userinfo_token.partition(":")
    match place:
        case "query":
            sent.query[name] = access_token
        case "form":
            sent.form[name] = access_token
        case _:
            sent.headers["Authorization"] = f"{name or 'Bearer'} {access_token}"
    return sent


@sensitive_variables()
def _ask(descriptor: ProviderDescriptor, endpoint: str, sent: _Sent, method: str, body: str) -> Any:
    policy = policy_of(descriptor)
    url, headers = with_query(endpoint, sent.query), sent.headers
    content = body.encode() or None
    if body:
        headers["Content-Type"] = "application/json"
    elif sent.form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        content = urlencode(sent.form).encode()
    try:
        if method == "POST":
            response = fetch.post(url, content, policy=policy, headers=headers, deadline=DEADLINE)
        else:
            response = fetch.get(url, policy=policy, headers=headers, deadline=DEADLINE)
        is_signed = response.headers.get("content-type", "").lower().startswith("application/jwt")
        if response.ok and is_signed and descriptor.type == "oidc":
            return Signed(response.body.decode("ascii", "replace").strip())
        if not response.ok:
            # The path may hold the access token, and a redirect repeats it.
            location = response.location(with_path=False)
            debug = f"a redirect to {location}" if location else ""
            raise ProviderUnavailable(
                "bad_answer", stage="userinfo", http_status=response.status, debug=debug
            )
        return response.json(max_depth=DEPTH_LIMIT)
    except fetch.FetchError as error:
        raise ProviderUnavailable("unreachable", stage="userinfo", debug=error.reason) from None
