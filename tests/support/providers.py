"""A provider for the tests that are about the flows, not about a protocol: it believes what the code says."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import ClassVar
from urllib.parse import urlencode

from django.utils import timezone

from django_lazyauth.providers.base import Identity, Provider, Redirect, Success
from django_lazyauth.vault.store import UpstreamBundle, store
from django_lazyauth.vault.tokens import UpstreamTokens


class BelievingProvider(Provider):
    """``code=<subject>`` at the callback signs that subject in."""

    emits_commit = True
    #: What finalize does before it writes; a test puts a failure here.
    before_finalize: ClassVar[list[Callable[[], None]]] = []
    finalized: ClassVar[list[str]] = []
    #: Of whoever signs in.
    legacy_subjects: ClassVar[tuple[str, ...]] = ()

    def begin(self, pending, *, state, callback_uri):
        query = urlencode({"state": state, "redirect_uri": callback_uri})
        return Redirect(f"https://upstream.example/authorize?{query}", private={"nonce": "n"})

    def complete(self, request, pending, private):
        assert private == {"nonce": "n"}
        subject = request.GET["code"]
        return Success(
            Identity(
                provider=self.name,
                subject=subject,
                email=f"{subject}@people.example",
                email_verified=True,
                name=subject.title(),
                claims={"given_name": subject.title(), "family_name": "Person"},
                legacy_subjects=self.legacy_subjects,
            ),
            commit={
                "access_token": f"upstream-access-{subject}",
                "refresh_token": f"upstream-refresh-{subject}",
                "client_id": pending.client_id,
                "subject": subject,
            },
            amr=("pwd",),
        )

    def finalize(self, commit, *, user, session_id):
        for hook in self.before_finalize:
            hook()
        self.finalized.append(str(session_id))
        store(
            UpstreamBundle(
                session_id=session_id,
                provider=self.name,
                user_id=user.pk,
                client_id=commit["client_id"],
                subject=commit["subject"],
                access_token=commit["access_token"],
                refresh_token=commit["refresh_token"],
            )
        )


class ObligingProvider(BelievingProvider):
    """Signs the person in as strongly as the client wants."""

    def complete(self, request, pending, private):
        wanted = pending.acr_values.split()
        return replace(super().complete(request, pending, private), acr=wanted[0] if wanted else "")


class UnverifiedProvider(BelievingProvider):
    """It vouches for no address, as Microsoft does."""

    def complete(self, request, pending, private):
        success = super().complete(request, pending, private)
        return replace(success, identity=replace(success.identity, email_verified=False))


class RefreshingProvider(BelievingProvider):
    """Its upstream rotates at each refresh, and takes a moment."""

    def refresh(self, bundle):
        time.sleep(0.02)
        return UpstreamTokens(
            access_token=f"{bundle.access_token}+",
            refresh_token=f"{bundle.refresh_token}+",
            expires_at=timezone.now() - timedelta(seconds=1),
        )
