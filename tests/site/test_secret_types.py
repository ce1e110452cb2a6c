"""I13: a type that holds a secret never shows it, wherever it is printed, logged or reported."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import Any

import pytest

import django_lazyauth

#: A field of one of these names holds a secret.
SECRET_NAMES = {
    "access_token",
    "answer",
    "body",
    "client_secret",
    "code",
    "code_verifier",
    "commit",
    "id_token",
    "nonce",
    "parameters",
    "password",
    "private",
    "private_key",
    "refresh_token",
    "registration_access_token_digest",
    "sealed",
    "secret",
    "secret_digest",
    "secrets",
    "state",
    "token",
    "token_digest",
    "value",
    "verifier",
}
#: Fields of such a name that hold no secret, each with the reason.
HARMLESS = {
    "vault.lease.Lease.token": "names the holder of a lease",
    "kit.results.Running.token": "names the holder of a lease",
    "providers.code_flow.Endpoints.token": "the address of a token endpoint",
    "openid.requests.revocation.RevocationRequest.token": "says where an access token stands",
    "openid.requests.revocation.RevocationRequest.body": "has placeholders where tokens stand",
    "openid.rules.Constant.value": "of a rule that says where a value of a person is",
    "openid.rules.Where.value": "the same",
}


def types_with_fields() -> dict[str, Any]:
    """Return every dataclass of the package, by module and name."""
    found = {}
    for module in pkgutil.walk_packages(django_lazyauth.__path__, "django_lazyauth."):
        if ".migrations." in module.name or module.name.endswith((".asgi", ".wsgi")):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            is_type = isinstance(value, type) and dataclasses.is_dataclass(value)
            if is_type and value.__module__ == module.name:
                found[f"{module.name.removeprefix('django_lazyauth.')}.{value.__qualname__}"] = value
    return found


TYPES = types_with_fields()


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_type_that_holds_a_secret_does_not_show_it(name):
    shown = [
        field.name
        for field in dataclasses.fields(TYPES[name])
        if field.name in SECRET_NAMES and field.repr and ("str" in str(field.type) or field.name == "commit")
    ]
    assert [one for one in shown if f"{name}.{one}" not in HARMLESS] == []


def test_there_are_types_to_look_at():
    assert len(TYPES) > 40
