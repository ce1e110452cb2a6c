"""django-allauth: ``SocialAccount`` is an identity, ``SocialToken`` its tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, ClassVar, Final

from django.apps import apps

from django_lazyauth.legacy.report import Problem
from django_lazyauth.legacy.source import LegacyRow, Malformed, known
from django_lazyauth.vault.tokens import UpstreamTokens

from .accounts import AccountSource, AddressOnly, problem_of
from .subjects import ForeignSubject

#: Provider of django-allauth → the claims that its account ids are. GitLab's ``sub`` is its ``id``, as Google's was.
UID_IS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(
        ("amazon_cognito", "apple", "auth0", "authentiq", "cilogon", "globus", "mediawiki"),
        frozenset({"sub"}),
    ),
    **dict.fromkeys(("okta", "openid_connect", "quickbooks", "yahoo"), frozenset({"sub"})),
    **dict.fromkeys(("google", "gitlab"), frozenset({"sub", "id"})),
    **dict.fromkeys(("discord", "facebook", "gitea", "github", "spotify", "twitch"), frozenset({"id"})),
}
NO_CLAIM: Final[frozenset[str]] = frozenset()


def _is_shipped(provider_id: str) -> bool:
    """Say whether django-allauth itself has a provider of this id."""
    return (
        provider_id.isidentifier() and find_spec(f"allauth.socialaccount.providers.{provider_id}") is not None
    )


class AllauthSource(AccountSource):
    """The accounts of ``allauth.socialaccount``. An account may have one token for each application of its provider."""

    name: ClassVar[str] = "allauth"
    app: ClassVar[str] = "allauth.socialaccount"
    account_model: ClassVar[str] = "socialaccount.SocialAccount"
    client_id: ClassVar[str] = "moved-from-allauth"

    def uid_is(self, account: Any) -> Collection[str] | None:
        provider_id = str(account.provider)
        if provider_id in UID_IS:
            return UID_IS[provider_id]
        # Other ids are those that a site gave to its providers of "openid_connect".
        return NO_CLAIM if _is_shipped(provider_id) else None

    def rows_of(self, accounts: Sequence[Any]) -> Iterator[LegacyRow | Problem]:
        tokens = self._tokens_of([account.pk for account in accounts])
        for account in accounts:
            key = f"socialaccount:{account.pk}"
            try:
                # The id is what allauth got from the upstream. It may be an e-mail address.
                identity = self.identity(account, account.extra_data)
            except (Malformed, AddressOnly, ForeignSubject) as error:
                yield problem_of(key, error)
                continue
            common = {
                "handle": account.pk,
                "provider_id": account.provider,
                "user_id": account.user_id,
                "client_id": self.client_key,
                "subject": identity.subject,
                "identity": identity,
                "issuer": identity.issuer,
            }
            stored = tokens.get(account.pk, [])
            if not stored:
                yield LegacyRow(key=key, **common)
            for token in stored:
                yield LegacyRow(
                    key=f"socialtoken:{token.pk}",
                    session=str(self.session_of(token.pk)),
                    tokens=UpstreamTokens(token.token, token.token_secret, expires_at=token.ends_at),
                    **common,
                )

    def _tokens_of(self, accounts: Sequence[Any]) -> dict[Any, list[Any]]:
        tokens: Any = apps.get_app_config("socialaccount").get_model("SocialToken")
        rows = tokens._default_manager.using(self.models.using)
        found: dict[Any, list[Any]] = defaultdict(list)
        rows = rows.filter(account_id__in=accounts).exclude(token="", token_secret="").order_by("pk")
        for token in rows.defer("expires_at").annotate(ends_at=known("expires_at")):
            found[token.account_id].append(token)
        return found
