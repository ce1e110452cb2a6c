"""The parsers of the Authorization header (RFC 7617, RFC 6750 §2.1)."""

from __future__ import annotations

import base64

import pytest

from django_lazyauth.kit.http import BasicCredentials, MalformedCredentials, parse_basic, parse_bearer


def basic(credentials: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(credentials).decode()}"


@pytest.mark.parametrize(
    ("header", "user_id", "password"),
    [
        (basic(b"client:secret"), "client", "secret"),
        (basic(b"client:secret", "bAsIc"), "client", "secret"),
        (basic(b"client:a:b"), "client", "a:b"),
        (basic(b"client:"), "client", ""),
        (basic(b"a%20b:%2B"), "a%20b", "%2B"),
        (basic("client:ü".encode()), "client", "ü"),
        ("Basic  Y2xpZW50OnNlY3JldA== ", "client", "secret"),
    ],
)
def test_basic_credentials_are_returned_as_they_were_sent(header, user_id, password):
    """RFC 7617 §2; the scheme's case does not matter (RFC 9110 §11.1)."""
    assert parse_basic(header) == BasicCredentials(user_id, password)


@pytest.mark.parametrize("header", ["", "Bearer abc", "Basically abc", "abc"])
def test_another_scheme_has_no_basic_credentials(header):
    assert parse_basic(header) is None


@pytest.mark.parametrize("header", ["Basic", "Basic a", "Basic é", basic(b"\xff:x"), basic(b"no colon")])
def test_unreadable_basic_credentials_are_an_error(header):
    with pytest.raises(MalformedCredentials):
        parse_basic(header)


def test_a_password_stands_in_no_repr():
    """I13."""
    assert "secret" not in repr(parse_basic(basic(b"client:secret")))


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Bearer", ""),
        ("Bearer a b", "a b"),
        ("Basic abc", None),
        ("Bearer\tabc", None),
        ("", None),
    ],
)
def test_the_token_of_a_bearer_header_is_returned(header, token):
    """RFC 6750 §2.1."""
    assert parse_bearer(header) == token
