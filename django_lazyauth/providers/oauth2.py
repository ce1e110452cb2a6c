"""Sign in with an OAuth 2.0 provider (GitHub-style): a userinfo endpoint names the person of an access token.

The OpenID provider, which gets a signed answer, is in :mod:`django_lazyauth.providers.openid`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import IdentityRejected, ProviderUnavailable
from django_lazyauth.openid.people.admission import earlier_subjects
from django_lazyauth.openid.rules import find_subject
from django_lazyauth.vault.tokens import UpstreamTokens

from .base import Identity, Json, Redirect, Success
from .code_flow import Answers, CodeFlow, Endpoints
from .profile import choose_address, log_unused, read_profile
from .userinfo import read_addresses, read_userinfo

if TYPE_CHECKING:
    from django_lazyauth.models import PendingAuthorization


class OAuth2Provider(CodeFlow):
    """An upstream without ID tokens: its userinfo endpoint names the person of an access token."""

    def begin(self, pending: PendingAuthorization, *, state: str, callback_uri: str) -> Redirect:
        if pending.max_age is not None:
            # No answer of such a provider says when the person last authenticated.
            raise ProviderUnavailable("freshness_unknown")
        return super().begin(pending, state=state, callback_uri=callback_uri)

    def endpoints(self) -> Endpoints:
        descriptor = self.descriptor
        return Endpoints(
            descriptor.authorization_endpoint,
            descriptor.token_endpoint,
            descriptor.userinfo_endpoint,
            descriptor.revocation_endpoint,
            descriptor.logout.end_session_endpoint,
        )

    @sensitive_variables()
    def identify(
        self,
        tokens: UpstreamTokens,
        endpoints: Endpoints,
        pending: PendingAuthorization,
        private: Json,
        answers: Answers,
    ) -> Success:
        provider = self.authenticating(endpoints)
        documents = answers.documents()
        if self.descriptor.requests.identity_from == "userinfo":
            document = read_userinfo(provider, endpoints.userinfo, tokens.access_token, documents)
            documents = replace(documents, userinfo=document)
        subject = find_subject(self.descriptor.subject, documents)
        if not subject:
            raise IdentityRejected("sub")
        self.admit(documents)
        profile = read_profile(documents, self.descriptor)
        if self.descriptor.emails_endpoint:
            addresses = read_addresses(provider, tokens.access_token, documents)
            profile = choose_address(profile, addresses, self.descriptor)
        log_unused(self.name, profile)
        identity = Identity(
            provider=self.name,
            subject=subject,
            issuer=self.descriptor.issuer,
            email=profile.email,
            email_verified=profile.email_verified,
            name=profile.name,
            claims=profile.claims,
            raw=profile.raw,
            user_fields=profile.user_fields,
            groups=profile.known_groups,
            kept=profile.kept,
            legacy_subjects=earlier_subjects(self.descriptor.people, documents),
        )
        return Success(identity)
