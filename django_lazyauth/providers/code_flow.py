"""The authorization code flow with an upstream: request, callback, code for tokens, refresh, revocation.

Not here: that a state is valid for one callback and one browser (``sign_in``), when a token is renewed (``upstream``),
and any write while the person signs in. No error holds a code, a token, a secret or text of the upstream (I13).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.errors import (
    IdentityRejected,
    ProviderUnavailable,
    RefreshExpired,
    RefreshTransient,
    RefreshUnavailable,
)
from django_lazyauth.kit import fetch
from django_lazyauth.openid.descriptor import (
    SSO_PREFIX,
    DescriptorError,
    ProviderDescriptor,
    descriptor_from_settings,
)
from django_lazyauth.openid.people.admission import refusing_key, who_of
from django_lazyauth.openid.requests.authentication import AuthMethod, methods_to_try
from django_lazyauth.openid.requests.found import find_method, keep_method
from django_lazyauth.openid.requests.kept import read_keep, read_kept, with_kept
from django_lazyauth.openid.rules import Documents
from django_lazyauth.vault.store import store
from django_lazyauth.vault.tokens import GrantTerms, UpstreamBundle, UpstreamTokens

from .authorize_request import (
    SentParameters,
    Wishes,
    authorize_url,
    read_callback,
    read_code,
    wants_offline,
    wishes_again,
    wishes_of,
)
from .base import Json, Provider, Redirect, Success, SyncTerms, UnusableAnswer
from .registry import get_provider
from .token_requests import (
    CLIENT_UNKNOWN,
    REFRESH_DEADLINE,
    ClientUnknown,
    Leg,
    is_of_no_endpoint,
    post_revocation,
    redeem,
    renew,
)

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser
    from django.http import HttpRequest

    from django_lazyauth.models import PendingAuthorization

T = TypeVar("T")

#: Seconds of a revocation: a caller that already has its token waits for it.
REVOCATION_DEADLINE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of the upstream, and what it says of them.

    Attributes:
        sends_issuer: Its authorization responses name the issuer (RFC 9207).
        auth_methods: How a client may authenticate at the token endpoint; empty where it does not say.
    """

    authorization: str
    token: str
    userinfo: str = ""
    revocation: str = ""
    end_session: str = ""
    sends_issuer: bool = False
    auth_methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """What an upstream answered on the way: nothing of it is signed.

    Attributes:
        authorization: The parameters of the authorization response.
        kept: Those that ``answer_params`` names, read.
        token: The answer of the token endpoint without its tokens.
    """

    authorization: Mapping[str, str] = field(repr=False)
    kept: Mapping[str, Any] = field(repr=False)
    token: Mapping[str, Any] = field(repr=False)

    def documents(self) -> Documents:
        return Documents(token=self.token, answer=self.kept)


class CodeFlow(Provider):
    """The authorization code flow with an upstream (RFC 6749 §4.1, RFC 7636, RFC 9700)."""

    emits_commit: ClassVar[bool] = True

    def check(self) -> None:
        descriptor_from_settings(self.name, self.config)

    @cached_property
    def descriptor(self) -> ProviderDescriptor:
        """This provider as data.

        Raises:
            ProviderUnavailable: ``misconfigured``.
        """
        try:
            return descriptor_from_settings(self.name, self.config)
        except DescriptorError as error:
            raise ProviderUnavailable("misconfigured", stage="configuration", debug=error.hint) from None

    @property
    def accounts(self) -> str:
        """The name that identities are kept under."""
        return self.name

    def begin(self, pending: PendingAuthorization, *, state: str, callback_uri: str) -> Redirect:
        return self._request(pending, state, callback_uri, wishes_of(pending, self.descriptor))

    def begin_again(
        self, pending: PendingAuthorization, *, state: str, callback_uri: str, login_hint: str
    ) -> Redirect:
        return self._request(pending, state, callback_uri, wishes_again(self.descriptor, login_hint))

    @sensitive_variables()
    def lacks_refresh_token(self, commit: Json) -> bool:
        # A token without an end needs none.
        may_end = not commit["refresh_token"] and bool(commit["expires_at"])
        return may_end and self.descriptor.requests.asks_again and wants_offline(self.descriptor)

    def _request(
        self, pending: PendingAuthorization, state: str, callback_uri: str, wishes: Wishes
    ) -> Redirect:
        verifier = secrets.token_urlsafe(48) if self.descriptor.requests.pkce == "S256" else ""
        nonce = self.new_nonce()
        private: Json = {"issuer": self.descriptor.issuer, "redirect_uri": callback_uri}
        secrets_of_leg = {"code_verifier": verifier, "nonce": nonce}
        private |= {name: value for name, value in secrets_of_leg.items() if value}
        sent = SentParameters(state, callback_uri, verifier, nonce)
        url = authorize_url(self.descriptor, self.endpoints().authorization, pending, sent, wishes)
        return Redirect(url, private)

    def new_nonce(self) -> str:
        """Return a new ``nonce`` for an ID token, empty for a provider that has none."""
        return ""

    @sensitive_variables()
    def keep_answer(self, parameters: Mapping[str, str]) -> Json:
        return read_kept(parameters, self.descriptor.requests.answer_params)

    @sensitive_variables()
    def complete(self, request: HttpRequest, pending: PendingAuthorization, private: Json) -> Success:
        if private.get("issuer") != self.descriptor.issuer:
            # The configuration changed during the sign-in, so the answer is of another provider (I9).
            raise ProviderUnavailable("configuration_changed")
        endpoints = self.endpoints()
        answer = read_callback(request)
        self.check_issuer(answer, endpoints)
        code = read_code(answer, self.descriptor.requests.denials)
        kept = self.keep_answer(answer) | private.get("answer", {})
        leg = Leg(code, answer.get("state", ""), private, kept)
        (tokens, token_answer), endpoints = self._ask(
            endpoints, lambda descriptor: redeem(descriptor, endpoints.token, leg)
        )
        answers = Answers(answer, kept, token_answer)
        success = self.identify(tokens, endpoints, pending, private, answers)
        for_refreshes = read_keep(self.descriptor.requests.keep, answers.documents())
        tokens = replace(tokens, refresh_token=with_kept(tokens.refresh_token, for_refreshes))
        client_id = pending.client_id
        commit = tokens.as_json() | {
            # A host's client model may have keys that are no JSON, such as UUIDs.
            "client_id": client_id if isinstance(client_id, int) else str(client_id),
            "subject": success.identity.subject,
            "terms": asdict(self.grant_terms()),
            "upstream_sid": self.sid_of(tokens),
        }
        return replace(success, commit=commit)

    def authenticating(self, endpoints: Endpoints) -> ProviderDescriptor:
        """Return the descriptor with the method by which this site authenticates there."""
        return self._by(self._methods(endpoints)[0])

    def _by(self, method: AuthMethod) -> ProviderDescriptor:
        return replace(self.descriptor, token_endpoint_auth_method=method)

    def _methods(self, endpoints: Endpoints) -> tuple[AuthMethod, ...]:
        methods = methods_to_try(self.descriptor, endpoints.auth_methods)
        if len(methods) > 1 and (found := self.method_found()):
            return methods_to_try(self.descriptor, endpoints.auth_methods, found)
        return methods

    def method_found(self) -> str:
        """Return the authentication method that worked where nobody named one; empty where none is known."""
        return find_method(self.name)

    def token_endpoint_failed(self) -> None:
        """Do what may help the next one where the token endpoint is not there."""

    @sensitive_variables()
    def _ask(self, endpoints: Endpoints, request: Callable[[ProviderDescriptor], T]) -> tuple[T, Endpoints]:
        """Send *request* to the token endpoint; return the answer, and the endpoints with the method that worked."""
        try:
            return self._ask_each(endpoints, request)
        except (ProviderUnavailable, RefreshTransient) as error:
            if is_of_no_endpoint(error):
                self.token_endpoint_failed()
            raise

    @sensitive_variables()
    def _ask_each(
        self, endpoints: Endpoints, request: Callable[[ProviderDescriptor], T]
    ) -> tuple[T, Endpoints]:
        """Send *request* by each method that may be right.

        It is sent a second time, by the other method, where the first was a guess and does not make us known.
        """
        first, *others = self._methods(endpoints)
        try:
            return request(self._by(first)), endpoints
        except (ClientUnknown, RefreshTransient) as error:
            if not others or (isinstance(error, RefreshTransient) and error.code != CLIENT_UNKNOWN):
                raise
        try:
            answer = request(self._by(others[0]))
        except (ProviderUnavailable, RefreshExpired) as error:
            if isinstance(error, RefreshExpired) or error.reason == "code_refused":
                # It refuses what we brought, so it knew us.
                self._keep(others[0])
            raise
        self._keep(others[0])
        return answer, replace(endpoints, auth_methods=(others[0],))

    def _keep(self, method: AuthMethod) -> None:
        if not self.name.startswith(SSO_PREFIX):
            keep_method(self.descriptor, method)

    def try_code(self, redirect_uri: str) -> None:
        """Send a code that nobody was given, to learn whether the provider knows this site.

        Raises:
            ClientUnknown: It does not.
            ProviderUnavailable: As for a code; ``invalid_grant`` as ``upstream_error`` says that it does.
        """
        endpoints = self.endpoints()
        private = {"redirect_uri": redirect_uri, "code_verifier": secrets.token_urlsafe(48)}
        leg = Leg(secrets.token_urlsafe(24), secrets.token_urlsafe(24), private)
        self._ask(endpoints, lambda descriptor: redeem(descriptor, endpoints.token, leg))

    @sensitive_variables()
    def finalize(self, commit: Json, *, user: AbstractBaseUser, session_id: UUID) -> None:
        store(
            UpstreamBundle(
                **UpstreamTokens.from_json(commit).values(),
                session_id=session_id,
                provider=self.name,
                user_id=user.pk,
                client_id=commit["client_id"],
                subject=commit["subject"],
                upstream_sid=commit.get("upstream_sid", ""),
            ),
            # As they were when the person signed in. No network is at hand now to learn of those of a domain.
            GrantTerms(**commit.get("terms", {})),
        )

    def grant_terms(self) -> GrantTerms:
        descriptor = self.descriptor
        # Refresh tokens of an `oauth2` provider hang on no sign-in there.
        outlives = descriptor.type == "oauth2" or wants_offline(descriptor)
        is_standing = outlives and descriptor.grant == "shared"
        offline_scopes = descriptor.requests.offline_scopes
        return GrantTerms(
            descriptor.client_id, is_standing, descriptor.revocation, offline_scopes, self._keeper()
        )

    def _keeper(self) -> str:
        """Return the provider that grants are kept under; empty: this one.

        Of providers with the same accounts the refresh tokens are worth the same where client and endpoints are.
        """
        if self.accounts == self.name:
            return ""
        other = get_provider(self.accounts)
        is_same = isinstance(other, CodeFlow) and _family(other.descriptor) == _family(self.descriptor)
        return self.accounts if is_same else ""

    def sync_terms(self) -> SyncTerms:
        return SyncTerms.of(self.descriptor.people)

    @sensitive_variables()
    def refresh(self, bundle: UpstreamBundle) -> UpstreamTokens | UnusableAnswer:
        """Renew the tokens of *bundle* (RFC 6749 §6), within 10 s including the look-up of the endpoint."""
        ends_at = time.monotonic() + REFRESH_DEADLINE

        def send(descriptor: ProviderDescriptor) -> UpstreamTokens | UnusableAnswer:
            left = ends_at - time.monotonic()
            if left <= 0:
                raise RefreshTransient(self.name, "timeout")
            return renew(descriptor, endpoint, bundle, deadline=left)

        try:
            endpoints = self.endpoints()
            endpoint = self.descriptor.requests.refresh_endpoint or endpoints.token
            return self._ask(endpoints, send)[0]
        except ProviderUnavailable as error:
            if error.reason == "misconfigured":
                raise RefreshUnavailable(self.name, error.reason) from None
            raise RefreshTransient(self.name, error.reason) from None

    @property
    def revokes_by_access_token(self) -> bool:
        """Whether a revocation names the access token, and not the refresh token (RFC 7009)."""
        return self.descriptor.requests.revocation_request is not None

    @sensitive_variables()
    def revoke(self, bundle: UpstreamBundle) -> None:
        """Revoke the refresh token, or the access token if there is no refresh token (RFC 7009 §2.1)."""
        endpoints = self.endpoints()
        endpoint = endpoints.revocation
        if not endpoint:
            return
        try:
            descriptor = self.authenticating(endpoints)
            post_revocation(descriptor, endpoint, bundle, deadline=REVOCATION_DEADLINE)
        except fetch.FetchError as error:
            raise ProviderUnavailable("unreachable", debug=f"revocation endpoint: {error.reason}") from None

    def endpoints(self) -> Endpoints:
        """Return the endpoints of the upstream.

        Raises:
            ProviderUnavailable: ``not_ready``: its metadata was never fetched.
        """
        raise NotImplementedError

    def known_end_session(self) -> str:
        """Return where people sign out there, and nothing where that is not known now. It waits for no network."""
        return self.endpoints().end_session

    def identify(
        self,
        tokens: UpstreamTokens,
        endpoints: Endpoints,
        pending: PendingAuthorization,
        private: Json,
        answers: Answers,
    ) -> Success:
        """Return the person of *tokens*; the caller adds the ``commit``."""
        raise NotImplementedError

    def sid_of(self, tokens: UpstreamTokens) -> str:
        """Return the session at the upstream that *tokens* are of, by its ``sid``; empty where it names none."""
        return ""

    def admit(self, documents: Documents, tenant: str = "") -> None:
        """Refuse a person whom the keys ``allow`` and ``tenants`` keep out.

        Raises:
            IdentityRejected: ``not_allowed``.
        """
        if key := refusing_key(self.descriptor.people, documents, tenant):
            raise IdentityRejected("not_allowed", stage="account", debug=f'"{key}"', who=who_of(documents))

    def check_issuer(self, answer: Mapping[str, str], endpoints: Endpoints) -> None:
        """Refuse an answer that names another issuer, also an answer with an error (RFC 9207 §2.4)."""
        issuer = answer.get("iss")
        if issuer is None:
            if endpoints.sends_issuer:
                raise IdentityRejected("issuer_missing", stage="authorization")
        elif self.descriptor.issuer and not self.names_issuer(issuer):
            raise IdentityRejected("issuer_mismatch", stage="authorization")

    def names_issuer(self, issuer: str) -> bool:
        return issuer == self.descriptor.issuer


def _family(descriptor: ProviderDescriptor) -> tuple[str, ...]:
    endpoint = descriptor.requests.refresh_endpoint or descriptor.token_endpoint
    return (descriptor.client_id, descriptor.configuration_url, endpoint)
