"""Sign in with an OpenID Connect provider: a code for an ID token, and the ID token checked.

Every configured OpenID provider is this class and a dict.

Not here: the code flow (:class:`~django_lazyauth.providers.code_flow.CodeFlow`), the checks of a token
(:mod:`django_lazyauth.openid.verify`), and where its keys are (:mod:`django_lazyauth.openid.sources`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import IdentityRejected, ProviderUnavailable
from django_lazyauth.kit.results import Failed, Pending, Ready, Result
from django_lazyauth.openid import sources
from django_lazyauth.openid.descriptor import DescriptorError
from django_lazyauth.openid.jose import LEEWAY, Reason
from django_lazyauth.openid.key_set import OtherKeyType
from django_lazyauth.openid.people.admission import earlier_subjects
from django_lazyauth.openid.provider_kinds import IDENTIFIER_LIMIT
from django_lazyauth.openid.rules import Documents
from django_lazyauth.openid.sources import KeySource, Published, StoredKeys
from django_lazyauth.openid.verify import (
    IdTokenRejected,
    VerifiedIdentity,
    VerifiedLogout,
    read_unverified,
    session_of,
    verify_id_token,
    verify_logout_token,
    verify_userinfo,
)
from django_lazyauth.vault.tokens import UpstreamBundle, UpstreamTokens

from .authorize_request import acr_in_our_words
from .base import Identity, Json, Redirect, Success, UnusableAnswer
from .code_flow import Answers, CodeFlow, Endpoints
from .profile import Profile, log_unused, read_profile
from .registry import get_provider
from .userinfo import read_claims, wants_userinfo

if TYPE_CHECKING:
    from django_lazyauth.models import PendingAuthorization

T = TypeVar("T")

#: Why a token is refused that newer keys may verify.
_OF_KEYS: Final = (Reason.UNKNOWN_KID, Reason.SIGNATURE)
_PLACEHOLDER: Final = re.compile(r"\\\{[A-Za-z0-9_]+\\\}")


class OpenIDProvider(CodeFlow):
    """A configured OpenID provider (OpenID Connect Core §3.1)."""

    def new_nonce(self) -> str:
        return "" if self.descriptor.requests.nonce == "none" else secrets.token_urlsafe(32)

    @cached_property
    def source(self) -> KeySource:
        """Where the metadata and keys of the upstream are kept."""
        return StoredKeys(self.descriptor)

    def prepare(self) -> Pending | None:
        """Load the metadata and keys of the upstream for the rest of the request.

        Raises:
            ProviderUnavailable: They were never fetched, and the fetch failed; ``reason`` says how.
        """
        found = sources.load(self.source)
        if isinstance(found, Pending):
            return found
        self.published = _published(found)
        return None

    @cached_property
    def published(self) -> Published:
        """The metadata and keys of the upstream, as last fetched.

        Raises:
            ProviderUnavailable: There are none, or none yet.
        """
        return _published(sources.load(self.source))

    def begin(self, pending: PendingAuthorization, *, state: str, callback_uri: str) -> Redirect:
        """Send the person there, unless the provider demands of every client what this site cannot do.

        Raises:
            ProviderUnavailable: The word for what it demands, such as ``par``.
        """
        for demand in self.published.stored.demands(self.descriptor):
            raise ProviderUnavailable(demand, stage="keys")
        return super().begin(pending, state=state, callback_uri=callback_uri)

    def token_endpoint_failed(self) -> None:
        if not self.descriptor.token_endpoint:
            sources.endpoint_failed(self.source)

    def endpoints(self) -> Endpoints:
        stored, descriptor = self.published.stored, self.descriptor
        return Endpoints(
            authorization=stored.endpoint("authorization_endpoint", descriptor),
            token=stored.endpoint("token_endpoint", descriptor),
            userinfo=stored.endpoint("userinfo_endpoint", descriptor),
            revocation=stored.endpoint("revocation_endpoint", descriptor),
            end_session=descriptor.logout.address(stored.configuration),
            sends_issuer=stored.sends_issuer,
            auth_methods=stored.auth_methods,
        )

    def known_end_session(self) -> str:
        known = sources.known(self.source)
        return self.descriptor.logout.address({} if known is None else known.configuration)

    def method_found(self) -> str:
        return self.published.stored.method_found

    @cached_property
    def accounts(self) -> str:
        """The name that identities are kept under: this one, or that of ``accounts_of``.

        Raises:
            ProviderUnavailable: ``misconfigured``: the other one is no provider of these people (I19).
        """
        name = self.descriptor.people.accounts_of
        if not name:
            return self.name
        try:
            other = get_provider(name)
        except ProviderUnavailable:
            other = self
        ours = self.descriptor
        if (
            other is self
            or not isinstance(other, OpenIDProvider)
            or name == self.name
            or other.descriptor.people.accounts_of
            or (other.descriptor.issuer, other.descriptor.subject) != (ours.issuer, ours.subject)
        ):
            hint = '"accounts_of" must name another provider with the same "issuer" and "subject"'
            raise ProviderUnavailable("misconfigured", debug=hint)
        return name

    def check(self) -> None:
        super().check()
        try:
            _ = self.accounts
        except ProviderUnavailable as error:
            raise DescriptorError(self.name, error.debug) from None

    def names_issuer(self, issuer: str) -> bool:
        """Say whether *issuer* matches the configured one, in any tenant. The ID token names the tenant."""
        return any(
            re.fullmatch(_PLACEHOLDER.sub("[A-Za-z0-9._-]+", re.escape(name)), issuer) is not None
            for name in self.descriptor.issuers
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
        is_sent = self.descriptor.requests.nonce != "none"
        nonce = private.get("nonce") if is_sent else None
        if is_sent and not nonce:
            raise ProviderUnavailable("configuration_changed")
        if not tokens.id_token:
            raise IdentityRejected("no_id_token", stage="token")
        verified = self.verify(tokens.id_token, nonce=nonce, max_age=pending.max_age)
        if answers.authorization.get("iss", verified.issuer) not in verified.issuers:
            raise IdentityRejected("issuer_mismatch")
        check_freshness(verified, pending)
        documents = replace(answers.documents(), id_token=verified.claims)
        profile = read_profile(documents, self.descriptor)
        if not (endpoints.userinfo and wants_userinfo(self.descriptor, documents, profile)):
            return self.success(verified, documents, profile)
        document = self.userinfo(verified, endpoints, tokens.access_token, documents)
        documents = replace(documents, userinfo=document)
        profile = read_profile(documents, self.descriptor)
        return self.success(verified, documents, replace(profile, is_partial=not document))

    @sensitive_variables()
    def sid_of(self, tokens: UpstreamTokens) -> str:
        return session_of(read_unverified(tokens.id_token))  # `identify` verified it.

    def success_of_token(self, verified: VerifiedIdentity) -> Success:
        """Return the result for a person of whom there is an ID token only. Raises as :meth:`success`."""
        documents = Documents(id_token=verified.claims)
        profile = read_profile(documents, self.descriptor)
        is_partial = bool(self.endpoints().userinfo) and wants_userinfo(self.descriptor, documents, profile)
        return self.success(verified, documents, replace(profile, is_partial=is_partial))

    def success(self, verified: VerifiedIdentity, documents: Documents, profile: Profile) -> Success:
        """Return the result for a person whose ID token is valid.

        Raises:
            IdentityRejected: ``not_allowed``: the configuration keeps them out.
        """
        self.admit(documents, verified.tenant)
        log_unused(self.name, profile)
        identity = Identity(
            provider=self.accounts,
            subject=subject_of(verified),
            issuer=verified.issuer,
            email=profile.email,
            email_verified=profile.email_verified,
            name=profile.name,
            claims=profile.claims,
            raw=profile.raw,
            user_fields=profile.user_fields,
            groups=profile.known_groups,
            kept=profile.kept,
            is_partial=profile.is_partial,
            legacy_subjects=earlier_subjects(self.descriptor.people, documents, verified.tenant),
        )
        acr = acr_in_our_words(self.descriptor, verified.acr)
        return Success(identity, auth_time=verified.auth_time, amr=verified.amr, acr=acr)

    @sensitive_variables()
    def refresh(self, bundle: UpstreamBundle) -> UpstreamTokens | UnusableAnswer:
        """Renew the tokens. A new ID token must be about the same person (OpenID Connect Core §12.2).

        An ID token that the loaded keys cannot verify is dropped, and the one of the sign-in stays. No keys are
        fetched here, because other callers wait for this refresh.
        """
        answer = super().refresh(bundle)
        if isinstance(answer, UnusableAnswer) or not answer.id_token:
            return answer
        try:
            verified = self._verify(answer.id_token, self.published, None, None)
            subject = subject_of(verified)
        except (IdTokenRejected, IdentityRejected, ProviderUnavailable):
            return replace(answer, id_token="")
        documents = Documents(id_token=verified.claims)
        earlier = earlier_subjects(self.descriptor.people, documents, verified.tenant)
        if bundle.subject not in (subject, *earlier):
            # A new refresh token would be somebody else's, so it is not kept.
            return UnusableAnswer("subject_changed", is_spent=bundle.is_rotated_by(answer))
        return answer

    @sensitive_variables()
    def verify(self, id_token: str, *, nonce: str | None, max_age: int | None = None) -> VerifiedIdentity:
        """Check an ID token. If no stored key verifies it, fetch the keys once and wait for them (I15).

        Raises:
            IdentityRejected: ``reason`` is that of the check that failed.
            ProviderUnavailable: ``not_ready``: the keys were not fetched in time. ``encrypted_id_token``: the provider
                encrypts them for this site, which has no key for that.
        """
        try:
            verified = self.try_verify(id_token, nonce=nonce, max_age=max_age, wait=True)
        except IdentityRejected as error:
            if error.reason == Reason.ENCRYPTED:
                raise ProviderUnavailable("encrypted_id_token", stage="id_token") from None
            raise
        if isinstance(verified, Pending):
            raise ProviderUnavailable("not_ready")
        return verified

    @sensitive_variables()
    def try_verify(
        self,
        id_token: str,
        *,
        nonce: str | None,
        max_age: int | None = None,
        wait: bool = False,
        is_native: bool = False,
    ) -> VerifiedIdentity | Pending:
        """Check an ID token; ``Pending`` while its keys are being fetched.

        Args:
            is_native: An app handed it over; see :func:`.verify_id_token`.

        Raises:
            IdentityRejected: ``reason`` is that of the check that failed.
            ProviderUnavailable: There are no keys.
        """
        pending = None if wait else self.prepare()
        if pending is not None:
            return pending

        def verify(published: Published) -> VerifiedIdentity:
            return self._verify(id_token, published, nonce, max_age, is_native=is_native)

        return self.with_keys(verify, wait=wait)

    @sensitive_variables()
    def verify_logout(self, logout_token: str) -> VerifiedLogout:
        """Check a logout token. Raises as :meth:`verify`."""

        def verify(published: Published) -> VerifiedLogout:
            return verify_logout_token(
                logout_token, provider=published.descriptor, keys=published.stored.keys, now=timezone.now()
            )

        verified = self.with_keys(verify, wait=True)
        if isinstance(verified, Pending):
            raise ProviderUnavailable("not_ready", stage="keys")
        return verified

    @sensitive_variables()
    def with_keys(
        self, verify: Callable[[Published], T], *, wait: bool, stage: str = "id_token"
    ) -> T | Pending:
        """Call *verify*, and once more with new keys if the stored ones verify nothing (I15)."""
        try:
            return verify(self.published)
        except IdTokenRejected as error:
            # A provider may replace a key and keep its id. All such tokens share one fetch per 30 s.
            is_of_keys = isinstance(error, OtherKeyType) or error.reason in _OF_KEYS
            if not is_of_keys:
                raise IdentityRejected(error.reason, stage=stage) from None
        renewed = sources.load(self.source, refetch=True, wait=wait)
        if isinstance(renewed, Pending):
            return renewed
        if isinstance(renewed, Ready):
            self.published = renewed.value
        try:
            return verify(self.published)
        except IdTokenRejected as error:
            raise IdentityRejected(error.reason, stage=stage) from None

    def _verify(
        self,
        id_token: str,
        published: Published,
        nonce: str | None,
        max_age: int | None,
        *,
        is_native: bool = False,
    ) -> VerifiedIdentity:
        return verify_id_token(
            id_token,
            provider=published.descriptor,
            keys=published.stored.keys,
            nonce=nonce,
            now=timezone.now(),
            max_age=max_age,
            is_native=is_native,
        )

    @sensitive_variables()
    def userinfo(
        self, verified: VerifiedIdentity, endpoints: Endpoints, access_token: str, documents: Documents
    ) -> Mapping[str, Any]:
        """Return what the userinfo endpoint says; see :func:`.read_claims`."""
        provider = self.authenticating(endpoints)
        verify = partial(self.verify_userinfo, issuers=verified.issuers)
        return read_claims(
            provider, endpoints.userinfo, access_token, documents, sub=verified.sub, verify=verify
        )

    @sensitive_variables()
    def verify_userinfo(self, token: str, *, issuers: Container[str]) -> Mapping[str, Any]:
        """Check a signed UserInfo answer. Raises as :meth:`verify`."""

        def verify(published: Published) -> Mapping[str, Any]:
            provider, keys = published.descriptor, published.stored.keys
            return verify_userinfo(token, provider=provider, keys=keys, issuers=issuers, now=timezone.now())

        found = self.with_keys(verify, wait=True, stage="userinfo")
        if isinstance(found, Pending):
            raise ProviderUnavailable("not_ready", stage="keys")
        return found


def _published(found: Result[Published]) -> Published:
    if isinstance(found, Failed):
        raise ProviderUnavailable(found.reason, stage="keys", debug=found.debug)
    if isinstance(found, Pending):
        raise ProviderUnavailable("not_ready", stage="keys")
    return found.value


def subject_of(verified: VerifiedIdentity) -> str:
    """Return a subject that is unique within the provider: with tenants, ``tenant:subject`` (I19)."""
    subject = f"{verified.tenant}:{verified.subject}" if verified.tenant else verified.subject
    if len(subject) > IDENTIFIER_LIMIT:
        raise IdentityRejected(Reason.SUBJECT)
    return subject


def check_freshness(verified: VerifiedIdentity, pending: PendingAuthorization) -> None:
    """Refuse an older authentication if ``prompt=login`` was requested (OpenID Connect Core §3.1.2.1)."""
    if "login" not in pending.prompts or verified.auth_time is None:
        return
    if verified.auth_time.timestamp() < pending.created_at.timestamp() - LEEWAY:
        raise IdentityRejected(Reason.NOT_FRESH)
