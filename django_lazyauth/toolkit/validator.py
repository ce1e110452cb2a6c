"""Our validator: django-oauth-toolkit's, with codes kept in ``PendingAuthorization`` and tokens as digests.

One instance serves one request. It loads the pending row once and feeds every callback of oauthlib from it;
it opens no transaction and ends no session: what has to happen after the answer is left in ``ended_sessions``
for the flow.
"""

from __future__ import annotations

import base64
import uuid
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

from django.utils import timezone
from oauth2_provider.models import (
    AbstractApplication,
    get_access_token_model,
    get_id_token_model,
    get_refresh_token_model,
)
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauthlib.oauth2.rfc6749 import errors

from django_lazyauth.clients.redirects import redirect_uri_allowed
from django_lazyauth.clients.secrets import deserves_digest
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.kit.secret_digest import digest_secret, is_digest, secret_matches
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, Status
from django_lazyauth.models.authorization_code import drop_deferred, lock_code, spend_code
from django_lazyauth.models.prepared_write import insert
from django_lazyauth.tokens import keys
from django_lazyauth.tokens.resources import are_sound_resources
from django_lazyauth.tokens.rotation import Rotation

from . import clients
from .scopes import available_scopes, default_scopes, narrow


class LazyAuthValidator(Rotation, OAuth2Validator):
    """What oauthlib asks, answered from our rows."""

    #: The secret of a Basic header that was not form-encoded, once it proved to be the client's.
    _secret_as_sent: str | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pending: PendingAuthorization | None = None
        self._loaded_code: str | None = None
        self.access_token: Any = None
        #: When the access token of this request was made; its row and its claims expire together.
        self.access_token_issued_at: datetime | None = None
        self._id_token: Any = None
        self._authentication: dict[str, Any] | None = None
        self.ended_sessions = set()

    @property
    def pending(self) -> PendingAuthorization | None:
        """The request behind the code presented, spent or not; ``None`` before it is loaded, or unknown."""
        return self._pending

    # -- the code ------------------------------------------------------------------------------------------

    def load_code(self, code: str, request: Any) -> PendingAuthorization | None:
        """Lock and return the row behind *code*: the one query that feeds the whole exchange."""
        if self._loaded_code != code:
            self._loaded_code = code
            self._pending = lock_code(code)
            if self._pending is not None:
                # DOT checks that this is the client that the request names before it believes it.
                request.client = self._pending.client
                disabled_at = getattr(self._pending, "client_disabled_at", None)
                clients.note_is_over(request.client, disabled_at is not None)
        return self._pending

    def get_authorization_code_scopes(
        self, client_id: str, code: str, redirect_uri: str, request: Any
    ) -> list[str]:
        pending = self.load_code(code, request)
        return pending.scopes if pending else []

    def validate_code(
        self, client_id: str, code: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        pending = self.load_code(code, request)
        if pending is None or pending.client_id != client.pk:
            return False
        if pending.status != Status.CODE_ISSUED or pending.code_expires_at is None:
            return False
        if pending.code_expires_at <= timezone.now():
            return False
        if pending.user is not None and not pending.user.is_active:
            return False
        request.user = pending.user
        request.scopes = narrow(request.client, pending.scopes)
        request.nonce = pending.nonce or None
        return True

    def get_code_challenge(self, code: str, request: Any) -> str:
        pending = self.load_code(code, request)
        # Never None: oauthlib takes that as "no PKCE".
        return pending.code_challenge if pending else "none"

    def get_code_challenge_method(self, code: str, request: Any) -> str:
        return "S256"

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        return True

    def confirm_redirect_uri(
        self,
        client_id: str,
        code: str,
        redirect_uri: str,
        client: Any,
        request: Any,
        *args: Any,
        **kwargs: Any,
    ) -> bool:
        pending = self.load_code(code, request)
        if pending is None or redirect_uri != pending.redirect_uri:
            # RFC 6749 §5.2 calls this invalid_grant; oauthlib's own error says invalid_request.
            raise errors.InvalidGrantError(
                description="redirect_uri is not the one of the authorization request.", request=request
            )
        return True

    def get_authorization_code_nonce(
        self, client_id: str, code: str, redirect_uri: str, request: Any
    ) -> str | None:
        pending = self.load_code(code, request)
        return (pending.nonce or None) if pending else None

    def invalidate_authorization_code(
        self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any
    ) -> None:
        pending = self.load_code(code, request)
        if pending is None or not spend_code(pending, user_id=request.user.pk):
            raise errors.InvalidGrantError(request=request)
        if getattr(pending, "deferred", None) is not None:
            drop_deferred(pending)

    # -- the client ----------------------------------------------------------------------------------------

    def _load_application(self, client_id: str, request: Any) -> Any:
        """Return the client; an operator who disabled it, and a registration that ended, count at once.

        One that does not stand in the database is unknown: a document is fetched by `flows.client_document`, never
        here, where a transaction may be open.
        """
        if not clients.is_client_id(client_id):
            return None
        if request.client is None:
            # With its registration, in the query that DOT would make without.
            request.client = clients.load_client(client_id)
        client = super()._load_application(client_id, request) if request.client is not None else None
        if client is not None and not clients.is_usable(client):
            client = request.client = None
        return client

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        if grant_type == "refresh_token" and not clients.may_refresh(client):
            return False
        if client.client_id == clients.ACCOUNT_CLIENT_ID:
            # It signs people in on our own page, and holds no tokens: nobody asked them for consent.
            return False
        return bool(super().validate_grant_type(client_id, grant_type, client, request, *args, **kwargs))

    def _check_secret(self, provided_secret: str, stored_secret: str) -> bool:
        if not provided_secret or not stored_secret:
            # DOT finds the empty secret of a public client equal to the one that was not sent.
            return False
        if is_digest(stored_secret):
            return secret_matches(provided_secret, stored_secret)
        return bool(super()._check_secret(provided_secret, stored_secret))

    def _extract_basic_auth(self, request: Any) -> str | None:
        """Return the credentials of a Basic header; the scheme's case does not matter (RFC 9110 §11.1)."""
        scheme, _, credentials = request.headers.get("HTTP_AUTHORIZATION", "").partition(" ")
        return credentials.strip() or None if scheme.lower() == "basic" else None

    def _authenticate_basic_auth(self, request: Any) -> bool:
        """Read the header form-encoded (RFC 6749 §2.3.1), or else as it is.

        curl, requests and Authlib do not encode; a secret with "+" or "%" then reads as another.
        """
        if super()._authenticate_basic_auth(request):
            return True
        client_id, raw, decoded = self._basic_credentials(request)
        client = request.client
        if client is None or client.client_id != client_id or raw == decoded:
            return False
        if not self._check_secret(raw, client.client_secret):
            return False
        self._secret_as_sent = raw
        return True

    def _basic_credentials(self, request: Any) -> tuple[str, str, str]:
        """Return the client id of a Basic header, and its secret as it stands there and decoded."""
        try:
            sent = base64.b64decode(self._extract_basic_auth(request) or "").decode()
        except ValueError:
            return "", "", ""
        client_id, _, secret = sent.partition(":")
        return unquote_plus(client_id), secret, unquote_plus(secret)

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        authenticated = bool(super().authenticate_client(request, *args, **kwargs))
        if authenticated:
            self._upgrade_secret(request)
        return authenticated

    def _upgrade_secret(self, request: Any) -> None:
        """Replace the stretched hash of a random secret by one salted digest, at its first use."""
        client, secret = request.client, self._presented_secret(request)
        if (
            client.hash_client_secret
            and client.client_type == AbstractApplication.CLIENT_CONFIDENTIAL
            and deserves_digest(secret)
            and not is_digest(client.client_secret)
        ):
            client.client_secret, client.hash_client_secret = digest_secret(secret), False
            type(client).objects.filter(pk=client.pk).update(
                client_secret=client.client_secret, hash_client_secret=False
            )

    def _presented_secret(self, request: Any) -> str:
        if self._secret_as_sent is not None:
            return self._secret_as_sent
        if self._extract_basic_auth(request):
            return self._basic_credentials(request)[2]
        return getattr(request, "client_secret", None) or ""

    def validate_redirect_uri(
        self, client_id: str, redirect_uri: str, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        return redirect_uri_allowed(request.client, redirect_uri)

    def validate_scopes(
        self, client_id: str, scopes: list[str], client: Any, request: Any, *args: Any, **kwargs: Any
    ) -> bool:
        # Libraries add offline_access wherever it is advertised; who may not have it gets the rest.
        return set(scopes) - {"offline_access"} <= available_scopes(client, request)

    def get_original_scopes(self, refresh_token: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        original = super().get_original_scopes(refresh_token, request, *args, **kwargs)
        return narrow(request.client, original.split() if isinstance(original, str) else original)

    def get_default_scopes(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        return default_scopes(request.client, request)

    def validate_silent_login(self, request: Any) -> bool:
        # prompt=none is the flow's to answer: only it knows the browser.
        return True

    def validate_silent_authorization(self, request: Any) -> bool:
        return True

    def is_origin_allowed(self, client_id: str, origin: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        # CORS is the views' (origins of registered redirect URIs); oauthlib must not add headers of its own.
        return False

    # -- the tokens ----------------------------------------------------------------------------------------

    def save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        if request.grant_type == "authorization_code":
            # The flow's transaction is open around the whole exchange: no savepoint is needed.
            self._save_pair(token, request, family=self._require_pending().pk)
        elif request.grant_type == "refresh_token":
            # The same: it holds the lock on the token that is spent.
            self._rotate(token, request)
        else:
            super().save_bearer_token(token, request, *args, **kwargs)

    def _require_pending(self) -> PendingAuthorization:
        if self._pending is None:  # pragma: no cover - oauthlib validated the code before it saves a token
            raise errors.InvalidGrantError
        return self._pending

    def _save_pair(
        self, token: dict[str, Any], request: Any, *, family: uuid.UUID | None, source: Any = None
    ) -> None:
        expires = (self.access_token_issued_at or timezone.now()) + timedelta(seconds=token["expires_in"])
        resource = list(getattr(request, "resource", None) or [])
        access = get_access_token_model()(
            user=request.user,
            application=request.client,
            scope=token["scope"],
            expires=expires,
            resource=resource,
            id_token=self._id_token,
            source_refresh_token=source,
        )
        self._set_token_value(access, token["access_token"])
        insert(access)
        self.access_token = access
        if token.get("refresh_token"):
            refresh = get_refresh_token_model()(
                user=request.user,
                application=request.client,
                access_token=access,
                token_family=family,
                resource=resource,
            )
            self._set_token_value(refresh, token["refresh_token"])
            insert(refresh)
            if not clients.may_refresh(request.client):
                # The row stays, for it is what the session hangs on; its token is told to nobody.
                del token["refresh_token"]

    def _rotate(self, token: dict[str, Any], request: Any) -> None:
        """Spend the presented refresh token and write its successor (RFC 9700 §4.14)."""
        spent = self.spend_refresh_token(request)
        self._save_pair(token, request, family=spent.token_family, source=spent)

    def _create_access_token(
        self, expires: datetime, request: Any, token: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if self.access_token_issued_at is not None:
            expires = self.access_token_issued_at + timedelta(seconds=token["expires_in"])
        return super()._create_access_token(expires, request, token, *args, **kwargs)

    def _set_token_value(self, token_instance: Any, raw_token: str) -> None:
        """Keep the digest only, whatever DOT's own setting says."""
        token_instance.token = ""
        token_instance._raw_token = raw_token

    def rotate_refresh_token(self, request: Any) -> bool:
        return True

    # -- resources (RFC 8707) --------------------------------------------------------------------------------

    def check_resource(self, request: Any) -> None:
        """Set ``request.resource``, the audience of what is about to be issued, before anything is written.

        Raises:
            CustomOAuth2Error: ``invalid_target``: one is no URI, or was not granted (I8, I20).
        """
        self._check_and_set_request_resource(request)
        request.resource = list(dict.fromkeys(request.resource))

    def _validate_resource_uris(self, request: Any, resources: list[Any]) -> None:
        # DOT's lets Python's parser raise, and repeats the value in an error description.
        if not are_sound_resources(resources):
            raise errors.CustomOAuth2Error(
                error="invalid_target",
                description="A resource must be an absolute URI with a host, and there may be ten.",
                request=request,
            )

    @staticmethod
    def still_registered(client: Any, scopes: list[str]) -> list[str]:
        return narrow(client, scopes)

    def _check_and_set_request_resource(self, request: Any) -> None:
        if request.grant_type != "authorization_code":
            super()._check_and_set_request_resource(request)
            if request.grant_type == "refresh_token":
                self.check_audience_of_refresh(request)
            return
        granted = list(self._require_pending().resource)
        asked = [value for key, value in request.decoded_body or [] if key == "resource"]
        self._validate_resource_uris(request, asked)
        if granted and not set(asked) <= set(granted):
            raise errors.CustomOAuth2Error(
                error="invalid_target",
                description="A resource was not part of the authorization request.",
                request=request,
            )
        request.resource = asked or granted

    # -- the ID token and userinfo -----------------------------------------------------------------------------

    def finalize_id_token(
        self, id_token: dict[str, Any], token: Any, token_handler: Any, request: Any
    ) -> str:
        key = keys.key_for(clients.id_token_algorithm(request.client))
        now = timezone.now()
        expires = now + lazyauth_settings.id_token_lifetime
        jti = uuid.uuid4()
        if key.algorithm == "EdDSA":
            import hashlib

            id_token["at_hash"] = self._half_hash(token["access_token"], hashlib.sha512)
        id_token.update(
            self.get_oidc_claims(token, token_handler, request)
            | self._session_claims(request)
            | {
                "iss": lazyauth_settings.issuer,
                "exp": int(expires.timestamp()),
                "iat": int(now.timestamp()),
                "jti": str(jti),
            }
        )
        if request.nonce and "nonce" not in id_token:
            id_token["nonce"] = request.nonce
        row = get_id_token_model()(
            user=request.user,
            application=request.client,
            scope=" ".join(request.scopes),
            expires=expires,
            jti=jti,
        )
        insert(row)
        self._id_token = row
        return keys.sign(id_token, key=key, typ="JWT")

    @staticmethod
    def _half_hash(value: str, hash_function: Any) -> str:
        hashed = hash_function(value.encode()).digest()
        return base64.urlsafe_b64encode(hashed[: len(hashed) // 2]).decode().rstrip("=")

    def session_of(self, request: Any) -> uuid.UUID | None:
        """Return the session that *request* begins or continues; ``None`` for a client that acts for itself."""
        if self._pending is not None:
            return self._pending.pk
        family: uuid.UUID | None = getattr(
            getattr(request, "refresh_token_instance", None), "token_family", None
        )
        return family

    def authentication_claims(self, request: Any) -> dict[str, Any]:
        """Return how and when the person signed in, as far as it is known (RFC 9068 §2.2.1).

        A refresh looks it up for the ID token, once; without one it is not worth a query.
        """
        if self._authentication is None:
            pending, session_id = self._pending, self.session_of(request)
            if pending is None and session_id is not None and "openid" in request.scopes:
                pending = PendingAuthorization.objects.filter(pk=session_id).first()
            claims: dict[str, Any] = {}
            if pending and pending.auth_time:
                claims["auth_time"] = int(pending.auth_time.timestamp())
            if pending and pending.amr:
                claims["amr"] = pending.amr
            if pending and pending.acr:
                claims["acr"] = pending.acr
            self._authentication = claims
        return self._authentication

    def _session_claims(self, request: Any) -> dict[str, Any]:
        """``sid``, and how and when the person signed in, as far as it is still known."""
        session_id = self.session_of(request)
        claims = {"sid": str(session_id)} if session_id else {}
        return claims | self.authentication_claims(request)

    def get_claim_dict(self, request: Any) -> dict[str, Any]:
        """Return the claims about the user; the scopes decide which of them leave (OIDC Core §5.4)."""
        user = request.user
        claims: dict[str, Any] = {"sub": str(user.pk)}
        name = user.get_full_name() if hasattr(user, "get_full_name") else ""
        claims |= {
            "name": name or user.get_username(),
            "given_name": getattr(user, "first_name", ""),
            "family_name": getattr(user, "last_name", ""),
            "preferred_username": user.get_username(),
        }
        email = getattr(user, user.get_email_field_name(), "") if "email" in request.scopes else ""
        if email:
            claims |= {"email": email, "email_verified": self._is_verified(user, email, request)}
        return {name: value for name, value in claims.items() if value not in ("", None)}

    def _is_verified(self, user: Any, email: str, request: Any) -> bool:
        identity = getattr(request, "identity", None)
        if identity is not None:
            return bool(identity.email_verified and identity.email.lower() == email.lower())
        return ProviderIdentity.objects.filter(user=user, email__iexact=email, email_verified=True).exists()

    def get_discovery_claims(self, request: Any) -> list[str]:
        return [
            "sub",
            "iss",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "sid",
            "amr",
            "acr",
            *DISCLOSED_CLAIMS,
        ]

    def get_oidc_issuer_endpoint(self, request: Any) -> str:
        return lazyauth_settings.issuer


#: Claims about a person that a scope can bring.
DISCLOSED_CLAIMS = (
    "name",
    "given_name",
    "family_name",
    "preferred_username",
    "email",
    "email_verified",
)
