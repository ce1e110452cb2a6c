"""Endpoints of django-oauth-toolkit that a host mounts: they know no client assertions, and are no way around them."""

from __future__ import annotations

import base64

import pytest
from django.core.checks import run_checks
from oauth2_provider.models import get_application_model

from django_lazyauth.models import ClientRegistration
from django_lazyauth.toolkit.stock_validator import StockValidator
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import OAuthClient, code_for, make_browser, post_form, redeem

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.contracts.dot_ground_urls")]

KEY = ClientKey("ES256")
OWN = {"grant_type": "client_credentials"}


def call(path, form, secret=None):
    headers = {}
    if secret is not None:
        sent = base64.b64encode(f"{form['client_id']}:{secret}".encode()).decode()
        headers["authorization"] = f"Basic {sent}"
        form = {name: value for name, value in form.items() if name != "client_id"}
    return post_form(make_browser(), path, form, headers=headers)


@pytest.fixture
def machine(db):
    register(
        client_id="machine",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=False,
    )
    return OWN | {"client_id": "machine"}


def test_a_client_with_a_secret_is_served_as_before(machine):
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).status_code == 200
    assert call("/dot/token/", machine, "wrong").status_code == 401


@pytest.mark.parametrize("secret", ["", CONFIDENTIAL_SECRET], ids=["empty", "old"])
def test_neither_an_empty_secret_nor_an_old_one_passes_for_a_key(machine, secret):
    """RFC 6749 §2.3.1: a client with a key is confidential, and its secret is empty or does nothing."""
    give_keys("machine", KEY)
    get_application_model().objects.update(client_secret=secret)
    for sent in ("", CONFIDENTIAL_SECRET):
        assert call("/dot/token/", machine, sent).status_code == 401
        assert call("/dot/introspect/", {"client_id": "machine", "token": "x"}, sent).status_code in {
            401,
            403,
        }
    assert call("/dot/token/", machine | {"client_secret": ""}).status_code == 401
    assert call("/dot/token/", machine).status_code == 401


def test_an_empty_secret_is_no_secret_at_all(machine):
    """Also where an operator left it empty."""
    get_application_model().objects.update(client_secret="")
    assert call("/dot/token/", machine, "").status_code == 401


def test_a_grant_that_the_operator_left_out_is_refused_here_too(machine):
    """Spec 8.10: the list beside a client replaces its one grant."""
    give_keys("machine", grant_types=["authorization_code"])
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).json()["error"] == "unauthorized_client"
    give_keys("machine", grant_types=["authorization_code", "client_credentials"])
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).status_code == 200


def test_a_session_that_began_with_a_key_is_not_refreshed_without_one(db):
    """Spec 8.1: whatever the client registers later, and wherever the refresh token is sent."""
    register(client_id="both", client_type="public")
    methods = ["private_key_jwt", "none"]
    give_keys("both", KEY, token_endpoint_auth_methods_supported=methods)
    client = OAuthClient("both")
    form = {"grant_type": "refresh_token", "client_id": "both"}
    with_key = redeem(client, code_for(client), **KEY.form("both")).json()["refresh_token"]
    without = redeem(client, code_for(client)).json()["refresh_token"]
    assert call("/dot/token/", form | {"refresh_token": with_key}).status_code == 400
    assert call("/dot/token/", form | {"refresh_token": without}).status_code == 200
    ClientRegistration.objects.update(metadata={})
    assert call("/dot/token/", form | {"refresh_token": with_key}).status_code == 400


def test_a_public_client_that_must_use_its_key_is_not_taken_at_its_word(db):
    register(client_id="keyed", client_type="public")
    client = OAuthClient("keyed")
    token = redeem(client, code_for(client)).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "client_id": "keyed", "refresh_token": token}
    give_keys("keyed", KEY)
    assert call("/dot/token/", form).status_code == 401
    ClientRegistration.objects.update(metadata={})
    assert call("/dot/token/", form).status_code == 200


class Derived(StockValidator):
    """What a host makes of it."""


@pytest.mark.parametrize(
    ("validator", "is_told"),
    [
        ("oauth2_provider.oauth2_validators.OAuth2Validator", True),
        (f"{__name__}.Derived", False),
        (f"{__name__}.Missing", False),
        (None, False),
    ],
)
def test_a_check_warns_of_a_validator_that_is_a_way_around(settings, validator, is_told):
    """To the validator of django-oauth-toolkit an empty secret is that of a client with a key."""
    own = {"OAUTH2_VALIDATOR_CLASS": validator} if validator else {}
    settings.OAUTH2_PROVIDER = getattr(settings, "OAUTH2_PROVIDER", {}) | own
    assert ("lazyauth.W018" in {one.id for one in run_checks()}) is is_told
