"""What the columns of django-oauth-toolkit's next release say of a client holds here too.

An installed release that lacks a column has it as an attribute of the model, as the model of a host may.
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.urls import path
from oauth2_provider.models import AbstractApplication, get_application_model

from django_lazyauth.grants.server_metadata import server_metadata
from django_lazyauth.toolkit import client_methods, clients
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.contracts import dot_ground_urls
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import OAuthClient, get, make_browser, post_form
from tests.toolkit.test_stock_validator import call
from tests.web.site import answer_to, is_choice_page

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), *dot_ground_urls.urlpatterns]

KEY = ClientKey("ES256")
OWN = {"grant_type": "client_credentials"}


@pytest.fixture
def say(monkeypatch):
    def write(client_id, **columns):
        model = get_application_model()
        known = {field.name for field in model._meta.get_fields()}
        for name, value in columns.items():
            if name in known:
                model.objects.filter(client_id=client_id).update(**{name: value})
            else:
                monkeypatch.setattr(model, name, value, raising=False)

    return write


@pytest.fixture
def machine(db):
    register(
        client_id="machine",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
    )
    return OWN | {"client_id": "machine"}


def ask(form, where="/token"):
    return post_form(make_browser(), where, form).status_code


def with_secret(form):
    return form | {"client_secret": CONFIDENTIAL_SECRET}


@pytest.mark.parametrize("method", ["", "client_secret_basic", "client_secret_post"])
def test_a_method_with_a_secret_changes_nothing(machine, say, method):
    say("machine", token_endpoint_auth_method=method, client_jwks=json.dumps(KEY.key_set))
    assert ask(with_secret(machine)) == 200
    assert ask(machine | KEY.form("machine")) == 401


def test_a_client_whose_column_names_a_key_proves_itself_with_that_and_nothing_else(machine, say):
    """RFC 9700 §2.5: a secret that leaked opens no other door."""
    say("machine", token_endpoint_auth_method="private_key_jwt", client_jwks=json.dumps(KEY.key_set))
    assert ask(with_secret(machine)) == 401
    assert call("/token", machine, CONFIDENTIAL_SECRET).status_code == 401
    assert ask(machine | ClientKey("ES256").form("machine")) == 401
    assert ask(machine | KEY.form("machine")) == 200


@pytest.mark.parametrize("keys", ["", "{", "null", '{"keys": 1}', "[" * 100_000], ids=range(5))
def test_keys_that_cannot_be_read_are_none(machine, say, keys):
    """I18."""
    say("machine", token_endpoint_auth_method="private_key_jwt", client_jwks=keys)
    assert ask(machine | KEY.form("machine")) == 401
    assert ask(with_secret(machine)) == 401


def test_keys_may_stand_at_the_address_in_the_column(machine, say):
    uri = "https://client.example/keys"
    say("machine", token_endpoint_auth_method="private_key_jwt", client_jwks="", client_jwks_uri=uri)
    client = clients.load_client("machine")
    assert client_methods.keys_uri(client) == uri
    assert client_methods.given_keys(client) is None


def test_keys_beside_the_client_stand_and_its_secret_does_not(machine, say):
    """The stricter of both: the column wants a key, and a method with a secret is named beside it."""
    other = ClientKey("ES256")
    methods = ["private_key_jwt", "client_secret_basic"]
    give_keys("machine", KEY, token_endpoint_auth_methods_supported=methods)
    assert ask(with_secret(machine)) == 200
    say("machine", token_endpoint_auth_method="private_key_jwt", client_jwks=json.dumps(other.key_set))
    assert ask(with_secret(machine)) == 401
    assert ask(machine | other.form("machine")) == 401
    assert ask(machine | KEY.form("machine")) == 200


def test_a_public_client_whose_column_names_a_key_is_not_taken_at_its_word(db, say):
    register(client_id="web", client_type="public")
    assert not client_methods.must_prove(clients.load_client("web"))
    say("web", token_endpoint_auth_method="private_key_jwt", client_jwks=json.dumps(KEY.key_set))
    assert client_methods.must_prove(clients.load_client("web"))


def test_a_method_that_is_not_served_lets_nobody_in_and_a_check_names_it(machine, say, client):
    """A digest of the secret, which is all that is kept here, verifies no signature with the secret."""
    say("machine", token_endpoint_auth_method="client_secret_jwt")
    assert ask(with_secret(machine)) == 401
    assert ask(machine) == 401
    [found] = [one.msg for one in run_checks(databases=["default"]) if one.id == "lazyauth.W029"]
    assert "'machine'" in found
    assert "'client_secret_jwt' is not served" in found


def test_an_operator_sees_what_holds_and_may_change_it(machine, say, client):
    client.force_login(get_user_model().objects.create_superuser("operator", "o@site.example", "pw"))
    row = get_application_model().objects.get()
    page = f"/admin/oauth2_provider/application/{row.pk}/change/"
    assert "client_jwks" not in get(client, page).content.decode()
    say("machine", token_endpoint_auth_method="client_secret_jwt")
    assert (
        "It cannot prove itself here: client_secret_jwt is not served." in get(client, page).content.decode()
    )
    say("machine", token_endpoint_auth_method="private_key_jwt", client_jwks=json.dumps(KEY.key_set))
    text = get(client, page).content.decode()
    assert "It proves itself with a key." in text
    is_column = hasattr(AbstractApplication, "client_jwks")
    assert ('name="client_jwks"' in text) is is_column


# -- at the endpoints of the toolkit ----------------------------------------------------------------------


def test_the_secret_of_such_a_client_does_nothing_at_the_toolkit_either(machine, say):
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).status_code == 200
    say("machine", token_endpoint_auth_method="private_key_jwt", client_jwks=json.dumps(KEY.key_set))
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).status_code == 401
    # A release that knows no assertions must not take the secret beside one.
    both = machine | KEY.form("machine", aud="https://auth.example/dot/token/")
    assert call("/dot/token/", both, CONFIDENTIAL_SECRET).status_code == 401


def test_the_toolkit_takes_its_assertions_where_it_knows_them(machine, say):
    say("machine", token_endpoint_auth_method="private_key_jwt", client_jwks=json.dumps(KEY.key_set))
    form = machine | KEY.form("machine", aud="https://auth.example/dot/token/")
    is_known = hasattr(AbstractApplication, "JWT_AUTH_METHODS")
    assert ask(form, "/dot/token/") == (200 if is_known else 401)


def test_a_weaker_method_of_the_column_is_no_way_around_the_key_beside_the_client(machine, say):
    """Its secret may sign for the toolkit alone, and does not where a key stands beside it."""
    get_application_model().objects.update(client_secret=CONFIDENTIAL_SECRET, hash_client_secret=False)
    give_keys("machine", KEY)
    say("machine", token_endpoint_auth_method="client_secret_jwt")
    assert not client_methods.toolkit_asks_for_assertion(clients.load_client("machine"))
    assert ask(machine | KEY.form("machine")) == 200


# -- pushed requests --------------------------------------------------------------------------------------


@pytest.fixture
def web(db):
    register(client_id="web", client_type="public")
    return OAuthClient("web", scope="read")


def is_taken(client, where="/authorize"):
    browser = make_browser()
    browser.force_login(get_user_model().objects.get_or_create(username="ada")[0])
    answer = get(browser, f"{where}?{client.authorize_query()}")
    error = parse_qs(urlsplit(answer.headers.get("location", "")).query).get("error")
    assert error or answer.status_code in (200, 400)
    return not error and answer.status_code == 200


def test_a_client_whose_column_wants_pushes_gets_no_other_request_taken(web, say):
    """RFC 9126 §6."""
    assert is_taken(web)
    assert is_taken(web, "/dot/authorize/")
    say("web", require_pushed_authorization_requests=True)
    assert (
        answer_to(web, get(make_browser(), f"/authorize?{web.authorize_query()}"))["error"]
        == "invalid_request"
    )
    assert not is_taken(web, "/dot/authorize/")
    pushed = post_form(make_browser(), "/par", dict(parse_qs_flat(web.authorize_query()))).json()[
        "request_uri"
    ]
    assert is_choice_page(get(make_browser(), f"/authorize?client_id=web&request_uri={pushed}"))


@pytest.mark.parametrize("said", [None, False])
def test_a_column_that_wants_none_takes_no_wish_back(web, say, said):
    """RFC 9126 §6: what stands beside the client holds."""
    give_keys("web", require_pushed_authorization_requests=True)
    say("web", require_pushed_authorization_requests=said)
    assert not is_taken(web)
    assert not is_taken(web, "/dot/authorize/")


def test_the_setting_of_the_toolkit_counts_for_our_endpoint_too(web, settings):
    """RFC 9126 §5: and the metadata say so."""
    settings.OAUTH2_PROVIDER = getattr(settings, "OAUTH2_PROVIDER", {}) | {
        "REQUIRE_PUSHED_AUTHORIZATION_REQUESTS": True
    }
    assert not is_taken(web)
    assert not is_taken(web, "/dot/authorize/")
    assert server_metadata()["require_pushed_authorization_requests"] is True


def test_a_request_that_was_pushed_to_the_toolkit_is_taken_by_the_toolkit_alone(web, say):
    """Where it has an endpoint for them: what it knows of our client, ours does not take."""
    form = dict(parse_qs_flat(web.authorize_query()))
    say("web", require_pushed_authorization_requests=True)
    answer = post_form(make_browser(), "/dot/par/", form)
    if hasattr(AbstractApplication, "require_pushed_authorization_requests"):
        uri = answer.json()["request_uri"]
        browser = make_browser()
        browser.force_login(get_user_model().objects.create_user("ada"))
        query = f"client_id=web&request_uri={uri}"
        assert not is_choice_page(get(browser, f"/authorize?{query}"))
        assert get(browser, f"/dot/authorize/?{query}").status_code == 200
    else:
        assert answer.status_code == 404


def parse_qs_flat(query):
    return {name: values[0] for name, values in parse_qs(query).items()}
