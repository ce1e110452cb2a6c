"""A session with tokens of a real provider process: signed in there, and stored as an exchange would."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from django_lazyauth.models.fields import uuid7
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault import store
from tests.support.grants import grants_of
from tests.support.legs import leg, pending_of


@dataclass
class Session:
    """One session at one provider."""

    upstream: Any
    application: Any
    user: Any
    session_id: UUID
    provider: str = "acme"

    @property
    def binding(self) -> dict[str, Any]:
        return {
            "session_id": self.session_id,
            "provider": self.provider,
            "user_id": self.user.pk,
            "client_id": self.application.pk,
        }

    def another(self, **changes) -> Session:
        """Return another session of the same person, which has not signed in yet."""
        return replace(self, session_id=uuid7(), **changes)

    def sign_in(self, **levers) -> None:
        """Sign in at the upstream, and store what it gave."""
        success = leg(self.upstream, pending_of(self.application), self.provider, **levers)
        get_provider(self.provider).finalize(success.commit, user=self.user, session_id=self.session_id)

    def revokes_tokens(self, lazyauth) -> None:
        """Say that a refresh token there is a family of its own."""
        lazyauth(PROVIDERS={"acme": self.upstream.config(revocation="token")})

    def fresh(self, **changes):
        return fresh_token(**self.binding | changes)

    def bundle(self) -> store.UpstreamBundle:
        return store.get(**self.binding)

    @property
    def rows(self):
        """The grant that holds its tokens."""
        return grants_of(session_id=self.session_id, provider=self.provider)

    def expire(self) -> store.UpstreamBundle:
        """Let the access token end; return the bundle as it stands then."""
        self.rows.update(expires_at=timezone.now() - timedelta(seconds=1))
        return self.bundle()

    def refreshes(self) -> list[dict]:
        """Return the refresh requests that the upstream has seen."""
        return [
            entry
            for entry in self.upstream.requests("/token")
            if entry["form"].get("grant_type") == "refresh_token"
        ]


@pytest.fixture
def session(upstream, application) -> Session:
    """A session that just signed in."""
    user = get_user_model().objects.create_user("ada")
    session = Session(upstream, application, user, uuid7())
    session.sign_in()
    return session
