"""DOT and this app read resource indicators in the same way: both check the audience of the same tokens."""

from __future__ import annotations

from itertools import product

import pytest
from oauth2_provider.oauth2_validators import is_valid_resource_uri, validate_resource_as_url_prefix

from django_lazyauth.openid.resource_indicators import is_sound_resource, lies_below

SCHEMES = ["https", "http", "HTTPS", "custom", ""]
AUTHORITIES = [
    "api.example", "API.example", "api.example:443", "api.example:80", "api.example:8443", "other.example",
    "api.example.evil.test", "api.example:0", "api.example:", "[::1]", "[::1]:443", "user@api.example", "@api.example",
    "u:p@api.example", "api.example:port", "api.example:99999", "[::1", "", "api.example\\evil",
]  # fmt: skip
PATHS = [
    "",
    "/",
    "//",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/a/../b",
    "/a/./b",
    "/..",
    "/a?q=1",
    "?q=1",
    "/#f",
    "#",
    "/%61",
]
OTHERS = [
    "",
    "a",
    "/a",
    "//api.example/a",
    "urn:x:y",
    "mailto:a@api.example",
    "https:api.example",
    "https:/a",
]
INDICATORS = [
    f"{scheme}://{rest}{path}" for scheme, rest, path in product(SCHEMES, AUTHORITIES, PATHS)
] + OTHERS


def dot_accepts(indicator):
    try:
        return is_valid_resource_uri(indicator)
    except ValueError:  # DOT lets Python's parser raise.
        return False


def dot_finds_below(uri, indicator):
    try:
        return validate_resource_as_url_prefix(uri, [indicator])
    except ValueError:
        return False


def test_the_same_values_are_resource_indicators():
    """RFC 8707 §2."""
    different = [one for one in INDICATORS if is_sound_resource(one) != dot_accepts(one)]
    assert different == []


@pytest.mark.parametrize(
    "uri", [f"https://api.example{path}" for path in PATHS] + ["http://[::1]/a", "https://["]
)
def test_the_same_addresses_lie_below_a_resource(uri):
    """RFC 8707 §2: by path segments, never by characters."""
    different = [one for one in INDICATORS if lies_below(uri, one) != dot_finds_below(uri, one)]
    assert different == []
