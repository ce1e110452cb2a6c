"""A token that is good is handed out for little more than it costs to read a row and open one seal."""

from __future__ import annotations

import base64
import random
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone
from oauth2_provider.models import get_application_model

from django_lazyauth.models import UpstreamGrant, UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault import store
from django_lazyauth.vault.cipher import NONCE_BYTES, vault_keys
from django_lazyauth.vault.places import GrantKey

from .harness import Claim, Side

BUNDLES = 500
#: Characters of the tokens: an opaque access token, a JWT, as Google and Microsoft give them.
ACCESS_TOKEN_BYTES, ID_TOKEN_BYTES = 180, 900


@dataclass(frozen=True)
class Stored:
    """A bundle, and what somebody who reads it by hand has to know."""

    session_id: UUID
    pk: Any
    token: str
    associated_data: bytes


@dataclass
class Vault:
    user_id: Any
    client_id: Any
    stored: list[Stored]

    @classmethod
    def filled(cls) -> Vault:
        user = get_user_model().objects.create_user("warm")
        client = get_application_model().objects.create(
            name="Warm", client_type="public", authorization_grant_type="authorization-code"
        )
        vault = cls(user.pk, client.pk, [])
        for _ in range(BUNDLES):
            vault.stored.append(vault._store())
        return vault

    def _store(self) -> Stored:
        session_id, token = uuid7(), secrets.token_urlsafe(ACCESS_TOKEN_BYTES)
        store.store(
            store.UpstreamBundle(
                session_id=session_id,
                provider="demo",
                user_id=self.user_id,
                client_id=self.client_id,
                subject="somebody",
                access_token=token,
                refresh_token=secrets.token_urlsafe(48),
                id_token=secrets.token_urlsafe(ID_TOKEN_BYTES),
                expires_at=timezone.now() + timedelta(hours=1),
            )
        )
        pk = UpstreamToken.objects.values_list("grant_id", flat=True).get(session_id=session_id)
        place = GrantKey(pk, "demo", self.user_id, "somebody").place("access_token")
        key = UpstreamGrant._meta.pk.get_db_prep_value(pk, connection)
        return Stored(session_id, key, token, place.associated_data())

    def choose(self, count: int) -> list[Stored]:
        return random.choices(self.stored, k=count)

    def ours(self, wanted: Stored) -> None:
        credential = fresh_token(wanted.session_id, "demo", user_id=self.user_id, client_id=self.client_id)
        if credential.access_token != wanted.token:
            raise AssertionError("another token")


@dataclass
class ByHand:
    """The least that anybody can do: the grant by its primary key, and the one seal."""

    aead: AESGCM
    select: str
    column: int

    @classmethod
    def ready(cls) -> ByHand:
        columns = [field.column for field in UpstreamGrant._meta.concrete_fields]
        quote = connection.ops.quote_name
        names = ", ".join(map(quote, columns))
        select = f"SELECT {names} FROM {quote(UpstreamGrant._meta.db_table)} WHERE {quote('id')} = %s"
        return cls(vault_keys()[0].aead, select, columns.index("access_token"))

    def read(self, wanted: Stored) -> None:
        with connection.cursor() as cursor:
            cursor.execute(self.select, [wanted.pk])
            row = cursor.fetchone()
        raw = base64.urlsafe_b64decode(row[self.column].rpartition(".")[2])
        token = self.aead.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], wanted.associated_data).decode()
        if token != wanted.token:
            raise AssertionError("another token")


def sides() -> tuple[Side, Side]:
    vault, by_hand = Vault.filled(), ByHand.ready()
    return Side(vault.choose, vault.ours), Side(vault.choose, by_hand.read)


CLAIM = Claim(
    "warm upstream token, beside a bare SELECT by primary key and one AES-GCM open",
    bound=1.5,
    sides=sides,
    rounds=20,
    samples=100,
)
