"""One and the same exchange of ours, of a client that has a key and of one that has a secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.http import HttpRequest
from django.test import RequestFactory

from django_lazyauth.models import UsedProof
from tests.support.client_keys import ClientKey, give_keys

from .exchange import REDIRECT_URI, Client, LazyExchanges, redeem
from .harness import Side


@dataclass(frozen=True)
class KeyedClient(Client):
    """An operator's client with a key, which signs each request anew."""

    key: ClientKey = field(default_factory=ClientKey)

    def token_request(self, path: str, code: str, verifier: str) -> HttpRequest:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": verifier,
            **self.key.form(self.row.client_id),
        }
        return RequestFactory().post(
            path,
            urlencode(form),
            content_type="application/x-www-form-urlencoded",
            secure=True,
            headers={"accept": "application/json"},
            SERVER_NAME="auth.example",
        )


def sides() -> tuple[Side, Side]:
    """Return the exchange with a key, and that with a secret."""
    keyed = KeyedClient(Client.register("Keyed", confidential=True).row)
    give_keys(keyed.row.client_id, keyed.key)
    secret = Client.register("Secret", confidential=True)
    ours, peer = LazyExchanges(keyed), LazyExchanges(secret)

    def check() -> None:
        proofs = UsedProof.objects.count()
        if proofs != ours.prepared:
            raise AssertionError(f"{ours.prepared} assertions were used, and {proofs} are remembered")

    return Side(ours.prepare, redeem, check), Side(peer.prepare, redeem)
