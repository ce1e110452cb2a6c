"""One and the same exchange of ours, with a DPoP proof and without."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.http import HttpRequest

from django_lazyauth.models import TokenFacts, UsedProof
from tests.support.dpop import ProofKey

from .exchange import Client, LazyExchanges, redeem
from .harness import Side


@dataclass(frozen=True)
class ProvingClient(Client):
    """A public client that binds its tokens to one key, and signs each proof anew."""

    key: ProofKey = field(default_factory=ProofKey)

    def token_request(self, path: str, code: str, verifier: str) -> HttpRequest:
        request = super().token_request(path, code, verifier)
        request.META["HTTP_DPOP"] = self.key.proof(f"https://auth.example{path}")
        return request


def sides() -> tuple[Side, Side]:
    """Return the exchange with a proof, and that without."""
    ours = LazyExchanges(ProvingClient(Client.register("Bound", confidential=False).row))
    peer = LazyExchanges(Client.register("Bearer", confidential=False))

    def check() -> None:
        written = UsedProof.objects.count(), TokenFacts.objects.count()
        if written != (ours.prepared, ours.prepared):
            raise AssertionError(f"{ours.prepared} proofs were used, and {written} rows stand")

    return Side(ours.prepare, redeem, check), Side(peer.prepare, redeem)
