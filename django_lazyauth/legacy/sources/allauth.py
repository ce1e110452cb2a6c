"""django-allauth: ``SocialAccount`` is an identity, ``SocialToken`` its tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from django.apps import apps

from django_lazyauth.legacy.report import Problem
from django_lazyauth.legacy.source import LegacyRow, Malformed, known
from django_lazyauth.vault.tokens import UpstreamTokens

from .accounts import AccountSource, AddressOnly, identity_of, problem_of


class AllauthSource(AccountSource):
    """The accounts of ``allauth.socialaccount``. An account may have one token for each application of its provider."""

    name: ClassVar[str] = "allauth"
    app: ClassVar[str] = "allauth.socialaccount"
    account_model: ClassVar[str] = "socialaccount.SocialAccount"
    client_id: ClassVar[str] = "moved-from-allauth"

    def rows_of(self, accounts: Sequence[Any]) -> Iterator[LegacyRow | Problem]:
        tokens = self._tokens_of([account.pk for account in accounts])
        for account in accounts:
            key = f"socialaccount:{account.pk}"
            try:
                # The id is what allauth got from the upstream. It may be an e-mail address.
                identity = identity_of(account.uid, account.extra_data)
            except (Malformed, AddressOnly) as error:
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
