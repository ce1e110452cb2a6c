"""The contracts. A test of an optional method does nothing for a store that lacks the method."""

from __future__ import annotations

import secrets
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.utils import timezone

from django_lazyauth.clients.store import ClientAttributes, RegisteredClient, RegistrationStore
from django_lazyauth.errors import RegistrationConflict
from django_lazyauth.kit.secret_digest import digest_secret, secret_matches
from django_lazyauth.models.fields import digest, uuid7

METADATA = {
    "redirect_uris": ["https://client.example/cb", "http://127.0.0.1/cb"],
    "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "openid profile",
    "client_name": "Client \U0001f680 of the contract",
    "client_name#ja": "クライアント",
    "contacts": ["ops@client.example"],
    "jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]},
}


class RegistrationStoreContract:
    """What ``LAZYAUTH["REGISTRATION_STORE"]`` must do. It works with pytest and with Django's ``TestCase``."""

    def make_store(self) -> RegistrationStore:
        """Return the store under test. Two stores must see the same clients, as two processes do."""
        raise NotImplementedError

    # -- what the tests share ------------------------------------------------------------------------------

    def attributes(self, **changes: Any) -> ClientAttributes:
        """Return a client as the endpoint passes it."""
        now = timezone.now().replace(microsecond=0)
        values: dict[str, Any] = {
            "client_id": uuid7().hex,
            "issued_at": now,
            "metadata": dict(METADATA),
            "secret_digest": digest_secret("a-client-secret-that-is-long-enough-to-be-random"),
            "registration_access_token_digest": digest(secrets.token_urlsafe(32)),
            "network": "192.0.2.0/24",
            "expires_at": now + timedelta(days=30),
        }
        return ClientAttributes(**values | changes)

    def _has(self, method: str) -> bool:
        return callable(getattr(self.make_store(), method, None))

    # -- registering ---------------------------------------------------------------------------------------

    def test_register_client_returns_what_it_was_given(self) -> None:
        attrs = self.attributes()
        client = self.make_store().register_client(attrs)
        self._is_as_registered(client, attrs)

    def test_a_client_is_found_again_by_another_instance(self) -> None:
        if not self._has("get_client"):
            return
        attrs = self.attributes()
        self.make_store().register_client(attrs)
        found = self.make_store().get_client(attrs.client_id)
        assert found is not None, "get_client() does not find what register_client() kept"
        self._is_as_registered(found, attrs)

    def test_a_public_client_has_no_secret(self) -> None:
        metadata = METADATA | {"token_endpoint_auth_method": "none"}
        client = self.make_store().register_client(self.attributes(metadata=metadata, secret_digest=""))
        assert client.secret_digest == ""
        assert client.metadata["token_endpoint_auth_method"] == "none"

    def test_two_clients_do_not_disturb_each_other(self) -> None:
        store = self.make_store()
        first, second = self.attributes(), self.attributes(metadata=METADATA | {"client_name": "Second"})
        store.register_client(first)
        store.register_client(second)
        if self._has("get_client"):
            assert self._get(first.client_id).metadata["client_name"] == METADATA["client_name"]
            assert self._get(second.client_id).metadata["client_name"] == "Second"

    def test_an_unknown_client_is_none(self) -> None:
        if self._has("get_client"):
            assert self.make_store().get_client("no-such-client") is None

    def test_no_plaintext_is_handed_over(self) -> None:
        """A store gets digests and no secret."""
        names = {field.name for field in fields(ClientAttributes)}
        assert not names & {"client_secret", "registration_access_token"}

    def _is_as_registered(self, client: RegisteredClient, attrs: ClientAttributes) -> None:
        assert client.client_id == attrs.client_id
        assert isinstance(client.issued_at, datetime)
        assert client.issued_at == attrs.issued_at
        assert dict(client.metadata) == dict(attrs.metadata)
        assert secret_matches("a-client-secret-that-is-long-enough-to-be-random", client.secret_digest)

    def _get(self, client_id: str) -> RegisteredClient:
        found = self.make_store().get_client(client_id)
        assert found is not None
        return found

    # -- managing ------------------------------------------------------------------------------------------

    def test_the_digest_of_the_registration_token_is_kept(self) -> None:
        if not self._has("registration_access_token_digest") or not self._has("get_client"):
            return
        attrs = self.attributes()
        store = self.make_store()
        store.register_client(attrs)
        kept = store.registration_access_token_digest(self._get(attrs.client_id))
        assert kept == attrs.registration_access_token_digest

    def test_an_update_replaces_everything_and_the_token(self) -> None:
        if not self._has("update_client"):
            return
        store = self.make_store()
        attrs = self.attributes()
        store.register_client(attrs)
        metadata = {
            "redirect_uris": ["https://client.example/new"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "scope": "openid",
        }
        changed = replace(
            attrs,
            metadata=metadata,
            secret_digest="",
            registration_access_token_digest=digest("the-next-token"),
        )
        updated = store.update_client(self._get(attrs.client_id), changed)
        for client in (updated, self._get(attrs.client_id)):
            assert client.client_id == attrs.client_id
            assert dict(client.metadata) == metadata, "members that are left out are gone (RFC 7592 §2.2)"
            assert client.secret_digest == ""
            assert store.registration_access_token_digest(client) == digest("the-next-token")

    def test_an_update_without_a_secret_leaves_the_secret(self) -> None:
        if not self._has("update_client"):
            return
        store = self.make_store()
        attrs = self.attributes()
        before = store.register_client(attrs).secret_digest
        store.update_client(self._get(attrs.client_id), replace(attrs, secret_digest=None))
        assert self._get(attrs.client_id).secret_digest == before

    def test_of_two_updates_with_one_token_one_wins(self) -> None:
        """The second update was made from a version that no longer exists."""
        if not self._has("update_client"):
            return
        store = self.make_store()
        attrs = self.attributes()
        store.register_client(attrs)
        first, second = self._get(attrs.client_id), self._get(attrs.client_id)
        winner = digest("the-token-of-the-winner")
        store.update_client(first, replace(attrs, registration_access_token_digest=winner))
        try:
            store.update_client(
                second, replace(attrs, registration_access_token_digest=digest("the-token-of-the-loser"))
            )
        except RegistrationConflict:
            pass
        else:
            self._fail("update_client() must raise RegistrationConflict when the token changed meanwhile")
        assert store.registration_access_token_digest(self._get(attrs.client_id)) == winner

    def test_a_client_that_was_unregistered_is_gone(self) -> None:
        if not self._has("unregister_client"):
            return
        store = self.make_store()
        attrs, other = self.attributes(), self.attributes()
        store.register_client(attrs)
        store.register_client(other)
        store.unregister_client(self._get(attrs.client_id))
        assert self.make_store().get_client(attrs.client_id) is None
        assert self.make_store().get_client(other.client_id) is not None

    # -- the same again ------------------------------------------------------------------------------------

    def test_an_identical_registration_is_found_by_its_key(self) -> None:
        if not self._has("find_repeated"):
            return
        store: Any = self.make_store()
        metadata = METADATA | {"token_endpoint_auth_method": "none"}
        attrs = self.attributes(
            metadata=metadata, secret_digest="", repeat_key=digest("network and metadata")
        )
        store.register_client(attrs)
        found = store.find_repeated(attrs.repeat_key)
        assert found is not None
        assert found.client_id == attrs.client_id
        assert not store.registration_access_token_digest(self._get(attrs.client_id)), (
            "several share the client now: its registration token must manage nothing"
        )
        assert store.find_repeated(digest("another network")) is None

    @staticmethod
    def _fail(reason: str) -> NoReturn:
        raise AssertionError(reason)
