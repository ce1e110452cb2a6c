"""The members of RFC 7591 and RFC 7592 as serializers: what the OpenAPI description is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from django_lazyauth.clients.metadata import (
    APPLICATION_TYPES,
    AUTHENTICATION_METHODS,
    GRANT_TYPES,
    MAX_CONTACTS,
    MAX_REDIRECT_URIS,
    MAX_SCOPE_LENGTH,
    MAX_TEXT_LENGTH,
    MAX_URI_LENGTH,
    RESPONSE_TYPES,
)

#: Those that there are; whether this site has a key for one is in its metadata.
SIGNING_ALGORITHMS = ("RS256", "ES256", "EdDSA")

if TYPE_CHECKING:
    Serializer = serializers.Serializer[Any]
else:
    Serializer = serializers.Serializer


def _uris(**kwargs: Any) -> Any:
    return serializers.ListField(
        child=serializers.CharField(max_length=MAX_URI_LENGTH), max_length=MAX_REDIRECT_URIS, **kwargs
    )


class ClientMetadataSerializer(Serializer):
    """What a client may say about itself (RFC 7591 §2). Names and links may carry a language tag, too."""

    redirect_uris = _uris(min_length=1)
    token_endpoint_auth_method = serializers.ChoiceField(AUTHENTICATION_METHODS, required=False)
    grant_types = serializers.ListField(child=serializers.ChoiceField(GRANT_TYPES), required=False)
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
    application_type = serializers.ChoiceField(APPLICATION_TYPES, required=False)
    post_logout_redirect_uris = _uris(required=False)
    backchannel_logout_uri = serializers.URLField(required=False, max_length=MAX_URI_LENGTH)
    backchannel_logout_session_required = serializers.BooleanField(required=False)


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
