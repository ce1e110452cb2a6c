"""The authorization request to an upstream, and the address that a browser comes back by."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import ProviderDenied, ProviderError, ProviderUnavailable
from django_lazyauth.kit.http import without_empty
from django_lazyauth.openid.descriptor import ProviderDescriptor
from django_lazyauth.openid.requests.context_classes import in_our_words, in_their_words
from django_lazyauth.openid.requests.fill import fill_each, fill_url
from django_lazyauth.openid.requests.keys import CONSENT, PROMPTS, Requests

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_lazyauth.models import PendingAuthorization

#: Characters of a code; RFC 6749 sets none, real ones have a few hundred.
CODE_LIMIT: Final = 4096
#: The upstream wanted something of the person, and could not ask (OpenID Connect Core §3.1.2.6).
NEEDS_INTERACTION: Final = frozenset(
    {"account_selection_required", "consent_required", "interaction_required", "login_required"}
)
#: The upstream failed (RFC 6749 §4.1.2.1).
DOWN: Final = frozenset({"server_error", "temporarily_unavailable"})
#: Begins the codes of Apple and LinkedIn for a person who cancelled.
_CANCELLED: Final = "user_cancelled_"


@dataclass(frozen=True, slots=True)
class SentParameters:
    """What is new in each request. An empty secret is not sent."""

    state: str = field(repr=False)
    redirect_uri: str
    code_verifier: str = field(repr=False)
    nonce: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of the upstream beside signing the person in.

    Attributes:
        prompts: In the words of OpenID Connect Core §3.1.2.1.
        login_hint: By which account.
        is_offline: Refresh tokens that outlive the person's sign-in there.
    """

    prompts: tuple[str, ...] = ()
    login_hint: str = ""
    is_offline: bool = False


def wants_offline(descriptor: ProviderDescriptor) -> bool:
    """Say whether the upstream is asked for refresh tokens that outlive the person's sign-in there."""
    wish = descriptor.requests.offline
    if wish != "auto":
        return wish == "always"
    return bool(descriptor.further_scopes) or descriptor.name in lazyauth_settings.used_upstreams


def wishes_of(pending: PendingAuthorization, descriptor: ProviderDescriptor) -> Wishes:
    """Return what a first request asks. A client's own ``prompt=consent`` is for this site."""
    is_offline = wants_offline(descriptor)
    is_asked = is_offline and descriptor.requests.offline_prompt == "always"
    prompts = tuple(prompt for prompt in PROMPTS if prompt in pending.prompts)
    return Wishes((*prompts, CONSENT) if is_asked else prompts, pending.login_hint, is_offline)


def wishes_again(descriptor: ProviderDescriptor, login_hint: str) -> Wishes:
    """Return what a second request asks. What the client wished was done at the first."""
    return Wishes((CONSENT,), login_hint, wants_offline(descriptor))


@sensitive_variables()
def authorize_url(
    descriptor: ProviderDescriptor,
    endpoint: str,
    pending: PendingAuthorization,
    sent: SentParameters,
    wishes: Wishes,
) -> str:
    """Return the authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3, OpenID Connect Core §3.1.2.1)."""
    requests = descriptor.requests
    filled = {
        "client_id": descriptor.client_id,
        "redirect_uri": sent.redirect_uri,
        "state": sent.state,
    }
    parameters = {
        **fill_each(descriptor.extra_authorize_params, filled),
        **(fill_each(requests.offline_params, filled) if wishes.is_offline else {}),
        **wished_parameters(pending, requests, wishes),
        "claims": requests.claims_parameter or descriptor.extra_authorize_params.get("claims", ""),
        "response_type": "code",
        "response_mode": requests.response_mode,
        requests.client_id_parameter: descriptor.client_id,
        "redirect_uri": sent.redirect_uri,
        requests.scope_parameter: requests.scope_separator.join(_scopes(descriptor, wishes)),
        "state": sent.state,
        **_challenge(sent.code_verifier),
        "nonce": sent.nonce,
    }
    if descriptor.authorization_endpoint:
        # What a provider publishes about itself is never filled.
        endpoint = fill_url(endpoint, filled)
    separator = "&" if urlsplit(endpoint).query else "?"
    # Some servers read "+" as a plus sign.
    query = urlencode({name: value for name, value in parameters.items() if value}, quote_via=quote)
    fragment = f"#{requests.authorize_fragment}" if requests.authorize_fragment else ""
    return f"{endpoint}{separator}{query}{fragment}"


@sensitive_variables()
def _challenge(code_verifier: str) -> dict[str, str]:
    if not code_verifier:
        return {}
    digest = hashlib.sha256(code_verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return {"code_challenge": challenge, "code_challenge_method": "S256"}


def _scopes(descriptor: ProviderDescriptor, wishes: Wishes) -> list[str]:
    offline = descriptor.requests.offline_scopes if wishes.is_offline else ()
    return list(dict.fromkeys((*descriptor.scopes, *offline)))


def wished_parameters(pending: PendingAuthorization, requests: Requests, wishes: Wishes) -> dict[str, str]:
    """Return what is wished of the upstream, as parameters (OpenID Connect Core §3.1.2.1)."""
    parameters = {
        **_prompts(wishes.prompts, requests.prompt_params),
        "login_hint": wishes.login_hint,
        "ui_locales": pending.ui_locales,
        "acr_values": in_their_words(requests.acr_values, pending.acr_values.split()),
    }
    if pending.max_age is not None:
        parameters["max_age"] = str(pending.max_age)
    return {name: value for name, value in parameters.items() if value}


def acr_in_our_words(descriptor: ProviderDescriptor, stated: str) -> str:
    """Return the ``acr`` of an ID token of the upstream as this site names it."""
    return in_our_words(descriptor.requests.acr_values, stated, lazyauth_settings.acr_values)


def _prompts(prompts: Iterable[str], changed: Mapping[str, Mapping[str, str] | None]) -> dict[str, str]:
    """Return what *prompts* become. Words of one parameter are joined by spaces."""
    found: dict[str, str] = {}
    for prompt in prompts:
        own = changed.get(prompt)
        for name, value in ({"prompt": prompt} if own is None else own).items():
            words = [*found.get(name, "").split(), *value.split()]
            found[name] = " ".join(dict.fromkeys(words))
    return found


# -- the answer ------------------------------------------------------------------------------------------------


def read_callback(request: HttpRequest) -> dict[str, str]:
    """Return the parameters of the authorization response; none may be repeated (RFC 6749 §3.1)."""
    given = without_empty(request.GET)
    if any(len(values) != 1 for _, values in given.lists()):
        raise ProviderUnavailable("malformed_callback", stage="authorization")
    return {name: str(value) for name, value in given.items()}


def read_code(answer: Mapping[str, str], denials: Collection[str] = ()) -> str:
    """Return the code of an authorization response. *denials* are further words for a refusal.

    Raises:
        ProviderDenied: ``cancelled``: the person refused; ``needs_interaction``: the upstream could not ask them.
        ProviderUnavailable: ``down``, ``misconfigured``, or there is no code.
    """
    error = answer.get("error")
    if error is not None:
        raise _failure(error, denials)
    code = answer.get("code", "")
    if not 0 < len(code) <= CODE_LIMIT or not code.isprintable():
        raise ProviderUnavailable("malformed_callback", stage="authorization")
    return code


def _failure(error: str, denials: Collection[str]) -> ProviderError:
    """Return what the error code of an authorization response means (RFC 6749 §4.1.2.1)."""
    if error == "access_denied" or error.startswith(_CANCELLED) or error in denials:
        return ProviderDenied("cancelled", stage="authorization", upstream_error=error)
    if error in NEEDS_INTERACTION:
        return ProviderDenied("needs_interaction", stage="authorization", upstream_error=error)
    reason = "down" if error in DOWN else "misconfigured"
    return ProviderUnavailable(reason, stage="authorization", upstream_error=error)
