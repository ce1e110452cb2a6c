"""What the product uses of DOT that its documentation does not promise. ``test_dot_ground`` has the rest."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from oauth2_provider.models import get_access_token_model, get_refresh_token_model
from oauth2_provider.settings import oauth2_settings

from django_lazyauth.models.fields import digest
from django_lazyauth.toolkit.moved import dot_module

cimd = dot_module("cimd", moves_to="authorization_server")


@pytest.mark.parametrize(
    "url", ["http://client.example/a", "https://client.example", "https://client.example/#a"]
)
def test_dot_judges_the_url_of_a_metadata_document(url):
    """``toolkit/documents.py``: before a fetch of ours."""
    cimd._validate_client_id_url("https://client.example/client.json")
    with pytest.raises(cimd.CIMDError):
        cimd._validate_client_id_url(url)


def test_dot_reads_a_document_from_status_headers_and_body():
    """``toolkit/documents.py`` hands the answer of its own fetcher over."""
    body = json.dumps({"client_name": "A"}).encode()
    headers = {"Content-Type": "application/json", "Cache-Control": "max-age=700"}
    answer = SimpleNamespace(status=200, headers=headers, read=lambda size: body[:size])
    document, max_age = cimd.SafeMetadataFetcher()._read_document(answer)
    assert document == {"client_name": "A"}
    assert max_age == 700


def test_a_setting_that_the_host_did_not_set_comes_from_the_defaults():
    """``toolkit/settings.py``: two of the defaults are classes of ours."""
    assert oauth2_settings.OAUTH2_VALIDATOR_CLASS.__name__ == "StockValidator"
    assert oauth2_settings.CIMD_METADATA_FETCHER.__name__ == "DocumentFetcher"


def test_tokens_are_found_by_the_sha_256_of_their_value():
    """``tokens/``: rows of ours are DOT's rows, found by the same column."""
    row = get_access_token_model()(token="abc")
    field = row._meta.get_field("token_checksum")
    assert field.pre_save(row, add=True) == digest("abc")


@pytest.mark.django_db
def test_a_family_of_refresh_tokens_is_revoked_with_its_access_tokens(application):
    """``tokens/family.py``: one call ends what a session can do (I11)."""
    user = get_user_model().objects.create_user("ada")
    common = {"user": user, "application": application}
    expires = timezone.now() + timedelta(hours=1)
    access = get_access_token_model().objects.create(
        token="access", expires=expires, scope="openid", **common
    )
    family = uuid.uuid4()
    get_refresh_token_model().objects.create(
        token="refresh", access_token=access, token_family=family, **common
    )
    get_refresh_token_model().revoke_family(family)
    assert get_refresh_token_model().objects.get().revoked is not None
    assert not get_access_token_model().objects.exists()


@pytest.mark.parametrize(
    ("address", "allowed"), [("https://api.example/a/b", True), ("https://api.example/ab", False)]
)
def test_a_token_knows_where_it_may_be_used(address, allowed):
    """``tokens/bearer.py``: a host's own validator of resources counts (RFC 8707 §2)."""
    assert get_access_token_model()(resource=["https://api.example/a"]).allows_audience(address) is allowed


def test_dot_asks_its_permission_classes_and_counts_fetches_in_flight(settings, rf):
    """``toolkit/documents.py``: a site's own permissions and its cap hold for our reader too."""
    url = "https://client.example/client.json"
    assert cimd._registration_permitted(rf.get("/"), url) is True
    settings.OAUTH2_PROVIDER = {"CIMD_REGISTRATION_PERMISSION_CLASSES": [], "CIMD_MAX_CONCURRENT_FETCHES": 1}
    assert cimd._registration_permitted(rf.get("/"), url) is False
    with cimd._fetch_slot() as first, cimd._fetch_slot() as second:
        assert (first, second) == (True, False)
