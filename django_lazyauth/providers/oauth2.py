"""Sign in with an OAuth 2.0 provider (GitHub-style): a userinfo endpoint names the person of an access token.

The OpenID provider, which gets a signed answer, is in :mod:`django_lazyauth.providers.openid`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import IdentityRejected, ProviderUnavailable
from django_lazyauth.openid.verify import IdTokenRejected, read_profile
from django_lazyauth.vault.tokens import UpstreamTokens

from .base import Identity, Json, Redirect, Success
from .code_flow import CodeFlow, Endpoints
from .userinfo import choose_address, read_subject, read_userinfo

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
        )

    @sensitive_variables()
    def identify(
        self,
        tokens: UpstreamTokens,
        endpoints: Endpoints,
        pending: PendingAuthorization,
        private: Json,
        answer: Mapping[str, str],
    ) -> Success:
        document = read_userinfo(endpoints.userinfo, tokens.access_token)
        if not isinstance(document, dict):
            raise ProviderUnavailable("bad_answer", debug="userinfo: not an object")
        try:
            profile = read_profile(document, self.descriptor)
        except IdTokenRejected as error:
            raise IdentityRejected(error.reason) from None
        if self.descriptor.emails_endpoint:
            addresses = read_userinfo(self.descriptor.emails_endpoint, tokens.access_token)
            profile = choose_address(addresses, profile)
        identity = Identity(
            provider=self.name,
            subject=read_subject(document.get(self.descriptor.subject)),
            issuer=self.descriptor.issuer,
            email=profile.email,
            email_verified=profile.email_verified and self.descriptor.states_email_verified,
            name=profile.name,
            claims={name: value for name, value in document.items() if isinstance(value, (str, int))},
        )
        return Success(identity)
