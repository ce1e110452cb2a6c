"""An authorization request that a page carries until the person acts.

An anonymous GET writes nothing, because strangers could fill the table with it (I16). The checked request travels in
the page. It is signed, and bound to the browser that asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.core import signing
from django.utils import timezone
from django.utils.translation import gettext_noop

from django_lazyauth.clients.redirects import redirect_uri_allowed
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest, InvalidRequestUri
from django_lazyauth.toolkit import clients

from .request import AuthorizationRequest, SingleUse
from .wanted import WantedAcr

SALT = "django_lazyauth.authorization_request"
MAX_LENGTH = 48 * 1024


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request on its way through the browser.

    Attributes:
        session_id: The primary key that its row will have. It also names the binding cookie.
        binding_digest: SHA-256 of the secret in that cookie (I7).
    """

    request: AuthorizationRequest
    session_id: UUID
    binding_digest: str

    def dumps(self) -> str:
        request = self.request
        return signing.dumps(
            {
                "c": request.client.client_id,
                "r": request.redirect_uri,
                "sc": " ".join(request.scopes),
                "st": request.state,
                "n": request.nonce,
                "cc": request.code_challenge,
                "rs": list(request.resources),
                "p": " ".join(sorted(request.prompts)),
                "ma": request.max_age,
                "lh": request.login_hint,
                "ul": request.ui_locales,
                "sh": request.subject_hint,
                "jkt": request.jkt,
                "av": [request.wanted_acr.is_essential, *request.wanted_acr.values],
                "su": _carried(request.single_use),
                "fp": request.is_answer_posted,
                "s": str(self.session_id),
                "b": self.binding_digest,
            },
            salt=SALT,
            compress=True,
        )


def _carried(single_use: SingleUse | None) -> list[Any] | None:
    return [single_use.digest, int(single_use.until.timestamp())] if single_use else None


def _single_use(carried: list[Any] | None) -> SingleUse | None:
    """Return what the request was handed over in.

    Raises:
        InvalidRequestUri: Too long ago. A page that was shown anew would carry it for ever.
    """
    if carried is None:
        return None
    found = SingleUse(carried[0], datetime.fromtimestamp(carried[1], UTC))
    if found.until <= timezone.now():
        raise InvalidRequestUri
    return found


def _read(text: str) -> dict[str, Any]:
    if len(text) > MAX_LENGTH:
        raise InvalidRequest(gettext_noop("The request is too long."))
    max_age = int(lazyauth_settings.flow_lifetime.total_seconds())
    try:
        data: dict[str, Any] = signing.loads(text, salt=SALT, max_age=max_age)
    except (signing.BadSignature, ValueError):
        raise InvalidRequest(gettext_noop("This page is too old.")) from None
    return data


def load_signed_request(text: str) -> SignedRequest:
    """Return what :meth:`SignedRequest.dumps` wrote. The client is looked up anew.

    Raises:
        InvalidRequest: It is forged or too old, or the client is gone or changed its redirect URIs since.
        InvalidRequestUri: It was pushed or signed, too long ago.
    """
    data = _read(text)
    client = clients.find_client(data["c"])
    if client is None or not redirect_uri_allowed(client, data["r"]):
        raise InvalidRequest(gettext_noop("The application is not registered here any more."))
    wanted = data.get("av", [])
    if not clients.may_ask_for_codes(client):
        raise InvalidRequest(gettext_noop("The application may not sign anybody in here any more."))
    return SignedRequest(
        request=AuthorizationRequest(
            client=client,
            redirect_uri=data["r"],
            scopes=tuple(data["sc"].split()),
            state=data["st"],
            nonce=data["n"],
            code_challenge=data["cc"],
            resources=tuple(data["rs"]),
            prompts=frozenset(data["p"].split()),
            max_age=data["ma"],
            login_hint=data["lh"],
            ui_locales=data["ul"],
            subject_hint=data["sh"],
            # A page that an earlier release rendered has none.
            jkt=data.get("jkt", ""),
            wanted_acr=WantedAcr(tuple(wanted[1:]), is_essential=bool(wanted[:1] == [True])),
            single_use=_single_use(data.get("su")),
            is_answer_posted=data.get("fp", False),
        ),
        session_id=UUID(data["s"]),
        binding_digest=data["b"],
    )
