"""What fills a placeholder, and what it cannot do where it stands."""

from __future__ import annotations

import pytest

from django_lazyauth.openid.requests.fill import fill_each, fill_url
from django_lazyauth.openid.rules import Documents

DOCUMENTS = Documents(
    token={"id": 7, "owner": {"id": "a/b?c=d#e"}, "up": "..", "list": [1]}, answer={"device": "x y"}
)


@pytest.mark.parametrize(
    ("path", "filled"),
    [
        ("id", "https://api.example/people/7/me"),
        ("owner.id", "https://api.example/people/a%2Fb%3Fc%3Dd%23e/me"),
        # A value of dots would climb to another resource of the same host, with the token of the person.
        ("up", "https://api.example/people//me"),
        ("list", "https://api.example/people//me"),
        ("nothing.there", "https://api.example/people//me"),
    ],
)
def test_a_value_in_an_address_is_one_segment(path, filled):
    """RFC 3986 §5.2.4."""
    template = "https://api.example/people/{token:PATH}/me".replace("PATH", path)
    assert fill_url(template, {}, DOCUMENTS) == filled


def test_a_parameter_that_is_empty_is_not_sent():
    """RFC 6749 §3.1."""
    templates = {"device": "{answer:device}", "other": "{answer:other}", "both": "{client_id}-{token:id}"}
    assert fill_each(templates, {"client_id": "us"}, DOCUMENTS) == {"device": "x y", "both": "us-7"}


def test_what_nobody_knows_stays():
    assert fill_url("https://id.example/{tenant}/{token:id}", {}) == "https://id.example/{tenant}/{token:id}"
