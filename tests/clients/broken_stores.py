"""Stores that fail in every way a store can."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import IntegrityError, OperationalError

from django_lazyauth.errors import RegistrationRejected
from tests.support.clients_elsewhere import FileStore


def failing(error):
    class Store(FileStore):
        def register_client(self, attrs):
            raise error

    return Store


Rejects = failing(RegistrationRejected("No more clients for you."))
Invalid = failing(ValidationError("No more clients for you."))
Conflicts = failing(IntegrityError("UNIQUE constraint failed: secret_table.secret_column"))
Down = failing(OperationalError("could not connect to secret-host"))
TimesOut = failing(TimeoutError("secret-host"))
Bug = failing(KeyError("secret-key"))


class RegistersOnly:
    def register_client(self, attrs):
        return FileStore().register_client(attrs)


class CannotUpdate(FileStore):
    update_client = None


class CannotForget(FileStore):
    unregister_client = None


class KnowsNoToken(FileStore):
    def registration_access_token_digest(self, client):
        return None


class ManagingIsDown(FileStore):
    def get_client(self, client_id):
        raise OperationalError("could not connect to secret-host")


class ForgettingIsDown(FileStore):
    def unregister_client(self, client):
        raise TimeoutError("secret-host")


class RejectsUpdates(FileStore):
    def update_client(self, client, attrs):
        raise RegistrationRejected("Not this name.")
