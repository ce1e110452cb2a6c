"""python-social-auth: a ``UserSocialAuth`` is an identity with its tokens as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django_lazyauth.kit.times import EARLIEST, read_lifetime
from django_lazyauth.legacy.report import Problem
from django_lazyauth.legacy.source import MAX_TOKEN, LegacyRow, Malformed, moment, scope, text
from django_lazyauth.vault.tokens import UpstreamTokens

from .accounts import AccountSource, AddressOnly, identity_of, problem_of

#: ``expires`` above it is a time, below it a duration in seconds. social-core decides in the same way.
LONGEST_DURATION: Final = timedelta(days=2 * 365)
EXPIRED: Final = EARLIEST + timedelta(seconds=1)


class SocialAuthSource(AccountSource):
    """The accounts of ``social_django``."""

    name: ClassVar[str] = "social-auth"
    app: ClassVar[str] = "social_django"
    account_model: ClassVar[str] = "social_django.UserSocialAuth"
    client_id: ClassVar[str] = "moved-from-social-auth"

    def rows_of(self, accounts: Sequence[Any]) -> Iterator[LegacyRow | Problem]:
        for account in accounts:
            key = f"usersocialauth:{account.pk}"
            extra = account.extra_data if isinstance(account.extra_data, Mapping) else {}
            try:
                # With `id_key = "sub"` the id is the subject, even if it looks like an e-mail address.
                is_subject = getattr(account, "id_key", "") == "sub"
                identity = identity_of(account.uid, extra, is_address_allowed=is_subject)
                tokens = _tokens(extra)
            except (Malformed, AddressOnly) as error:
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
