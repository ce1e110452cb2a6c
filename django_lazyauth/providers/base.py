"""What a provider is: the one contract between a way to sign in and the flows.

A provider never writes to the database while the person signs in, and never decides who is signed in here:
it says who the person is (:class:`Identity`), and hands over what it wants written later (``commit``).
The flows decide when that happens (``immediate`` or ``lazy``), in one transaction with the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable
from uuid import UUID

from django_lazyauth.vault.tokens import UpstreamBundle, UpstreamTokens

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

    from django_lazyauth.conf import RegistrationMode
    from django_lazyauth.kit.results import Pending
    from django_lazyauth.models import PendingAuthorization

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, in the words of a provider. (provider, subject) names one person for ever (I5).

    Attributes:
        provider: Logical name of the provider, as configured; never the protocol type.
        subject: The provider's stable, case-sensitive name for the person, at most 255 characters.
        issuer: The OpenID issuer where there is one, else empty.
        email: As the provider gave it, or empty. Never a key: equal addresses link nobody (I6).
        email_verified: The provider says that the person controls ``email``.
        name: To show, at most 128 characters.
        claims: What else the provider said and a host may want: JSON, no tokens.
        sso_domain: The domain whose own provider said it; empty for a configured one.
        sso_name: What that domain calls itself.
    """

    provider: str
    subject: str
    issuer: str = ""
    email: str = ""
    email_verified: bool = False
    name: str = ""
    claims: Mapping[str, Any] = field(default_factory=dict)
    sso_domain: str = ""
    sso_name: str = ""


@dataclass(frozen=True, slots=True)
class Success:
    """The person is who ``identity`` says.

    Attributes:
        identity: Who it is.
        commit: JSON that the provider wants written with the user; comes back in ``finalize``.
        user: A user of this site that the provider itself authenticated (a local password). It needs no
            identity row; everybody else is found by (provider, subject).
        auth_time: Aware time when the person last proved themselves; ``None`` means now.
        amr: Authentication methods (RFC 8176), where known.
        acr: Authentication context class, where known.
    """

    identity: Identity
    commit: Json | None = None
    user: AbstractBaseUser | None = None
    auth_time: datetime | None = None
    amr: tuple[str, ...] = ()
    acr: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Send the browser to the upstream.

    Attributes:
        url: Absolute URL of the upstream's authorization endpoint with its query.
        private: JSON for ``complete``, kept sealed in the pending row: nonce, PKCE verifier.
    """

    url: str
    private: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """Show a page of our own; its forms post back to the provider's address of this flow.

    Attributes:
        template: Name of the template.
        context: For the template; the view adds the flow, the client and the form token.
        private: What ``complete`` gets next time; ``None`` keeps what stands.
        status: HTTP status.
    """

    template: str
    context: Json = field(default_factory=dict)
    private: Json | None = None
    status: int = 200


class Provider:
    """A way to sign in. One instance serves one request; it keeps no state of its own.

    Raises of every method: :class:`~django_lazyauth.errors.ProviderError` for what the person may retry.
    """

    #: Whether ``complete`` may return a ``commit``. Such a provider must implement :meth:`finalize`.
    emits_commit: ClassVar[bool] = False
    #: Whether the person leaves our site: then ``complete`` is the callback, reached with a one-time state.
    is_upstream: ClassVar[bool] = True

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name = name
        self.config = config

    @property
    def display_name(self) -> str:
        """What the button says."""
        return str(self.config.get("display_name", self.name.replace("-", " ").replace("_", " ").title()))

    @property
    def registration(self) -> RegistrationMode | None:
        """The provider's own mode, or ``None`` for the site's."""
        mode: RegistrationMode | None = self.config.get("registration")
        return mode

    def check(self) -> None:
        """Check the configuration without touching network or database; ``manage.py check`` asks.

        Raises:
            ImproperlyConfigured, LazyAuthError: It cannot work; the message says why, and holds no secret.
        """

    def prepare(self) -> Pending | None:
        """Make sure that the next step need not wait for another server; ``Pending`` while it would have to.

        Asked before ``begin``, and before a callback's state is spent: a person who has to wait loses nothing.
        """
        return None

    def begin(self, pending: PendingAuthorization, *, state: str, callback_uri: str) -> Redirect | Page:
        """Start signing in.

        Args:
            pending: The authorization request that the person is answering.
            state: Fresh secret of this leg; an upstream must return it to ``callback_uri``.
            callback_uri: Absolute URL of our callback for this provider.
        """
        raise NotImplementedError

    def complete(self, request: HttpRequest, pending: PendingAuthorization, private: Json) -> Success | Page:
        """Finish signing in: the callback of an upstream, or a form of our own.

        Runs outside any transaction and must not write. ``private`` is what the last step returned.
        """
        raise NotImplementedError

    def finalize(self, commit: Json, *, user: AbstractBaseUser, session_id: UUID) -> None:
        """Write what ``commit`` holds for *user*, inside the transaction that writes the user.

        Called at most once per successful exchange. An exception rolls everything back: the client sees
        ``server_error``, and the code stays redeemable. It must not talk to the network: a transaction is
        open. :class:`~django_lazyauth.errors.RegistrationRefused` refuses for good.
        """
        raise NotImplementedError


# --- What a provider may be able to do besides -------------------------------------------------------------


#: What a host's provider returns from ``refresh``.
TokenAnswer = UpstreamTokens


@runtime_checkable
class CanRefresh(Protocol):
    """A provider that renews the tokens it gave, without the person."""

    def refresh(self, bundle: UpstreamBundle) -> UpstreamTokens:
        """Ask the upstream for new tokens, within 10 s in all. Writes nothing; no transaction is open.

        Raises:
            RefreshExpired: The upstream refused the refresh token.
            RefreshTransient: It failed, and may not the next time.
            RefreshUnavailable: It never can.
        """


@runtime_checkable
class CanRevoke(Protocol):
    """A provider that can be told to forget tokens it gave."""

    def revoke(self, bundle: UpstreamBundle) -> None:
        """Revoke refresh and access token of *bundle* upstream, as far as it is offered (RFC 7009)."""
