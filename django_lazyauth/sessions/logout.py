"""A client sends its person here to sign out (OpenID Connect RP-Initiated Logout 1.0).

What ends is the session that the client's ID token names, and this browser's own sign-in on the site; the person's
other sessions, at other clients and on other devices, go on. An ID token alone ends nothing: the browser has to be
the person's, or the person is asked.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib.auth import logout as leave_site
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import signing
from django.http import HttpRequest

from django_lazyauth.clients.redirects import post_logout_redirect_allowed, with_parameters
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest
from django_lazyauth.models.fields import digest
from django_lazyauth.sessions import browser
from django_lazyauth.tokens import family
from django_lazyauth.tokens.logout_token import Hint, read_hint
from django_lazyauth.toolkit import clients

from . import end

SALT = "django_lazyauth.logout"
MAX_LENGTH = 16 * 1024


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A checked request.

    Attributes:
        client: Who sends the person; ``None`` where the request names nobody.
        hint: What its ID token says; ``None`` where there is none of ours.
        redirect_uri: Where the person goes afterwards: registered by *client*, or empty.
    """

    client: clients.Client | None = None
    hint: Hint | None = None
    redirect_uri: str = ""
    state: str = ""
    ui_locales: str = ""

    @property
    def return_url(self) -> str:
        """The redirect URI with the client's ``state``; empty where there is nowhere to go."""
        if not self.redirect_uri or not self.state:
            return self.redirect_uri
        return with_parameters(self.redirect_uri, {"state": self.state})

    def dumps(self, *, binding_digest: str) -> str:
        """Return the request for a page to carry, signed and tied to the browser that asked."""
        hint = self.hint
        return signing.dumps(
            {
                "c": self.client.client_id if self.client else "",
                "h": [hint.subject, hint.client_id, str(hint.session_id or "")] if hint else None,
                "r": self.redirect_uri,
                "st": self.state,
                "ul": self.ui_locales,
                "b": binding_digest,
            },
            salt=SALT,
            compress=True,
        )


def check(parameters: dict[str, str]) -> LogoutRequest:
    """Return the checked request (§2).

    Raises:
        InvalidRequest: The client is unknown or is not the one of the ID token, or did not register the
            redirect URI: nothing ends, and nobody is sent anywhere.
    """
    hint = read_hint(parameters.get("id_token_hint", ""))
    client_id = parameters.get("client_id") or (hint.client_id if hint else "")
    client = clients.find_client(client_id) if client_id else None
    if client_id and client is None:
        raise InvalidRequest("The application is not registered here any more.")
    if hint is not None and hint.client_id != client_id:
        raise InvalidRequest("The application sent a sign-in of another application.")
    redirect_uri = parameters.get("post_logout_redirect_uri", "")
    if redirect_uri and (client is None or not post_logout_redirect_allowed(client, redirect_uri)):
        raise InvalidRequest("The application sent an address to go back to that it did not register.")
    return LogoutRequest(
        client, hint, redirect_uri, parameters.get("state", ""), parameters.get("ui_locales", "")
    )


def load(text: str, *, binding: str) -> LogoutRequest:
    """Return what :meth:`LogoutRequest.dumps` wrote; the client is looked up anew.

    Raises:
        InvalidRequest: Forged, too old, another browser's, or the client changed since.
    """
    over = InvalidRequest("This page is too old. Go back to the application and start again.")
    if len(text) > MAX_LENGTH:
        raise over
    try:
        data: dict[str, Any] = signing.loads(
            text, salt=SALT, max_age=int(lazyauth_settings.flow_lifetime.total_seconds())
        )
    except (signing.BadSignature, ValueError):
        raise over from None
    if not hmac.compare_digest(data["b"], digest(binding)):
        raise over
    checked = check(
        {"client_id": data["c"], "post_logout_redirect_uri": data["r"], "state": data["st"]}
        | {"ui_locales": data["ul"]}
    )
    if data["h"] is None:
        return checked
    subject, client_id, session_id = data["h"]
    hint = Hint(subject, client_id, UUID(session_id) if session_id else None)
    return LogoutRequest(checked.client, hint, checked.redirect_uri, checked.state, checked.ui_locales)


# -- who asks ----------------------------------------------------------------------------------------------


def is_own(asked: LogoutRequest, user: AbstractBaseUser | None) -> bool:
    """Say whether the ID token is of the person who is signed in here, so that nobody need be asked (§2)."""
    hint = asked.hint
    return (
        user is not None and hint is not None and hint.session_id is not None and hint.subject == str(user.pk)
    )


# -- the end -------------------------------------------------------------------------------------------------


def sign_out(
    request: HttpRequest, asked: LogoutRequest, user: AbstractBaseUser | None, *, bindings: Iterable[str]
) -> None:
    """End the client's session, and this browser's sign-in on the site.

    An ID token of somebody else than *user* ends nothing of theirs: then, and without one, *user*'s own sessions at
    the client end.
    """
    hint, client = asked.hint, asked.client
    if hint is not None and hint.session_id is not None and (user is None or hint.subject == str(user.pk)):
        member = family.live_member(hint.session_id)
        if (
            member is not None
            and str(member.user_id) == hint.subject
            and member.application.client_id == hint.client_id
        ):
            end.end_session(hint.session_id)
    elif user is not None and client is not None:
        end.end_sessions_at(user, client)
    browser.forget(list(bindings))
    leave_site(request)
