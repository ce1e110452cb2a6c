"""What the endpoints read and say, in words that a schema can be made of."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class StateSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["pending"], help_text="Look again after Retry-After seconds.")


class RejectedSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["rejected"])
    reason = serializers.CharField(help_text="One word: which check failed.")


class DomainSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["resolved"])
    domain = serializers.CharField()
    name = serializers.CharField(help_text="What the domain calls itself; nobody checked it.")
    issuer = serializers.CharField()
    client_id = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())


class NotAllowedSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["not_allowed"])


class FailedSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["failed"])
    reason = serializers.CharField()


class IdTokenSerializer(serializers.Serializer[Any]):
    id_token = serializers.CharField(max_length=16 * 1024, help_text="In JWS compact form.")
    discovery_domain = serializers.CharField(
        required=False, allow_blank=True, max_length=253, help_text="Of the SSO domain that issued it."
    )


class NonceSerializer(serializers.Serializer[Any]):
    nonce = serializers.CharField(help_text="What the ID token has to carry.")


class AuthenticatedSerializer(serializers.Serializer[Any]):
    state = serializers.ChoiceField(["authenticated"])
    location = serializers.CharField(
        help_text="Where the browser goes on: the consent page, or the client's redirect URI with its code."
    )


class IdentitySerializer(serializers.Serializer[Any]):
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


class IdentityListSerializer(serializers.Serializer[Any]):
    nonce = serializers.CharField(help_text="What the ID token of a new link has to carry.")
    identities = IdentitySerializer(many=True)


class SessionClientSerializer(serializers.Serializer[Any]):
    client_id = serializers.CharField()
    name = serializers.CharField(help_text="What the client calls itself.")
    is_verified = serializers.BooleanField(help_text="An operator stands for who it is.")


class SessionSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    client = SessionClientSerializer()
    provider = serializers.CharField(help_text="Who vouched for you; empty where this site itself did.")
    since = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(help_text="When the client last fetched tokens.")


class SessionListSerializer(serializers.Serializer[Any]):
    sessions = SessionSerializer(many=True)


class UpstreamTokenSerializer(serializers.Serializer[Any]):
    access_token = serializers.CharField()
    token_type = serializers.CharField()
    scope = serializers.CharField()
    version = serializers.IntegerField(help_text="Counts the rotations; send it back as refused_version.")
    expires_in = serializers.IntegerField(required=False, help_text="Seconds.")
