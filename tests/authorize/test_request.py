"""The checks of an authorization request, asked as a function."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from django.http import QueryDict

from django_lazyauth.authorize.request import (
    MAX_QUERY_LENGTH,
    AuthorizationRefused,
    validate_authorization,
)
from tests.web.site import register_client

pytestmark = pytest.mark.django_db

REDIRECT_URI = "https://client.example/cb"


def parameters(**changes):
    good = {
        "response_type": "code",
        "client_id": "one-more-client",
        "redirect_uri": REDIRECT_URI,
        "scope": "openid profile",
        "state": "a-state",
        "code_challenge": "a" * 43,
        "code_challenge_method": "S256",
        **changes,
    }
    sent = {name: value for name, value in good.items() if value is not None}
    return QueryDict(urlencode(sent, doseq=True))


def refusal_of(**changes):
    with pytest.raises(AuthorizationRefused) as refused:
        validate_authorization(parameters(**changes))
    error = refused.value
    return error.error, error.redirect_uri, error.state


def test_a_good_request_is_returned_as_a_value():
    register_client()
    asked = validate_authorization(
        parameters(
            scope="openid profile openid", prompt="login consent", max_age="60", resource="https://a.example"
        )
    )
    assert (asked.client.client_id, asked.redirect_uri) == ("one-more-client", REDIRECT_URI)
    assert asked.scopes == ("openid", "profile")
    assert asked.prompts == {"login", "consent"}
    assert (asked.max_age, asked.resources, asked.state) == (60, ("https://a.example",), "a-state")
    assert asked.subject_hint is None


@pytest.mark.parametrize(
    "name", ["scope", "state", "nonce", "prompt", "max_age", "response_mode", "id_token_hint"]
)
def test_an_empty_parameter_counts_as_left_out(name):
    """RFC 6749 §3.1."""
    register_client()
    assert validate_authorization(parameters(**{name: ""})) == validate_authorization(
        parameters(**{name: None})
    )


@pytest.mark.parametrize("scope", [" ", "openid  profile", "openid\tprofile"])
def test_an_empty_scope_between_two_spaces_is_refused(scope):
    """RFC 6749 §3.3: one space separates."""
    register_client()
    assert refusal_of(scope=scope) == ("invalid_scope", REDIRECT_URI, "a-state")


@pytest.mark.parametrize("claims", ["not JSON", "[" * 5000])
def test_claims_that_are_no_json_are_refused(claims):
    """OpenID Connect Core §5.5."""
    register_client()
    assert refusal_of(claims=claims) == ("invalid_request", REDIRECT_URI, "a-state")
    assert validate_authorization(parameters(claims='{"userinfo": {}}'))


def test_a_registered_redirect_uri_may_have_brackets_in_its_query():
    """What may be registered may be used (RFC 9700 §4.1.3: compared as strings)."""
    uri = "https://client.example/cb?tenants[]=1"
    register_client(redirect_uris=uri)
    assert validate_authorization(parameters(redirect_uri=uri)).redirect_uri == uri


def test_an_id_token_hint_that_nobody_signed_names_nobody():
    """OpenID Connect Core §3.1.2.1. The person has to sign in, whoever is signed in here."""
    register_client()
    assert validate_authorization(parameters(id_token_hint="ey.ey.ey")).subject_hint == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "unknown"},
        {"client_id": ["one-more-client", "one-more-client"]},
        {"redirect_uri": "https://evil.test/cb"},
        {"redirect_uri": [REDIRECT_URI, REDIRECT_URI]},
        {"state": "x" * (MAX_QUERY_LENGTH + 1)},
    ],
)
def test_without_a_known_client_and_redirect_uri_an_error_goes_nowhere(changes):
    """RFC 6749 §4.1.2.1."""
    register_client()
    assert refusal_of(**changes) == ("invalid_request", None, "")


def test_a_state_that_is_itself_wrong_is_not_sent_back():
    register_client()
    assert refusal_of(state=["one", "two"]) == ("invalid_request", REDIRECT_URI, "")
