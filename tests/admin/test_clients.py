"""Spec 4, Operators: one list of clients, and everything that an operator does there."""

from __future__ import annotations

import json
import re
from io import StringIO

import pytest
from bs4 import BeautifulSoup
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.urls import include, path
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application

from django_lazyauth.admin.clients import ClientAdmin
from django_lazyauth.clients import redirects
from django_lazyauth.kit.secret_digest import is_digest, secret_matches
from django_lazyauth.models import ClientRegistration, InitialAccessToken
from django_lazyauth.signals import client_deleted
from tests.clients.conftest import CONFIDENTIAL, PUBLIC, Registrar
from tests.conftest import register as register_manually
from tests.support.client_keys import ClientKey, give_keys
from tests.support.journey import OAuthClient, code_for, get, make_browser, post_form, redeem
from tests.support.key_server import KeyServer
from tests.support.processes import until

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

LIST = "/admin/oauth2_provider/application/"
TOKENS = "/admin/lazyauth/initialaccesstoken/"


@pytest.fixture
def operator(client):
    user = get_user_model().objects.create_superuser("operator", "operator@site.example", "pw")
    client.force_login(user)
    return client


@pytest.fixture
def everybody(db):
    """A client of each kind; the registered one is in use."""
    manual = register_manually(client_id="by-hand", name="By hand")
    body = Registrar().registered(PUBLIC | {"client_name": "Registered"})
    registered = OAuthClient(body["client_id"])
    redeem(registered, code_for(registered))
    Registrar().registered(CONFIDENTIAL | {"client_name": "Waiting"})
    document = register_manually(
        client_id="https://client.example/metadata", name="Document", registration_source="cimd"
    )
    return {
        "manual": manual,
        "registered": Application.objects.get(name="Registered"),
        "waiting": Application.objects.get(name="Waiting"),
        "document": document,
    }


def names(page) -> set[str]:
    cells = BeautifulSoup(page.content, "html.parser").select("#result_list .field-name_or_id")
    return {cell.get_text(strip=True) for cell in cells}


def page_of(operator, client, suffix="change/"):
    return operator.get(f"{LIST}{client.pk}/{suffix}")


def act(operator, action, *rows, **extra):
    form = {"action": action, "_selected_action": [row.pk for row in rows], **extra}
    return operator.post(LIST, form if action == "delete_selected" else form | {"confirmed": "yes"})


# -- the list ----------------------------------------------------------------------------------------------


def test_our_list_stands_in_the_place_of_dots():
    assert type(admin.site._registry[Application]) is ClientAdmin


def test_every_kind_of_client_is_in_one_list(operator, everybody):
    page = operator.get(LIST)
    assert names(page) == {"By hand", "Registered", "Waiting", "Document"}
    text = page.content.decode()
    assert "client.example" in text
    assert "Client ID Metadata Document" in text


def test_the_list_costs_the_same_however_long_it_is(operator, everybody, django_assert_max_num_queries):
    with django_assert_max_num_queries(8):
        operator.get(LIST)
    for number in range(20):
        Registrar().registered(CONFIDENTIAL, address=f"10.0.{number}.1")
    with django_assert_max_num_queries(8):
        operator.get(LIST)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("registration_source__exact=dcr", {"Registered", "Waiting"}),
        ("registration_source__exact=cimd", {"Document"}),
        ("used=recent", {"Registered"}),
        ("used=never", {"By hand", "Waiting", "Document"}),
        ("used=longer", set()),
        ("verified=no", {"Registered", "Waiting", "Document"}),
        ("verified=yes", {"By hand"}),
        ("state=waits", {"Waiting"}),
        ("state=disabled", set()),
        ("state=works", {"By hand", "Registered", "Waiting", "Document"}),
        ("client_type__exact=confidential", {"Waiting"}),
        ("q=regis", {"Registered"}),
        ("q=by-hand", {"By hand"}),
        ("q=192.0.2.0", {"Registered", "Waiting"}),
        ("q=client.example/metadata", {"Document"}),
    ],
)
def test_the_list_can_be_filtered_and_searched(operator, everybody, query, expected):
    assert names(operator.get(f"{LIST}?{query}")) == expected


# -- decisions ---------------------------------------------------------------------------------------------


def test_verifying_tells_people_that_somebody_looked(operator, everybody):
    client = OAuthClient(everybody["registered"].client_id)
    url = f"/authorize?{client.authorize_query()}"
    before = get(make_browser(), url).content.decode()
    act(operator, "verify", everybody["registered"], everybody["document"])
    assert ClientRegistration.objects.filter(verified_at__isnull=False).count() == 2
    after = get(make_browser(), url).content.decode()
    assert "erified" in before
    assert before.count("erified") > after.count("erified")
    act(operator, "withdraw_verification", everybody["registered"])
    assert get(make_browser(), url).content.decode().count("erified") == before.count("erified")


def test_a_verified_client_waits_for_its_first_use_for_ever(operator, everybody):
    act(operator, "verify", everybody["waiting"])
    row = ClientRegistration.objects.get(client=everybody["waiting"])
    assert (row.slot, row.expires_at) == (None, None)


def test_disabling_and_enabling(operator, everybody):
    client = OAuthClient("by-hand")
    url = f"/authorize?{client.authorize_query()}"
    act(operator, "disable", everybody["manual"], everybody["registered"])
    assert get(make_browser(), url).status_code == 400
    assert names(operator.get(f"{LIST}?state=disabled")) == {"By hand", "Registered"}
    act(operator, "enable", everybody["manual"])
    assert get(make_browser(), url).status_code == 200


def test_deleting_takes_the_tokens_along_and_asks_first(operator, everybody):
    told = []
    client_deleted.connect(receive := lambda sender, **kwargs: told.append(kwargs["client_id"]))
    asked = act(operator, "delete_selected", everybody["registered"], everybody["manual"])
    assert asked.status_code == 200
    assert AccessToken.objects.count() == 1
    act(operator, "delete_selected", everybody["registered"], everybody["manual"], post="yes")
    assert names(operator.get(LIST)) == {"Waiting", "Document"}
    assert AccessToken.objects.count() == 0
    page = operator.get(f"{LIST}{everybody['waiting'].pk}/delete/")
    assert page.status_code == 200
    operator.post(f"{LIST}{everybody['waiting'].pk}/delete/", {"post": "yes"})
    client_deleted.disconnect(receive)
    assert names(operator.get(LIST)) == {"Document"}
    assert len(told) == 3


def test_who_may_only_look_decides_nothing(client, everybody):
    viewer = get_user_model().objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_application"))
    client.force_login(viewer)
    assert names(client.get(LIST)) == {"By hand", "Registered", "Waiting", "Document"}
    for action in ("verify", "disable", "enable", "delete_selected"):
        act(client, action, everybody["registered"], post="yes")
    assert Application.objects.count() == 4
    assert not ClientRegistration.objects.filter(disabled_at__isnull=False).exists()
    assert not ClientRegistration.objects.filter(verified_at__isnull=False).exists()
    assert client.post(f"{LIST}{everybody['waiting'].pk}/act/new_secret/").status_code == 403
    assert client.get(TOKENS + "add/").status_code == 403


# -- one client --------------------------------------------------------------------------------------------


def test_what_a_client_says_is_shown_escaped_and_cannot_be_edited(operator):
    Registrar().registered(
        CONFIDENTIAL | {"client_name": "<script>alert(1)</script>\u202e", "contacts": ["</pre><img src=x>"]}
    )
    client = Application.objects.get()
    page = page_of(operator, client)
    text = page.content.decode()
    assert page.status_code == 200
    assert "<script>alert" not in text
    assert "<img src=x>" not in text
    assert "&lt;img src=x&gt;" in text
    assert "\u202e" not in BeautifulSoup(text, "html.parser").find("pre").get_text()
    assert 'name="redirect_uris"' not in text
    operator.post(f"{LIST}{client.pk}/change/", {"name": "Edited", "redirect_uris": "https://evil.example/"})
    client.refresh_from_db()
    assert "evil" not in client.redirect_uris
    assert client.name != "Edited"


def test_no_page_shows_a_secret_or_a_digest(operator, everybody):
    """I13."""
    for client in everybody.values():
        text = page_of(operator, client).content.decode() + operator.get(LIST).content.decode()
        row = ClientRegistration.objects.filter(client=client).first()
        for secret in (client.client_secret, row.token_digest if row else "", row.repeat_key if row else ""):
            assert not secret or secret not in text


def fields(**changes):
    return {
        "name": "New",
        "redirect_uris": "https://client.example/cb",
        "post_logout_redirect_uris": "",
        "allowed_origins": "",
        "client_type": "confidential",
        "authorization_grant_type": "authorization-code",
        "user": "",
        **changes,
    }


def shown(page) -> str:
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    return BeautifulSoup(page.content, "html.parser").find(id="shown-once").get_text()


def test_a_new_confidential_client_is_shown_its_secret_once(operator):
    assert operator.get(f"{LIST}add/").status_code == 200
    secret = shown(operator.post(f"{LIST}add/", fields()))
    row = Application.objects.get()
    assert is_digest(row.client_secret)
    assert secret_matches(secret, row.client_secret)
    assert row.registration_source == "manual"
    client = OAuthClient(row.client_id, secret)
    assert redeem(client, code_for(client)).status_code == 200
    assert secret not in page_of(operator, row).content.decode()
    # Editing the rest leaves the secret alone.
    assert operator.post(f"{LIST}{row.pk}/change/", fields(name="Renamed")).status_code == 302
    row.refresh_from_db()
    assert row.name == "Renamed"
    assert secret_matches(secret, row.client_secret)


GOOD_URIS = [
    "https://client.example/cb?tenant=a",
    "http://localhost/cb",
    "http://127.0.0.1:8080/cb",
    "com.example.app:/cb",
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "https://client.example/cb com.example.app:/cb",
]
BAD_URIS = [
    "http://client.example/cb",
    "https://client.example/cb#part",
    "https://ada@client.example/cb",
    "https://*.client.example/cb",
    "javascript:alert(1)",
    "myapp:/cb",
    "https://client.example/cb http://client.example/cb",
]


@pytest.mark.parametrize("name", ["redirect_uris", "post_logout_redirect_uris"])
@pytest.mark.parametrize("uris", GOOD_URIS)
def test_an_operator_may_type_what_a_sign_in_accepts(operator, name, uris):
    """RFC 9700 §2.1: one rule for registrations and operators, so apps need no setting of django-oauth-toolkit."""
    assert operator.post(f"{LIST}add/", fields(client_type="public", **{name: uris})).status_code == 302
    row = Application.objects.get()
    assert getattr(row, name) == uris
    allowed = (
        redirects.redirect_uri_allowed if name == "redirect_uris" else redirects.post_logout_redirect_allowed
    )
    assert all(allowed(row, uri) for uri in uris.split())


@pytest.mark.parametrize("name", ["redirect_uris", "post_logout_redirect_uris"])
@pytest.mark.parametrize("uris", BAD_URIS)
def test_an_operator_may_not_type_what_each_sign_in_would_refuse(operator, name, uris):
    """RFC 9700 §2.1: the error stands at the field and names the URI."""
    page = operator.post(f"{LIST}add/", fields(client_type="public", **{name: uris}))
    assert not Application.objects.exists()
    form = page.context["adminform"].form
    assert set(form.errors) == {name}
    assert uris.split()[-1] in str(form.errors[name].as_data()[0].message)


def test_a_client_of_people_needs_a_redirect_uri(operator):
    """What django-oauth-toolkit says of the other fields, and of none at all, stands."""
    page = operator.post(f"{LIST}add/", fields(redirect_uris=""))
    assert "redirect_uris" in page.context["adminform"].form.errors
    assert not Application.objects.exists()


def test_a_new_public_client_has_no_secret(operator):
    assert operator.post(f"{LIST}add/", fields(client_type="public")).status_code == 302
    row = Application.objects.get()
    assert row.client_secret == ""
    secret = shown(operator.post(f"{LIST}{row.pk}/change/", fields()))
    row.refresh_from_db()
    assert secret_matches(secret, row.client_secret)
    operator.post(f"{LIST}{row.pk}/change/", fields(client_type="public"))
    row.refresh_from_db()
    assert row.client_secret == ""


def test_an_operator_cannot_make_a_client_for_a_grant_that_is_off(operator):
    page = operator.post(f"{LIST}add/", fields(authorization_grant_type="implicit"))
    assert page.status_code == 200
    assert not Application.objects.exists()


def test_a_new_secret_replaces_the_old_one_and_is_kept_nowhere(operator):
    old = shown(operator.post(f"{LIST}add/", fields()))
    row = Application.objects.get()
    url = f"{LIST}{row.pk}/act/new_secret/"
    assert url in page_of(operator, row).content.decode()
    asked = operator.get(url)
    assert asked.status_code == 200
    row.refresh_from_db()
    assert secret_matches(old, row.client_secret)
    secret = shown(operator.post(url))
    row.refresh_from_db()
    assert secret_matches(secret, row.client_secret)
    assert not secret_matches(old, row.client_secret)
    for later in (LIST, f"{LIST}{row.pk}/change/", f"{LIST}{row.pk}/history/"):
        assert secret not in operator.get(later).content.decode()
    assert not [session for session in Session.objects.all() if secret in str(session.get_decoded())]


def test_a_public_client_has_no_secret_to_renew(operator, everybody):
    assert operator.get(f"{LIST}{everybody['manual'].pk}/act/new_secret/").status_code == 404
    assert "act/new_secret" not in page_of(operator, everybody["manual"]).content.decode()
    assert operator.get(f"{LIST}99999/act/new_secret/").status_code == 404


# -- keys ----------------------------------------------------------------------------------------------------

KEY = ClientKey("ES256")


def keys_of(operator, row) -> str:
    page = BeautifulSoup(page_of(operator, row).content, "html.parser")
    return page.select_one(".field-keys .readonly").get_text()


def test_of_a_client_without_keys_nothing_is_said_of_them(operator, everybody):
    """Django shows "None" for what an admin has no value for."""
    assert keys_of(operator, everybody["manual"]) == fetched(operator, everybody["manual"]) == "–"


def test_the_form_of_a_client_without_keys_shows_an_empty_field(operator, everybody):
    for page in (operator.get(f"{LIST}add/"), page_of(operator, everybody["manual"])):
        assert BeautifulSoup(page.content, "html.parser").find(id="id_jwks").get_text().strip() == ""


def test_an_operator_pastes_a_key_and_the_client_has_no_secret(operator):
    """Spec 8.10: a set, or a single key. The page says what is known of it."""
    for number, jwks in enumerate((KEY.key_set, KEY.public_jwk)):
        answer = operator.post(f"{LIST}add/", fields(name=f"Client {number}", jwks=json.dumps(jwks)))
        assert answer.status_code == 302, answer.content
        row = Application.objects.get(name=f"Client {number}")
        assert row.client_secret == ""
        assert row.lazyauth_registration.metadata == {"jwks": KEY.key_set}
        assert keys_of(operator, row) == "1 key"
        assert "act/new_secret" not in page_of(operator, row).content.decode()
        assert operator.get(f"{LIST}{row.pk}/act/new_secret/").status_code == 404
        client = OAuthClient(row.client_id)
        assert redeem(client, code_for(client), **KEY.form(row.client_id)).status_code == 200
    assert operator.post(f"{LIST}{row.pk}/change/", fields(jwks=json.dumps(KEY.key_set))).status_code == 302
    # Without its key it needs a secret, which is shown once.
    assert shown(operator.post(f"{LIST}{row.pk}/change/", fields(jwks="")))
    assert Application.objects.get(pk=row.pk).lazyauth_registration.metadata == {}


def test_a_client_moves_from_its_secret_to_keys_without_a_pause(operator):
    secret = shown(operator.post(f"{LIST}add/", fields()))
    row = Application.objects.get()
    client = OAuthClient(row.client_id, secret)
    change = f"{LIST}{row.pk}/change/"
    operator.post(change, fields(jwks=json.dumps(KEY.key_set), keeps_secret="on"))
    assert redeem(client, code_for(client)).status_code == 200
    assert redeem(client, code_for(client), client_secret=None, **KEY.form(row.client_id)).status_code == 200
    operator.post(change, fields(jwks=json.dumps(KEY.key_set)))
    assert redeem(client, code_for(client)).status_code == 401


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jwks", "no JSON"),
        ("jwks", "[]x"),
        ("jwks", json.dumps({"keys": []})),
        ("jwks", json.dumps(KEY.private_jwk)),
        ("jwks", json.dumps({"kty": "oct", "k": "AAAA"})),
        ("jwks", json.dumps(KEY.public_jwk | {"use": "enc"})),
        ("jwks", '"text"'),
        ("jwks", "[" * 5000 + "]" * 5000),
        ("jwks_uri", "http://client.example/jwks"),
        ("jwks_uri", "client.example"),
        ("jwks_uri", "https://client.example/ jwks"),
        ("jwks_uri", "https://user:password@client.example/jwks"),
        ("jwks_uri", "https://client.example/jwks#first"),
    ],
)
def test_an_operator_is_told_which_keys_cannot_be_used(operator, name, value):
    page = operator.post(f"{LIST}add/", fields(**{name: value}))
    assert set(page.context["adminform"].form.errors) == {name}
    assert not Application.objects.exists()


@pytest.mark.parametrize("beside", ['"a\\u0000"', "NaN", '"secret"'])
def test_of_what_an_operator_pastes_only_keys_are_kept(operator, beside):
    """PostgreSQL refuses the first, and JSON the second."""
    pasted = f'{{"keys": [{json.dumps(KEY.public_jwk)}], "beside": {beside}}}'
    assert operator.post(f"{LIST}add/", fields(jwks=pasted)).status_code == 302
    assert ClientRegistration.objects.get().metadata == {"jwks": KEY.key_set}


@pytest.mark.parametrize(
    "methods", [["private_key_jwt"], ["private_key_jwt", "none"], ["private_key_jwt", "client_secret_post"]]
)
def test_who_saves_a_client_gives_it_no_method_that_it_had_not(operator, methods):
    """A host may set members that the form has no field for. Else a secret would work again."""
    row = register_manually(client_id="ours", client_type="confidential")
    give_keys("ours", KEY, token_endpoint_auth_methods_supported=methods)
    before = ClientRegistration.objects.get().metadata
    initial = page_of(operator, row).context["adminform"].form.initial
    sent = fields(name="Renamed", jwks=json.dumps(KEY.key_set))
    operator.post(
        f"{LIST}{row.pk}/change/", sent | ({"keeps_secret": "on"} if initial["keeps_secret"] else {})
    )
    row.refresh_from_db()
    assert (row.name, ClientRegistration.objects.get().metadata) == ("Renamed", before)


def test_who_may_only_look_sees_what_is_known_of_the_keys(client):
    """Django would show "None" for the fields of the form."""
    viewer = get_user_model().objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_application"))
    client.force_login(viewer)
    row = register_manually(client_id="ours", client_type="confidential")
    give_keys("ours", KEY)
    assert keys_of(client, row) == "1 key"
    assert not BeautifulSoup(page_of(client, row).content, "html.parser").select(
        ".field-jwks, .field-grant_types"
    )


def test_an_operator_gives_keys_or_their_address(operator):
    page = operator.post(
        f"{LIST}add/", fields(jwks=json.dumps(KEY.key_set), jwks_uri="https://client.example/jwks")
    )
    assert set(page.context["adminform"].form.errors) == {"jwks_uri"}


def test_the_keys_at_an_address_are_shown_as_they_were_fetched_last(operator, lazyauth):
    """Spec 8.10: the page fetches nothing, the action does."""
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    server = KeyServer(KEY)
    try:
        assert operator.post(f"{LIST}add/", fields(jwks_uri=server.url())).status_code == 302
        row = Application.objects.get()
        assert keys_of(operator, row) == "not fetched yet"
        assert server.asked == 0
        operator.post(LIST, {"action": "fetch_keys", "_selected_action": [row.pk], "confirmed": "yes"})
        until(lambda: keys_of(operator, row) == "1 key")
        assert server.asked == 1
        server.status = 500
        cache.clear()
        operator.post(LIST, {"action": "fetch_keys", "_selected_action": [row.pk], "confirmed": "yes"})
        until(lambda: keys_of(operator, row) == "cannot be used: status")
    finally:
        server.close()


def test_an_operator_lists_the_grants_of_a_client(operator):
    grants = ["authorization_code", "client_credentials"]
    operator.post(f"{LIST}add/", fields(jwks=json.dumps(KEY.key_set), grant_types=grants))
    row = Application.objects.get()
    assert row.lazyauth_registration.metadata["grant_types"] == grants
    own = {"grant_type": "client_credentials", "scope": "profile"} | KEY.form(row.client_id)
    assert post_form(make_browser(), "/token", own).status_code == 200
    form = page_of(operator, row).context["adminform"].form
    assert form.initial["grant_types"] == grants


def test_the_grants_decide_whether_a_client_needs_a_redirect_uri(operator):
    """Spec 8.10: django-oauth-toolkit knows one grant of a client, which these replace."""
    machine = fields(jwks=json.dumps(KEY.key_set), grant_types=["client_credentials"], redirect_uris="")
    assert operator.post(f"{LIST}add/", machine).status_code == 302
    row = Application.objects.get()
    own = {"grant_type": "client_credentials", "scope": "profile"} | KEY.form(row.client_id)
    assert post_form(make_browser(), "/token", own).status_code == 200
    row.delete()
    for column in ("authorization-code", "client-credentials"):
        page = operator.post(
            f"{LIST}add/", machine | {"grant_types": GRANTS, "authorization_grant_type": column}
        )
        assert set(page.context["adminform"].form.errors) == {"redirect_uris"}
    assert not Application.objects.exists()
    page = operator.post(f"{LIST}add/", machine | {"redirect_uris": "javascript:alert(1)"})
    assert set(page.context["adminform"].form.errors) == {"redirect_uris"}


GRANTS = ["authorization_code", "client_credentials"]


def policies_of(operator, row):
    items = BeautifulSoup(page_of(operator, row).content, "html.parser").select(".field-policies li")
    return [item.get_text() for item in items]


def test_an_operator_asks_more_of_a_client_and_reads_it_in_words(operator, lazyauth):
    """Spec 8.10."""
    asked = {
        "token_endpoint_auth_signing_alg": "ES256",
        "dpop_bound_access_tokens": "on",
        "require_pushed_authorization_requests": "on",
        "require_signed_request_object": "on",
        "request_object_signing_alg": "PS256",
        "default_max_age": "0",
        "default_acr_values": "urn:example:mfa  2 2",
    }
    kept = fields(jwks=json.dumps(KEY.key_set), grant_types=GRANTS, skip_authorization="on")
    page = operator.post(f"{LIST}add/", kept | asked)
    assert set(page.context["adminform"].form.errors) == {"require_signed_request_object"}
    lazyauth(REQUEST_OBJECTS=True)
    assert operator.post(f"{LIST}add/", kept | asked).status_code == 302
    row = Application.objects.get()
    metadata = row.lazyauth_registration.metadata
    assert metadata["token_endpoint_auth_signing_alg"] == "ES256"
    assert metadata["dpop_bound_access_tokens"] is True
    assert metadata["require_pushed_authorization_requests"] is True
    assert metadata["default_max_age"] == 0
    assert metadata["default_acr_values"] == ["urn:example:mfa", "2"]
    lazyauth(ASSERTION_AUDIENCE_COMPAT=[row.client_id])
    assert policies_of(operator, row) == [
        "It proves itself with a key.",
        "Grants: authorization_code, client_credentials.",
        "Nobody is asked for consent.",
        "It signs with ES256 only.",
        "The URL of an endpoint is taken as the audience of its assertions.",
        "Its tokens are bound to a key (DPoP).",
        "Its authorization requests are pushed.",
        "Its authorization requests are signed.",
        "It signs requests with PS256 only.",
        "A sign-in counts for 0 seconds, unless its request says otherwise.",
        "A sign-in is one of urn:example:mfa, 2, unless its request says otherwise.",
    ]
    form = page_of(operator, row).context["adminform"].form
    assert {name: form[name].initial for name in asked} == asked | {
        "dpop_bound_access_tokens": True,
        "require_pushed_authorization_requests": True,
        "require_signed_request_object": True,
        "default_max_age": 0,
        "default_acr_values": "urn:example:mfa 2",
    }
    assert operator.post(f"{LIST}{row.pk}/change/", kept).status_code == 302
    row.lazyauth_registration.refresh_from_db()
    assert not set(asked) & set(row.lazyauth_registration.metadata)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("default_max_age", "-1"),
        ("default_max_age", str(10**9)),
        ("default_max_age", "x"),
        ("default_acr_values", 'a"b'),
        ("default_acr_values", " ".join(map(str, range(11)))),
        ("token_endpoint_auth_signing_alg", "HS256"),
    ],
)
def test_an_operator_is_told_what_cannot_be_asked_of_a_client(operator, name, value):
    page = operator.post(f"{LIST}add/", fields(**{name: value}))
    assert set(page.context["adminform"].form.errors) == {name}


def test_what_holds_for_each_kind_of_client_is_said(operator, everybody):
    """Spec 8.10."""
    said = {name: policies_of(operator, row)[0] for name, row in everybody.items()}
    assert said == {
        "manual": "It does not prove itself: it is public.",
        "registered": "It does not prove itself: it is public.",
        "waiting": "It proves itself with its secret.",
        "document": "It does not prove itself: it is public.",
    }
    give_keys("by-hand", KEY, token_endpoint_auth_methods_supported=["private_key_jwt", "none"])
    assert policies_of(operator, everybody["manual"])[0] == "It proves itself with a key, or not at all."


def test_an_operator_fetches_the_keys_of_a_client_now_and_sees_how_it_went(operator, lazyauth):
    """Spec 8.10, I15: also while its server is left alone after a failure, and once in 30 s."""
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    server = KeyServer(KEY)
    server.status = 500
    try:
        operator.post(f"{LIST}add/", fields(jwks_uri=server.url()))
        row = Application.objects.get()
        assert fetched(operator, row) == "–"
        page = page_of(operator, row).content.decode()
        assert 'value="Fetch its keys now"' in page
        assert "being fetched" in press(operator, row)
        until(lambda: re.fullmatch(r"failed .+: status", fetched(operator, row)))
        assert server.asked == 1
        server.status = 200
        assert "being fetched" in press(operator, row)
        until(lambda: keys_of(operator, row) == "1 key")
        assert fetched(operator, row).startswith("fetched ")
        assert server.asked == 2
        assert "less than 30 s ago" in press(operator, row)
        assert server.asked == 2
    finally:
        server.close()


def fetched(operator, row):
    page = BeautifulSoup(page_of(operator, row).content, "html.parser")
    return page.select_one(".field-keys_fetched .readonly").get_text()


def press(operator, row) -> str:
    answer = operator.post(f"{LIST}{row.pk}/fetch-keys/", follow=True)
    assert answer.redirect_chain == [(f"{LIST}{row.pk}/change/", 302)]
    return answer.content.decode()


def test_only_who_may_change_a_client_has_its_keys_fetched(operator, client):
    give_keys(register_manually(client_id="ours").client_id, jwks_uri="https://client.example/jwks")
    register_manually(client_id="without")
    ours, without = (Application.objects.get(client_id=name) for name in ("ours", "without"))
    assert operator.get(f"{LIST}{ours.pk}/fetch-keys/").status_code == 405
    assert operator.post(f"{LIST}{without.pk}/fetch-keys/").status_code == 404
    viewer = get_user_model().objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_application"))
    client.force_login(viewer)
    assert "Fetch its keys now" not in page_of(client, ours).content.decode()
    assert client.post(f"{LIST}{ours.pk}/fetch-keys/").status_code == 403


# -- initial access tokens ---------------------------------------------------------------------------------


def test_an_initial_access_token_is_issued_and_shown_once(operator, lazyauth):
    lazyauth(REGISTRATION_POLICY="token")
    form = {"note": "For Ada", "max_uses": "2", "expires_at_0": "2099-01-01", "expires_at_1": "00:00:00"}
    assert operator.get(f"{TOKENS}add/").status_code == 200
    token = shown(operator.post(f"{TOKENS}add/", form))
    row = InitialAccessToken.objects.get()
    assert row.created_by.username == "operator"
    assert Registrar().register(PUBLIC, token=token).status_code == 201
    for url in (TOKENS, f"{TOKENS}{row.pk}/change/"):
        text = operator.get(url).content.decode()
        assert token not in text
        assert row.digest not in text
    assert "Dynamic Client Registration (initial access token)" in operator.get(LIST).content.decode()
    operator.post(f"{TOKENS}{row.pk}/delete/", {"post": "yes"})
    assert Registrar().register(PUBLIC, token=token).status_code == 401
    assert Application.objects.count() == 1


def test_the_command_prints_a_token_that_works(lazyauth):
    lazyauth(REGISTRATION_POLICY="token")
    output = StringIO()
    call_command("issue_initial_access_token", "--uses", "2", "--days", "1", "--note", "CI", stdout=output)
    token = output.getvalue().strip()
    assert re.fullmatch(r"[\w-]{43}", token)
    row = InitialAccessToken.objects.get()
    assert (row.max_uses, row.note) == (2, "CI")
    assert row.expires_at > timezone.now()
    assert Registrar().register(PUBLIC, token=token).status_code == 201
    for wrong in (["--uses", "0"], ["--days", "0"], ["--note", "x" * 201]):
        with pytest.raises(CommandError):
            call_command("issue_initial_access_token", *wrong)
