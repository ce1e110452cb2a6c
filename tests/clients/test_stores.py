"""The contract of a registration store, on the default store and on one that keeps clients elsewhere."""

from __future__ import annotations

import pytest
from django.test import TestCase

from django_lazyauth.clients.store import ModelRegistrationStore
from django_lazyauth.testing import RegistrationStoreContract
from tests.support.clients_elsewhere import FileStore, forget_all


class TestModelStore(RegistrationStoreContract, TestCase):
    def make_store(self):
        return ModelRegistrationStore()


@pytest.mark.django_db
class TestFileStore(RegistrationStoreContract):
    @pytest.fixture(autouse=True)
    def _empty(self):
        yield
        forget_all()

    def make_store(self):
        return FileStore()


class ForgetsToCompare(FileStore):
    def update_client(self, client, attrs):
        return super().update_client(self.get_client(client.client_id), attrs)


class KeepsOldMembers(FileStore):
    def update_client(self, client, attrs):
        from dataclasses import replace

        return super().update_client(client, replace(attrs, metadata={**client.metadata, **attrs.metadata}))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("store", "broken"),
    [
        (ForgetsToCompare, "test_of_two_updates_with_one_token_one_wins"),
        (KeepsOldMembers, "test_an_update_replaces_everything_and_the_token"),
    ],
)
def test_the_contract_catches_a_store_that_breaks_it(store, broken):
    class Contract(RegistrationStoreContract):
        def make_store(self):
            return store()

    try:
        with pytest.raises(AssertionError):
            getattr(Contract(), broken)()
    finally:
        forget_all()
