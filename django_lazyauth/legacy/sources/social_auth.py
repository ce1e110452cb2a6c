"""python-social-auth: a ``UserSocialAuth`` is an identity with its tokens as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django_lazyauth.kit.times import EARLIEST, read_lifetime
from django_lazyauth.legacy.report import Problem
from django_lazyauth.legacy.source import MAX_TOKEN, LegacyRow, Malformed, moment, scope, text
from django_lazyauth.vault.tokens import UpstreamTokens

from .accounts import AccountSource, AddressOnly, problem_of
from .subjects import ForeignSubject

#: ``expires`` above it is a time, below it a duration in seconds. social-core decides in the same way.
LONGEST_DURATION: Final = timedelta(days=2 * 365)
EXPIRED: Final = EARLIEST + timedelta(seconds=1)


#: Backend of python-social-auth → the claims that its account ids are, where the account does not say so itself.
UID_IS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(
        ("github", "github-app", "github-org", "github-team", "facebook", "discord"), frozenset({"id"})
    ),
    "gitlab": frozenset({"sub", "id"}),
    # Directory ids and principal names.
    **dict.fromkeys(
        ("azuread-oauth2", "azuread-oauth2-v2", "azuread-tenant-oauth2", "azuread-v2-tenant-oauth2"),
        frozenset(),
    ),
    **dict.fromkeys(("azuread-b2c-oauth2", "live", "microsoft-graph"), frozenset()),
    # User names and addresses.
    **dict.fromkeys(("keycloak", "linkedin-oauth2", "okta-oauth2", "saml"), frozenset()),
}


class SocialAuthSource(AccountSource):
    """The accounts of ``social_django``."""

    name: ClassVar[str] = "social-auth"
    app: ClassVar[str] = "social_django"
    account_model: ClassVar[str] = "social_django.UserSocialAuth"
    client_id: ClassVar[str] = "moved-from-social-auth"

    def uid_is(self, account: Any) -> Collection[str] | None:
        if key := getattr(account, "id_key", ""):
            return frozenset({str(key)})
        return UID_IS.get(str(account.provider))

    def rows_of(self, accounts: Sequence[Any]) -> Iterator[LegacyRow | Problem]:
        for account in accounts:
            key = f"usersocialauth:{account.pk}"
            extra = account.extra_data if isinstance(account.extra_data, Mapping) else {}
            try:
                # With `id_key = "sub"` the id is the subject, even if it looks like an e-mail address.
                is_subject = getattr(account, "id_key", "") == "sub"
                identity = self.identity(account, extra, is_address_allowed=is_subject)
                tokens = _tokens(extra)
            except (Malformed, AddressOnly, ForeignSubject) as error:
                yield problem_of(key, error)
                continue
            yield LegacyRow(
                key=key,
                handle=account.pk,
                provider_id=account.provider,
                user_id=account.user_id,
                session=str(self.session_of(account.pk)),
                client_id=self.client_key,
                subject=identity.subject,
                tokens=tokens,
                identity=identity,
                issuer=identity.issuer,
            )


def _tokens(extra: Mapping[str, Any]) -> UpstreamTokens | None:
    access_token = extra.get("access_token")
    if isinstance(access_token, Mapping):
        return None  # OAuth 1: a token with a secret, which is of no use here.
    tokens = UpstreamTokens(
        text(access_token, limit=MAX_TOKEN),
        text(extra.get("refresh_token"), limit=MAX_TOKEN),
        text(extra["id_token"], limit=MAX_TOKEN) if isinstance(extra.get("id_token"), str) else "",
        text(extra.get("token_type"), limit=MAX_TOKEN),
        scope(extra.get("scope")),
        _expires_at(extra),
    )
    return tokens if tokens.access_token or tokens.refresh_token else None


def _expires_at(extra: Mapping[str, Any]) -> datetime | None:
    if extra.get("expires_on") is not None:
        return moment(extra["expires_on"])
    value = extra.get("expires_in", extra.get("expires"))
    at = None if "expires_in" in extra else moment(value)
    if at is not None and at > EARLIEST + LONGEST_DURATION:
        return at
    lifetime = read_lifetime(value)
    if lifetime is None:
        return None
    asked_at = moment(extra.get("auth_time"))
    # Without `auth_time` the token counts as expired. Its first use refreshes it.
    return asked_at + lifetime if asked_at else EXPIRED
