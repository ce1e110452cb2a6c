"""One leg to an upstream, without our pages: begin, let the person agree there, complete."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from django.test import RequestFactory
from django.utils import timezone

from django_lazyauth.models import PendingAuthorization
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.vault.tokens import UpstreamBundle

STATE = "state-of-this-leg"
CALLBACK = "https://auth.example/callback/acme"


def pending_of(client, **fields) -> PendingAuthorization:
    """Return an authorization request, not saved: a provider must not need the row."""
    return PendingAuthorization(
        client=client,
        redirect_uri="https://client.example/cb",
        code_challenge="x" * 43,
        expires_at=timezone.now() + timedelta(minutes=5),
        **fields,
    )


def begin(pending, name="acme"):
    return get_provider(name).begin(pending, state=STATE, callback_uri=CALLBACK)


def complete(pending, callback_url, private, name="acme"):
    """Hand the callback to a new instance, as the next request does."""
    return get_provider(name).complete(RequestFactory().get(callback_url), pending, private)


def leg(upstream, pending, name="acme", **levers):
    """Sign in at the upstream, with its levers pulled, and return what the provider says."""
    redirect = begin(pending, name)
    return complete(pending, upstream.authorize(redirect.url, **levers), redirect.private, name)


def bundle_of(commit, name="acme") -> UpstreamBundle:
    """Return what stands in the vault after such a sign-in."""
    return UpstreamBundle(
        session_id=uuid4(),
        provider=name,
        user_id=1,
        client_id=1,
        subject=commit.get("subject", "person-1"),
        access_token=commit["access_token"],
        refresh_token=commit["refresh_token"],
    )
