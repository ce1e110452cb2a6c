"""A parameter without a value is an omitted one (RFC 6749 §3.1, §3.2), at every endpoint."""

from __future__ import annotations

import pytest
from django.http import QueryDict

from django_lazyauth.kit.http import without_empty
from tests.support.journey import code_for, get, make_browser, post_form, redeem


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("", {}),
        ("a=", {}),
        ("a=&a=1", {"a": ["1"]}),
        ("a=1&b=&a=2", {"a": ["1", "2"]}),
        ("a=%20", {"a": [" "]}),
    ],
)
def test_values_that_are_empty_are_left_out(sent, kept):
    assert dict(without_empty(QueryDict(sent)).lists()) == kept


NAMES = (
    "resource",
    "scope",
    "nonce",
    "prompt",
    "max_age",
    "login_hint",
    "claims",
    "request",
    "response_mode",
)


@pytest.mark.django_db
@pytest.mark.parametrize("name", NAMES)
def test_an_empty_parameter_changes_nothing_at_authorize(client_, name):
    """RFC 6749 §3.1: beside a value, too."""
    query = client_.authorize_query()
    assert get(make_browser(), f"/authorize?{query}&{name}=").status_code == 200
    assert get(make_browser(), f"/authorize?{name}=&{query}&{name}=&state=").status_code == 200


@pytest.mark.django_db
def test_an_empty_parameter_changes_nothing_at_the_token_endpoint(client_):
    """RFC 6749 §3.2: ``resource`` stays that of the grant, and a name with a value stands once."""
    code = code_for(client_, resource="https://auth.example/mcp")
    answer = redeem(
        client_, code, resource=["", ""], scope="", client_id=["", client_.client_id], client_secret=""
    )
    assert answer.status_code == 200, answer.content
    form = {
        "grant_type": ["", "refresh_token"],
        "refresh_token": answer.json()["refresh_token"],
        "client_id": client_.client_id,
        "resource": "",
        "scope": "",
    }
    assert post_form(make_browser(), "/token", form).status_code == 200


@pytest.mark.django_db
def test_an_empty_parameter_changes_nothing_at_logout_and_revocation(client_):
    assert get(make_browser(), "/logout?post_logout_redirect_uri=&state=&state=").status_code == 200
    form = {"token": ["", "unknown"], "token_type_hint": "", "client_id": client_.client_id}
    assert post_form(make_browser(), "/revoke_token", form).status_code == 200
