"""A client sends a person here to sign out (OpenID Connect RP-Initiated Logout 1.0).

The session of the client's ID token ends, and the browser's sign-in on this site. Sessions at other clients and on
other devices stay. An ID token alone ends nothing: the browser must be signed in as that person, or the page asks.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.contrib.auth import logout as leave_site
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import signing
from django.http import HttpRequest
from django.utils.translation import gettext_noop

from django_lazyauth.clients.redirects import post_logout_redirect_allowed, with_parameters
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest
from django_lazyauth.models.fields import digest
from django_lazyauth.sessions import browser
from django_lazyauth.tokens import family
from django_lazyauth.tokens.logout_token import Hint, read_hint
from django_lazyauth.toolkit import clients
from django_lazyauth.users.subjects import hinted_user_key

from . import end
from .sign_out_there import SignOutThere, sign_out_there

#: Where the browser's session keeps a sign-out that goes on at a provider, until the person comes back.
SESSION_KEY = "django_lazyauth_logout"
SALT = "django_lazyauth.logout"
MAX_LENGTH = 16 * 1024


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A checked request.

    Attributes:
        client: The client that sends the person; ``None`` if the request names none.
        hint: The claims of its ID token, with the primary key of the user as subject; ``None`` without one of ours.
        redirect_uri: Where the person goes afterwards: a URI that *client* registered, or empty.
        account: Primary key of who was signed in when the page asked, or empty.
        identity_id: The account at a provider that they were signed in with.
    """

    client: clients.Client | None = None
    hint: Hint | None = None
    redirect_uri: str = ""
    state: str = field(default="", repr=False)
    ui_locales: str = ""
    account: str = ""
    identity_id: int | None = None

    @property
    def return_url(self) -> str:
        """The redirect URI with the client's ``state``; empty without a redirect URI."""
        if not self.redirect_uri or not self.state:
            return self.redirect_uri
        return with_parameters(self.redirect_uri, {"state": self.state})

    def dumps(self, *, binding_digest: str) -> str:
        """Return the request as a signed value for a form. It is bound to the browser that sent the request."""
        hint = self.hint
        return signing.dumps(
            {
                "c": self.client.client_id if self.client else "",
                "h": [hint.subject, hint.client_id, str(hint.session_id or "")] if hint else None,
                "r": self.redirect_uri,
                "st": self.state,
                "ul": self.ui_locales,
                "b": binding_digest,
                "u": self.account,
                "i": self.identity_id,
            },
            salt=SALT,
            compress=True,
        )


def check(parameters: dict[str, str]) -> LogoutRequest:
    """Return the checked request (§2).

    Raises:
        InvalidRequest: The client is unknown, is not the one of the ID token, or did not register the redirect
            URI. Nothing ends, and the browser is not redirected.
    """
    hint = read_hint(parameters.get("id_token_hint", ""))
    client_id = parameters.get("client_id") or (hint.client_id if hint else "")
    client = clients.find_client(client_id) if client_id else None
    if client_id and client is None:
        raise InvalidRequest(gettext_noop("The application is not registered here any more."))
    if hint is not None and hint.client_id != client_id:
        raise InvalidRequest(gettext_noop("The application sent a sign-in of another application."))
    if hint is not None and client is not None:
        hint = replace(hint, subject=hinted_user_key(hint.subject, client))
    redirect_uri = parameters.get("post_logout_redirect_uri", "")
    if redirect_uri and (client is None or not post_logout_redirect_allowed(client, redirect_uri)):
        raise InvalidRequest(
            gettext_noop("The application sent an address to go back to that it did not register.")
        )
    return LogoutRequest(
        client, hint, redirect_uri, parameters.get("state", ""), parameters.get("ui_locales", "")
    )


def load(text: str, *, binding: str) -> LogoutRequest:
    """Return what :meth:`LogoutRequest.dumps` wrote; the client is looked up anew.

    Raises:
        InvalidRequest: It is forged, too old or from another browser, or the client changed since.
    """
    too_old = InvalidRequest(gettext_noop("This page is too old."))
    if len(text) > MAX_LENGTH:
        raise too_old
    try:
        data: dict[str, Any] = signing.loads(
            text, salt=SALT, max_age=int(lazyauth_settings.flow_lifetime.total_seconds())
        )
    except (signing.BadSignature, ValueError):
        raise too_old from None
    if not hmac.compare_digest(data["b"], digest(binding)):
        raise too_old
    checked = check(
        {"client_id": data["c"], "post_logout_redirect_uri": data["r"], "state": data["st"]}
        | {"ui_locales": data["ul"]}
    )
    hint = None
    if data["h"] is not None:
        subject, client_id, session_id = data["h"]
        hint = Hint(subject, client_id, UUID(session_id) if session_id else None)
    return replace(checked, hint=hint, account=data.get("u", ""), identity_id=data.get("i"))


def asked_of(request: HttpRequest, asked: LogoutRequest, user: AbstractBaseUser | None) -> LogoutRequest:
    """Return the request with who is asked: the browser is signed out when the same form comes again (I23)."""
    if user is None:
        return asked
    return replace(asked, account=str(user.pk), identity_id=browser.sign_in_of(request).identity_id)


# -- the end -------------------------------------------------------------------------------------------------


def is_own(asked: LogoutRequest, user: AbstractBaseUser | None) -> bool:
    """Say whether the ID token is the signed-in person's own. Then no question is needed (§2)."""
    hint = asked.hint
    return (
        user is not None and hint is not None and hint.session_id is not None and hint.subject == str(user.pk)
    )


def sign_out(
    request: HttpRequest, asked: LogoutRequest, user: AbstractBaseUser | None, *, bindings: Iterable[str]
) -> SignOutThere | None:
    """End the client's session, and this browser's sign-in on the site. Return where the person may go on.

    Without an ID token, or with another person's, *user*'s own sessions at the client end.
    """
    asked = asked_of(request, asked, user)
    hint, named = asked.hint, None
    if hint is not None and asked.account in ("", hint.subject):
        named = hint.session_id
    there = sign_out_there(
        session_id=named,
        subject=hint.subject if hint is not None else "",
        identity_id=asked.identity_id,
        is_known=bool(asked.account),
    )
    if hint is not None and named is not None:
        _end_session_of(hint, named)
    elif user is not None and asked.client is not None:
        end.end_sessions_at(user, asked.client)
    browser.forget(list(bindings))
    leave_site(request)
    if there is not None:
        # In the session that begins now. Nothing of the client goes to the provider.
        request.session[SESSION_KEY] = replace(asked, hint=None, account="", identity_id=None).dumps(
            binding_digest=digest(there.state)
        )
    return there


def come_back(request: HttpRequest, state: str) -> LogoutRequest:
    """Return the request that a provider sends the person back from, as often as they ask.

    An empty one where this browser was sent to no provider, with another state, or too long ago: a stranger's link
    leads to the page that says "signed out", and nowhere else.
    """
    kept = request.session.get(SESSION_KEY)
    if not isinstance(kept, str) or not state:
        return LogoutRequest()
    try:
        return load(kept, binding=state)
    except InvalidRequest:
        return LogoutRequest()


def _end_session_of(hint: Hint, session_id: UUID) -> None:
    """End the session, if it belongs to the person and the client of the ID token."""
    member = family.live_member(session_id)
    if member is None:
        return
    if (str(member.user_id), member.application.client_id) == (hint.subject, hint.client_id):
        end.end_session(session_id)
