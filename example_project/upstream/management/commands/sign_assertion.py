"""Say to a server that one of the people here lets a client act there: print an ID-JAG.

A provider gives it to the client by token exchange (draft-ietf-oauth-identity-assertion-authz-grant §4.3). This one
knows no such grant; what it signs, and its key, are those of a real one.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandParser
from jwcrypto import jwk, jwt

SECONDS = 300


class Command(BaseCommand):
    help = "Prints an ID-JAG about one of the upstream's people."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--audience", required=True, help="issuer of the server that it is for")
        parser.add_argument("--client-id", required=True, help="the client's id there")
        parser.add_argument("--resource", required=True)
        parser.add_argument("--scope", required=True)

    def handle(
        self, *, username: str, audience: str, client_id: str, resource: str, scope: str, **options: Any
    ) -> None:
        user, now = User.objects.get(username=username), int(time.time())
        key = jwk.JWK.from_pem(settings.OAUTH2_PROVIDER["OIDC_RSA_PRIVATE_KEY"].encode())
        claims = {
            "iss": settings.ISSUER,
            "sub": str(user.pk),
            "aud": audience,
            "client_id": client_id,
            "resource": resource,
            "scope": scope,
            "email": user.email,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "exp": now + SECONDS,
        }
        header = {"alg": "RS256", "typ": "oauth-id-jag+jwt", "kid": key.thumbprint()}
        signed = jwt.JWT(header=header, claims=claims)
        signed.make_signed_token(key)
        self.stdout.write(signed.serialize())
