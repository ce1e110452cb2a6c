"""What the endpoints read and return, as serializers: the OpenAPI document is made from them.

Not here: the validation of client metadata (:mod:`django_lazyauth.clients.metadata`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from django_lazyauth.clients.by_key.assertion import ALGORITHMS
from django_lazyauth.clients.members import (
    APPLICATION_TYPES,
    MAX_ACR_VALUES,
    MAX_AGES,
    MAX_CONTACTS,
    MAX_REDIRECT_URIS,
    MAX_TEXT_LENGTH,
    MAX_URI_LENGTH,
    SUBJECT_TYPES,
)
from django_lazyauth.clients.metadata import (
    GRANT_TYPES_WITH_DEVICES,
    MAX_SCOPE_LENGTH,
    RESPONSE_TYPES,
)
from django_lazyauth.openid.jose import CONFIGURED_TOKEN_LIMIT
from django_lazyauth.toolkit.client_methods import METHODS

if TYPE_CHECKING:
    Serializer = serializers.Serializer[Any]
else:  # DRF's own class takes no type argument at run time.
    Serializer = serializers.Serializer

#: All that a client may register. The metadata of this site names those that it has a key for.
SIGNING_ALGORITHMS = ("RS256", "ES256", "EdDSA")


class StateSerializer(Serializer):
    state = serializers.ChoiceField(["pending"], help_text="Ask again after Retry-After seconds.")


class RejectedSerializer(Serializer):
    state = serializers.ChoiceField(["rejected"])
    reason = serializers.CharField(help_text="One word: which check failed.")
    reference = serializers.CharField(
        required=False, help_text="Of the line in the log of this site, where a provider is concerned."
    )


class DomainSerializer(Serializer):
    state = serializers.ChoiceField(["resolved"])
    domain = serializers.CharField()
    name = serializers.CharField(help_text="The name that the domain claims; it was not checked.")
    issuer = serializers.CharField()
    client_id = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())


class NotAllowedSerializer(Serializer):
    state = serializers.ChoiceField(["not_allowed"])


class FailedSerializer(Serializer):
    state = serializers.ChoiceField(["failed"])
    reason = serializers.CharField()


class IdTokenSerializer(Serializer):
    id_token = serializers.CharField(max_length=CONFIGURED_TOKEN_LIMIT, help_text="In JWS compact form.")
    discovery_domain = serializers.CharField(
        required=False, allow_blank=True, max_length=253, help_text="Of the SSO domain that issued it."
    )


class NonceSerializer(Serializer):
    nonce = serializers.CharField(help_text="What the ID token has to carry.")


class AuthenticatedSerializer(Serializer):
    state = serializers.ChoiceField(["authenticated"])
    location = serializers.CharField(
        help_text="Where the browser goes on: the consent page, or the client's redirect URI with its code."
    )


class IdentitySerializer(Serializer):
    id = serializers.IntegerField()
    provider = serializers.CharField()
    subject = serializers.CharField()
    issuer = serializers.CharField()
    email = serializers.CharField()
    email_verified = serializers.BooleanField()
    name = serializers.CharField()
    sso_domain = serializers.CharField()
    sso_name = serializers.CharField()
    created_at = serializers.DateTimeField()


class IdentityListSerializer(Serializer):
    nonce = serializers.CharField(help_text="What the ID token of a new link has to carry.")
    identities = IdentitySerializer(many=True)


class SessionClientSerializer(Serializer):
    client_id = serializers.CharField()
    name = serializers.CharField(help_text="The name that the client claims.")
    is_verified = serializers.BooleanField(help_text="An operator verified who it is.")


class SessionSerializer(Serializer):
    id = serializers.UUIDField()
    client = SessionClientSerializer()
    provider = serializers.CharField(
        help_text="The provider that authenticated you; empty where this site did."
    )
    since = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(help_text="When the client last fetched tokens.")


class SessionListSerializer(Serializer):
    sessions = SessionSerializer(many=True)


class RefusedVersionSerializer(Serializer):
    refused_version = serializers.IntegerField(
        required=False, help_text="The version of the token that the upstream answered 401 to."
    )


class UpstreamTokenSerializer(Serializer):
    access_token = serializers.CharField()
    token_type = serializers.CharField()
    scope = serializers.CharField()
    version = serializers.IntegerField(help_text="Counts the rotations; send it back as refused_version.")
    expires_in = serializers.IntegerField(required=False, help_text="Seconds.")


# -- client registration ------------------------------------------------------------------------------------


def _uris(**kwargs: Any) -> Any:
    return serializers.ListField(
        child=serializers.CharField(max_length=MAX_URI_LENGTH), max_length=MAX_REDIRECT_URIS, **kwargs
    )


class ClientMetadataSerializer(Serializer):
    """What a client may say about itself (RFC 7591 §2). Names and links may carry a language tag, too."""

    redirect_uris = _uris(min_length=1)
    token_endpoint_auth_method = serializers.ChoiceField(METHODS, required=False)
    token_endpoint_auth_methods_supported = serializers.ListField(
        # As text: OpenAPI gives one choice set two names.
        child=serializers.CharField(max_length=MAX_TEXT_LENGTH),
        required=False,
    )
    token_endpoint_auth_signing_alg = serializers.ChoiceField(ALGORITHMS, required=False)
    require_pushed_authorization_requests = serializers.BooleanField(required=False)
    require_signed_request_object = serializers.BooleanField(required=False)
    # As text: see above.
    request_object_signing_alg = serializers.CharField(required=False, max_length=MAX_TEXT_LENGTH)
    grant_types = serializers.ListField(
        child=serializers.ChoiceField(GRANT_TYPES_WITH_DEVICES), required=False
    )
    response_types = serializers.ListField(child=serializers.ChoiceField(RESPONSE_TYPES), required=False)
    client_name = serializers.CharField(required=False, max_length=MAX_TEXT_LENGTH)
    client_uri = serializers.URLField(required=False, max_length=MAX_URI_LENGTH)
    logo_uri = serializers.URLField(required=False, max_length=MAX_URI_LENGTH)
    tos_uri = serializers.URLField(required=False, max_length=MAX_URI_LENGTH)
    policy_uri = serializers.URLField(required=False, max_length=MAX_URI_LENGTH)
    contacts = serializers.ListField(
        child=serializers.CharField(max_length=MAX_TEXT_LENGTH), required=False, max_length=MAX_CONTACTS
    )
    scope = serializers.CharField(required=False, max_length=MAX_SCOPE_LENGTH)
    jwks = serializers.DictField(required=False)
    jwks_uri = serializers.URLField(required=False, max_length=MAX_URI_LENGTH)
    software_id = serializers.CharField(required=False, max_length=MAX_TEXT_LENGTH)
    software_version = serializers.CharField(required=False, max_length=MAX_TEXT_LENGTH)
    id_token_signed_response_alg = serializers.ChoiceField(SIGNING_ALGORITHMS, required=False)
    # As text, as above.
    userinfo_signed_response_alg = serializers.CharField(required=False, max_length=MAX_TEXT_LENGTH)
    introspection_signed_response_alg = serializers.CharField(required=False, max_length=MAX_TEXT_LENGTH)
    application_type = serializers.ChoiceField(APPLICATION_TYPES, required=False)
    post_logout_redirect_uris = _uris(required=False)
    backchannel_logout_uri = serializers.URLField(required=False, max_length=MAX_URI_LENGTH)
    backchannel_logout_session_required = serializers.BooleanField(required=False)
    subject_type = serializers.ChoiceField(SUBJECT_TYPES, required=False)
    dpop_bound_access_tokens = serializers.BooleanField(required=False)
    default_max_age = serializers.IntegerField(required=False, min_value=0, max_value=MAX_AGES[-1])
    default_acr_values = serializers.ListField(
        child=serializers.CharField(), required=False, max_length=MAX_ACR_VALUES
    )


class ClientInformationSerializer(ClientMetadataSerializer):
    """What a client is told (RFC 7591 §3.2.1, RFC 7592 §3)."""

    client_id = serializers.CharField()
    client_id_issued_at = serializers.IntegerField()
    client_secret = serializers.CharField(required=False)
    client_secret_expires_at = serializers.IntegerField(required=False)
    registration_access_token = serializers.CharField(required=False)
    registration_client_uri = serializers.URLField(required=False)


class ErrorSerializer(Serializer):
    """RFC 7591 §3.2.2."""

    error = serializers.CharField()
    error_description = serializers.CharField(required=False)
