"""The contract of a provider: a way to sign in.

A provider identifies the person (:class:`Identity`) and returns the data that it wants stored (``commit``). It never
writes to the database while the person signs in, and never signs a person in. The sign-in code decides when ``commit``
is written (``immediate`` or ``lazy``), in one transaction with the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable
from uuid import UUID

from django.templatetags.static import static
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString, mark_safe

import django_lazyauth
from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.models import Noted
from django_lazyauth.openid.presets import LOGOS, PRESETS
from django_lazyauth.vault.tokens import GrantTerms, UpstreamBundle, UpstreamTokens

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

    from django_lazyauth.conf import RegistrationMode
    from django_lazyauth.kit.results import Pending
    from django_lazyauth.models import PendingAuthorization, ProviderIdentity
    from django_lazyauth.openid.people.keys import People

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as a provider describes them. (provider, subject) identifies one person for ever (I5).

    Attributes:
        provider: Logical name of the provider, as configured; never the protocol type.
        subject: The provider's stable, case-sensitive identifier of the person, at most 255 characters.
        issuer: The OpenID issuer where there is one, else empty.
        email: From the provider, or empty. Never a key: equal addresses do not link accounts (I6).
        email_verified: The provider says that the person controls ``email``.
        name: To show, at most 128 characters.
        claims: Other claims, for the host: JSON, no tokens, at most 16 KiB.
        raw: What each source said: ``id_token``, ``userinfo``, ``token`` (the token answer) and ``answer`` (parameters
            of the authorization response, which are in the hands of the browser). JSON, no tokens, at most 16 KiB.
        sso_domain: The domain of the provider; empty for a configured provider.
        sso_name: The name that the domain gives itself.
        legacy_subjects: What ``subject`` may have been earlier (key ``legacy_subjects``), the preferred one first.
        user_fields: What the fields of a user may be filled with (key ``user_fields``): field → text, number or flag.
            ``None``: ``given_name`` and ``family_name`` of the claims.
        groups: Of the person there (key ``groups``); ``None`` where that is not known.
        kept: The claims that are kept with the account here (key ``keep_claims``): path → value.
        is_partial: The provider was not heard out, so what is missing may exist: UserInfo did not answer, or an app
            handed over an ID token.
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
    legacy_subjects: Sequence[str] = ()
    raw: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    user_fields: Mapping[str, Any] | None = field(default=None, repr=False)
    groups: Sequence[str] | None = None
    kept: Mapping[str, Any] = field(default_factory=dict, repr=False)
    is_partial: bool = False


class SyncFunction(Protocol):
    """A host's own value of the key ``sync``."""

    def __call__(
        self, user: AbstractBaseUser, identity: ProviderIdentity, changed: frozenset[str], /
    ) -> Iterable[str] | None:
        """Set fields of *user* and return their names, at each sign-in with *identity*. They are written then.

        Runs in the transaction of the sign-in, and must not use the network.

        Args:
            changed: The fields of *identity* that say something else than before; of a new one, all that say anything.

        Raises:
            RegistrationRefused: This person may not sign in, with a reason that they may read.
        """


@dataclass(frozen=True, slots=True)
class SyncTerms:
    """How a user follows their account at a provider.

    Attributes:
        sync: ``import``: the account fills a new user. ``update``: also later. Or a function of the host.
        fields: What ``update`` may write.
        group_map: Group there → name of a group here.
        groups_mode: ``add``: a user never leaves a group.
    """

    sync: Literal["import", "update"] | SyncFunction = "import"
    fields: tuple[str, ...] = ()
    group_map: tuple[tuple[str, str], ...] = ()
    groups_mode: Literal["mirror", "add"] = "mirror"

    @classmethod
    def of(cls, people: People) -> SyncTerms:
        """
        Raises:
            ProviderUnavailable: ``misconfigured``: the key ``sync`` names no function.
        """
        sync = people.sync
        if isinstance(sync, str) and sync not in ("import", "update"):
            try:
                sync = import_string(sync)
            except ImportError:
                sync = None
            if not callable(sync):
                hint = '"sync" must be import, update, or a function or its dotted path'
                raise ProviderUnavailable("misconfigured", stage="configuration", debug=hint)
        return cls(sync, people.sync_fields, people.group_map, people.groups_mode)


@dataclass(frozen=True, slots=True)
class Success:
    """The person is identified.

    Attributes:
        identity: The person.
        commit: JSON that the provider wants stored with the user; ``finalize`` receives it.
        user: A user of this site that the provider itself authenticated (a local password). They need no identity
            row; everybody else is found by (provider, subject).
        auth_time: Aware time when the person last authenticated; ``None`` means now.
        amr: Authentication methods (RFC 8176), where known.
        acr: Authentication context class, where known.
    """

    identity: Identity
    commit: Json | None = field(default=None, repr=False)
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

    url: str = field(repr=False)
    private: Json = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Show a page of our own; its forms post back to the provider's address of this flow.

    Attributes:
        template: Name of the template.
        context: For the template; the view adds the flow, the client and the form token.
        private: JSON for the next ``complete``; ``None`` keeps the stored one.
        status: HTTP status.
        script: Path below ``STATIC_URL`` of the one script that the page may run, and works without; empty for none.
        refused: Why the form was not enough, for operators, where it was an attempt to sign in.
        is_final: The form had an effect outside, such as a mail. The same form again, from a double click or a
            reload, shows this page again and does nothing.
    """

    template: str
    context: Json = field(default_factory=dict, repr=False)
    private: Json | None = field(default=None, repr=False)
    status: int = 200
    is_final: bool = False
    refused: Noted | None = field(default=None, repr=False)
    script: str = ""


@cache
def _drawing(preset: str) -> SafeString:
    """Return the file of a preset. It is of this package, holds no text of anybody, and nothing in it is fetched."""
    svg = (Path(django_lazyauth.__file__).parent / "static" / LOGOS / f"{preset}.svg").read_text()
    # The button is named by its words.
    return mark_safe(svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))  # noqa: S308 - a file of ours


class Provider:
    """A way to sign in. One instance serves one request; it keeps no state of its own.

    Every method may raise :class:`~django_lazyauth.errors.ProviderError` for a failure that the person may retry.
    """

    #: Whether ``complete`` may return a ``commit``. Such a provider must implement :meth:`finalize`.
    emits_commit: ClassVar[bool] = False
    #: Whether the person leaves our site. Then ``complete`` is the callback, called with a one-time state.
    is_upstream: ClassVar[bool] = True
    #: Whether somebody who is signed in can add it to their account on pages of ours.
    is_set_here: ClassVar[bool] = False
    #: The text of the button where the entry has none; empty: the entry's name.
    default_name: ClassVar[str | Promise] = ""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self.name = name
        self.config = config

    @property
    def display_name(self) -> str:
        """The text of the button."""
        name = self.name.replace("-", " ").replace("_", " ").title()
        return str(self.config.get("display_name") or self.default_name or name)

    @property
    def logo(self) -> str:
        """URL of the picture on the button; empty where there is none, or where its file is missing."""
        path = self.config.get("logo") or ""
        try:
            return static(path) if isinstance(path, str) and path else ""
        except ValueError:
            # A storage with a manifest does not know the file. The button needs no picture.
            return ""

    @property
    def drawing(self) -> SafeString:
        """The picture of the preset as markup, so that a page with many buttons asks for no files. Else empty.

        An entry that names a file of its own has that one (:attr:`logo`).
        """
        path = self.config.get("logo") or ""
        folder, _, file = path.rpartition("/") if isinstance(path, str) else ("", "", "")
        name = file.removesuffix(".svg")
        return _drawing(name) if folder == LOGOS and name in PRESETS else mark_safe("")

    @property
    def registration(self) -> RegistrationMode | None:
        """The mode of this provider; ``None``: the mode of the site."""
        mode: RegistrationMode | None = self.config.get("registration")
        return mode

    def check(self) -> None:
        """Check the configuration without network and database, for ``manage.py check``.

        Raises:
            ImproperlyConfigured, LazyAuthError: The configuration cannot work. The message holds no secret.
        """

    def grant_terms(self) -> GrantTerms:
        """Say what a person grants at this upstream: whether it outlives their sign-in there.

        Raises:
            ProviderUnavailable: ``misconfigured``.
        """
        return GrantTerms()

    def sync_terms(self) -> SyncTerms:
        """Say how users follow their accounts here. No network is used.

        Raises:
            ProviderUnavailable: ``misconfigured``.
        """
        return SyncTerms()

    def prepare(self) -> Pending | None:
        """Return ``Pending`` if the next step would wait for another server.

        Called before ``begin``, and before the state of a callback is spent. The person can repeat the request.
        """
        return None

    def begin(self, pending: PendingAuthorization, *, state: str, callback_uri: str) -> Redirect | Page:
        """Start signing in.

        Args:
            pending: The authorization request.
            state: A new secret; the upstream must return it to ``callback_uri``.
            callback_uri: Absolute URL of our callback for this provider.
        """
        raise NotImplementedError

    def keep_answer(self, parameters: Mapping[str, str]) -> Json:
        """Return what of a posted authorization response is kept for ``complete``, beside what the protocol needs.

        Such a POST comes from another site and without cookies: nobody knows yet whose browser sent it. ``complete``
        finds what was kept in ``private["answer"]``.
        """
        return {}

    def complete(self, request: HttpRequest, pending: PendingAuthorization, private: Json) -> Success | Page:
        """Finish signing in: the callback of an upstream, or a form of our own.

        Runs outside any transaction and must not write. ``private`` is the JSON that the last step returned.
        """
        raise NotImplementedError

    def finalize(self, commit: Json, *, user: AbstractBaseUser, session_id: UUID) -> None:
        """Write ``commit`` for *user*, inside the transaction that writes the user.

        Called at most once per successful exchange. It must not use the network, because a transaction is open. An
        exception rolls everything back: the client gets ``server_error``, and can redeem the code again.
        :class:`~django_lazyauth.errors.RegistrationRefused` refuses permanently.
        """
        raise NotImplementedError


# --- Optional capabilities of a provider -------------------------------------------------------------------


#: What a host's provider returns from ``refresh``.
TokenAnswer = UpstreamTokens


@dataclass(frozen=True, slots=True)
class UnusableAnswer:
    """The upstream answered a refresh with success, and no access token of its answer can be used.

    The caller records what became of the refresh token, and then says ``reason``. A refresh token that is spent must
    not be sent again: many upstreams take that for theft and end the grant.

    Attributes:
        reason: A short word of ours.
        is_spent: The upstream rotated the refresh token: the old one is of no use any more.
        refresh_token: The new one; empty where it cannot be kept.
        refresh_expires_at: Aware time when the new one expires.
    """

    reason: str
    is_spent: bool = False
    refresh_token: str = field(default="", repr=False)
    refresh_expires_at: datetime | None = None


@runtime_checkable
class CanRefresh(Protocol):
    """A provider that renews its tokens without the person."""

    def refresh(self, bundle: UpstreamBundle) -> UpstreamTokens | UnusableAnswer:
        """Ask the upstream for new tokens, within 10 s in all. Writes nothing; no transaction is open.

        An error says that the refresh token of *bundle* was not spent. Where it was, return :class:`UnusableAnswer`.

        Raises:
            RefreshExpired: The upstream refused the refresh token.
            RefreshTransient: The refresh failed; a later one may succeed.
            RefreshUnavailable: No refresh can succeed.
        """


@runtime_checkable
class CanAskAgain(Protocol):
    """A provider that may give a refresh token if it asks the person for consent once more."""

    def lacks_refresh_token(self, commit: Json) -> bool:
        """Say whether *commit* should hold a refresh token and does not, and asking once more could bring one."""

    def begin_again(
        self, pending: PendingAuthorization, *, state: str, callback_uri: str, login_hint: str
    ) -> Redirect:
        """Send the person there for consent, with new secrets. Otherwise as ``begin``.

        Args:
            login_hint: By which account: the person is to choose no other.
        """


@runtime_checkable
class CanRevoke(Protocol):
    """A provider that can revoke its tokens."""

    def revoke(self, bundle: UpstreamBundle) -> None:
        """Revoke refresh and access token of *bundle* upstream, if it has a revocation endpoint (RFC 7009)."""
