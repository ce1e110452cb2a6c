"""Spec 4, RFC 7592: a client manages itself with its token, and the token does nothing else (I17)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections
from django.http import HttpResponse
from django.urls import include, path
from oauth2_provider.models import AccessToken, Application, IDToken, RefreshToken
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.clients.operator_actions import disable, enable, verify
from django_lazyauth.models import ClientRegistration, Consent, PendingAuthorization, UpstreamToken
from django_lazyauth.signals import client_deleted, client_updated
from django_lazyauth.toolkit.moved import dot_module
from tests.clients.conftest import CONFIDENTIAL, PUBLIC, Registrar
from tests.conftest import register as register_manually
from tests.support.clients_elsewhere import FileStore, forget_all
from tests.support.journey import OAuthClient, code_for, get, make_browser, post_form, redeem, start

protected_resource = dot_module("decorators", moves_to="resource_server").protected_resource

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class Whoever(APIView):
    """A view of a host that asks for no scope."""

    authentication_classes = [LazyAuthAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": str(request.user)})


@protected_resource()
def plain_view(request):
    """DOT's own decorator, without scopes."""
    return HttpResponse("ok")


urlpatterns = [
    path("api/whoever", Whoever.as_view()),
    path("api/plain", plain_view),
    path("", include("django_lazyauth.urls")),
]


def is_refused(answer) -> bool:
    return (
        answer.status_code == 401
        and answer.json()
        == {
            "error": "invalid_token",
            "error_description": "The registration access token is not valid for this client.",
        }
        and answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
        and answer.headers["Cache-Control"] == "no-store"
    )


# -- read, replace, delete ---------------------------------------------------------------------------------


def test_reading_gives_the_registration_and_never_the_secret(registrar, any_store):
    """RFC 7592 §2.1."""
    body = registrar.registered(CONFIDENTIAL)
    answer = registrar.manage("GET", body)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    expected = {key: value for key, value in body.items() if not key.startswith("client_secret")}
    assert answer.json() == expected


def test_a_replacement_is_whole_and_rotates_the_token(registrar, any_store):
    """RFC 7592 §2.2."""
    body = registrar.registered(CONFIDENTIAL | {"tos_uri": "https://client.example/tos", "scope": "openid"})
    told = []
    client_updated.connect(receive := lambda sender, **kwargs: told.append(kwargs["client_id"]))
    answer = registrar.manage(
        "PUT", body, CONFIDENTIAL | {"client_id": body["client_id"], "client_name": "New"}
    )
    client_updated.disconnect(receive)
    assert answer.status_code == 200, answer.content
    new = answer.json()
    assert told == [body["client_id"]]
    assert new["client_id"] == body["client_id"]
    assert new["client_id_issued_at"] == body["client_id_issued_at"]
    assert new["client_name"] == "New"
    assert "tos_uri" not in new
    assert new["scope"] == "openid profile email"
    assert new["registration_access_token"] != body["registration_access_token"]
    assert "client_secret" not in new
    assert is_refused(registrar.manage("GET", body))
    assert registrar.manage("GET", new).status_code == 200
    client = OAuthClient(body["client_id"], body["client_secret"])
    assert redeem(client, code_for(client)).status_code == 200


def test_a_public_client_that_becomes_confidential_gets_a_secret(registrar, any_store):
    """Spec 7, Registration."""
    body = registrar.registered(PUBLIC)
    start(make_browser(), OAuthClient(body["client_id"]))
    new = registrar.manage("PUT", body, CONFIDENTIAL).json()
    assert new["client_secret"]
    assert new["client_secret_expires_at"] == 0
    bare = OAuthClient(new["client_id"])
    assert redeem(bare, code_for(bare)).status_code == 401
    client = OAuthClient(new["client_id"], new["client_secret"])
    assert redeem(client, code_for(client, subject="grace")).status_code == 200


def test_a_confidential_client_that_becomes_public_loses_its_secret(registrar):
    body = registrar.registered(CONFIDENTIAL)
    new = registrar.manage("PUT", body, PUBLIC).json()
    assert "client_secret" not in new
    assert Application.objects.get().client_secret == ""
    client = OAuthClient(new["client_id"])
    assert redeem(client, code_for(client)).status_code == 200


def test_a_replacement_checks_everything_anew(registrar, any_store):
    body = registrar.registered(PUBLIC)
    for change, error in (
        ({"client_id": "another"}, "invalid_client_metadata"),
        ({"redirect_uris": ["http://client.example/"]}, "invalid_redirect_uri"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({"client_secret": "guess"}, "invalid_client_metadata"),
    ):
        answer = registrar.manage("PUT", body, PUBLIC | change)
        assert (answer.status_code, answer.json()["error"]) == (400, error)
    # Nothing of that rotated the token.
    assert registrar.manage("GET", body).status_code == 200


def test_the_right_secret_in_a_replacement_is_fine(registrar):
    body = registrar.registered(CONFIDENTIAL)
    answer = registrar.manage("PUT", body, CONFIDENTIAL | {"client_secret": body["client_secret"]})
    assert answer.status_code == 200


@pytest.mark.parametrize("secret", ["x" * 43, "\u00e9", "cut off"], ids=["wrong", "not ASCII", "cut off"])
def test_i17_a_wrong_secret_of_a_confidential_client_in_a_replacement_is_refused(registrar, secret):
    """RFC 7592 §2.2: the value must match the one that was issued. Nothing is replaced, and no token is spent."""
    body = registrar.registered(CONFIDENTIAL)
    given = body["client_secret"][:-1] if secret == "cut off" else secret
    answer = registrar.manage("PUT", body, CONFIDENTIAL | {"client_secret": given, "client_name": "New"})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")
    kept = registrar.manage("GET", body)
    assert kept.status_code == 200
    assert kept.json().get("client_name") != "New"


def test_removed_redirect_uris_are_refused_at_once(registrar):
    body = registrar.registered(PUBLIC)
    registrar.manage("PUT", body, PUBLIC | {"redirect_uris": ["https://client.example/new"]})
    client = OAuthClient(body["client_id"])
    assert get(make_browser(), f"/authorize?{client.authorize_query()}").status_code == 400


def test_a_replacement_that_changes_something_is_unverified_again(registrar):
    body = registrar.registered(PUBLIC)
    verify(Application.objects.values_list("pk", flat=True))
    same = registrar.manage("PUT", body, PUBLIC).json()
    assert ClientRegistration.objects.get().verified_at is not None
    registrar.manage("PUT", same, PUBLIC | {"client_name": "Your bank"})
    assert ClientRegistration.objects.get().verified_at is None


def test_a_deletion_takes_everything_along(registrar, any_store):
    """RFC 7592 §2.3; spec 4: tokens, consents, vault rows and pending authorizations, one transaction."""
    body = registrar.registered(PUBLIC)
    other = registrar.registered(PUBLIC | {"client_name": "Other"})
    for one in (body, other):
        client = OAuthClient(one["client_id"])
        tokens = redeem(client, code_for(client)).json()
        code_for(client, subject="grace")
    told = []
    client_deleted.connect(receive := lambda sender, **kwargs: told.append(kwargs["client_id"]))
    answer = registrar.manage("DELETE", body)
    client_deleted.disconnect(receive)
    assert (answer.status_code, answer.content) == (204, b"")
    assert told == [body["client_id"]]
    rows = (AccessToken, RefreshToken, IDToken, Consent, UpstreamToken, ClientRegistration, Application)
    assert [model.objects.count() for model in rows] == [1] * len(rows)
    assert PendingAuthorization.objects.count() == 2
    assert get(make_browser(), "/userinfo", headers=bearer(tokens["access_token"])).status_code == 200
    assert is_refused(registrar.manage("GET", body))
    assert is_refused(registrar.manage("DELETE", body))
    client = OAuthClient(body["client_id"])
    assert get(make_browser(), f"/authorize?{client.authorize_query()}").status_code == 400


def test_a_deletion_that_fails_deletes_nothing(registrar, lazyauth):
    lazyauth(REGISTRATION_STORE="tests.clients.broken_stores.ForgettingIsDown")
    try:
        body = registrar.registered(PUBLIC)
        client = OAuthClient(body["client_id"])
        redeem(client, code_for(client))
        assert registrar.manage("DELETE", body).status_code == 503
        assert AccessToken.objects.count() == Application.objects.count() == 1
    finally:
        forget_all()


# -- who may not -------------------------------------------------------------------------------------------


def test_everything_that_is_wrong_gives_the_same_answer(registrar, any_store):
    """Unknown, deleted, disabled, foreign: not told apart."""
    body, other, deleted = (
        registrar.registered(PUBLIC | {"client_name": name}) for name in ("mine", "other", "deleted")
    )
    registrar.manage("DELETE", deleted)
    register_manually(client_id="by-hand")
    for method in ("GET", "PUT", "DELETE"):
        for client_id, token in (
            (body["client_id"], None),
            (body["client_id"], ""),
            (body["client_id"], "nonsense"),
            (body["client_id"], "\x00"),
            (body["client_id"], "x" * 5000),
            (body["client_id"], other["registration_access_token"]),
            (deleted["client_id"], deleted["registration_access_token"]),
            ("unknown", body["registration_access_token"]),
            ("by-hand", body["registration_access_token"]),
            ("by-hand", ""),
            ("%00", body["registration_access_token"]),
            ("%ED%A0%80", body["registration_access_token"]),
            ("x" * 3000, body["registration_access_token"]),
        ):
            answer = registrar.send(method, f"/register/{client_id}", PUBLIC, token=token)
            assert is_refused(answer), (method, client_id[:50], token, answer.status_code, answer.content)
    assert registrar.manage("GET", body).status_code == 200


def test_a_disabled_client_cannot_manage_itself(registrar, any_store):
    body = registrar.registered(PUBLIC)
    start(make_browser(), OAuthClient(body["client_id"]))
    pks = list(Application.objects.values_list("pk", flat=True))
    disable(pks)
    for method in ("GET", "PUT", "DELETE"):
        assert is_refused(registrar.manage(method, body, PUBLIC))
    enable(pks)
    assert registrar.manage("GET", body).status_code == 200


def test_a_refusal_costs_the_same_whatever_is_wrong(registrar, django_assert_num_queries):
    """Constant time: the same queries, and one comparison of digests."""
    body = registrar.registered(PUBLIC)
    for client_id, token in (
        (body["client_id"], "nonsense"),
        ("unknown", body["registration_access_token"]),
        ("%00", "nonsense"),
    ):
        with django_assert_num_queries(2):
            registrar.send("GET", f"/register/{client_id}", token=token)


def test_plain_http_is_refused(registrar):
    body = registrar.registered(PUBLIC)
    assert registrar.manage("GET", body, secure=False).status_code == 400


# -- I17 ---------------------------------------------------------------------------------------------------


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_the_registration_token_is_no_bearer_anywhere(registrar):
    """I17, on views that ask for no scope at all."""
    body = registrar.registered(CONFIDENTIAL)
    client = OAuthClient(body["client_id"], body["client_secret"])
    good = redeem(client, code_for(client)).json()["access_token"]
    bad = body["registration_access_token"]
    for url, refusal in (("/api/whoever", 401), ("/api/plain", 403), ("/userinfo", 401)):
        assert get(make_browser(), url, headers=bearer(good)).status_code == 200, url
        assert get(make_browser(), url, headers=bearer(bad)).status_code == refusal, url
    described = post_form(
        make_browser(),
        "/introspect",
        {"token": bad, "client_id": client.client_id, "client_secret": client.client_secret},
    )
    assert described.json() == {"active": False}
    assert registrar.register(PUBLIC, token=bad).status_code == 401
    refreshed = post_form(
        make_browser(),
        "/token",
        {
            "grant_type": "refresh_token",
            "refresh_token": bad,
            "client_id": client.client_id,
            "client_secret": client.client_secret,
        },
    )
    assert refreshed.status_code == 400


def test_no_other_token_manages_a_client(registrar):
    body = registrar.registered(PUBLIC)
    client = OAuthClient(body["client_id"])
    tokens = redeem(client, code_for(client)).json()
    for kind in ("access_token", "refresh_token", "id_token"):
        assert is_refused(registrar.manage("GET", body, token=tokens[kind]))


# -- disabling ---------------------------------------------------------------------------------------------


def test_a_disabled_client_is_refused_from_the_next_request_on(registrar):
    """Spec 4, Operators."""
    body = registrar.registered(PUBLIC)
    client = OAuthClient(body["client_id"])
    tokens = redeem(client, code_for(client)).json()
    code = code_for(client, subject="grace")
    refresh = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": client.client_id,
    }
    half_way = make_browser()
    back = start(half_way, client)
    pks = list(Application.objects.values_list("pk", flat=True))
    disable(pks)
    assert get(make_browser(), f"/authorize?{client.authorize_query()}").status_code == 400
    assert redeem(client, code).status_code == 401
    assert post_form(make_browser(), "/token", refresh).status_code == 401
    for url in ("/userinfo", "/api/whoever"):
        assert get(make_browser(), url, headers=bearer(tokens["access_token"])).status_code == 401
    from tests.support.journey import come_back

    arrived = come_back(half_way, back, subject="ada")
    assert not arrived.headers.get("Location", "").startswith(client.redirect_uri)
    enable(pks)
    assert get(make_browser(), "/userinfo", headers=bearer(tokens["access_token"])).status_code == 200
    assert post_form(make_browser(), "/token", refresh).status_code == 200
    assert redeem(client, code).status_code == 400, "what could become a session has ended (I21)"


def test_an_operators_own_client_can_be_disabled_too(client_, application):
    tokens = redeem(client_, code_for(client_)).json()
    code = code_for(client_, subject="grace")
    disable([application.pk])
    assert get(make_browser(), "/userinfo", headers=bearer(tokens["access_token"])).status_code == 401
    assert redeem(client_, code).status_code == 401


# -- stores that fail --------------------------------------------------------------------------------------


@pytest.fixture
def broken(lazyauth):
    yield lambda name: lazyauth(REGISTRATION_STORE=f"tests.clients.broken_stores.{name}")
    forget_all()


@pytest.mark.parametrize(
    ("store", "status", "error", "reason"),
    [
        ("Rejects", 400, "invalid_client_metadata", "No more clients for you."),
        ("Invalid", 400, "invalid_client_metadata", "No more clients for you."),
        ("Conflicts", 400, "invalid_client_metadata", "The registration conflicts with another one."),
        ("Down", 503, "temporarily_unavailable", "Registration is not possible at the moment."),
        ("TimesOut", 503, "temporarily_unavailable", "Registration is not possible at the moment."),
        ("Bug", 503, "temporarily_unavailable", "Registration is not possible at the moment."),
    ],
)
def test_what_a_store_raises_becomes_the_protocols_words(
    registrar, broken, caplog, store, status, error, reason
):
    """Spec 4. What it said stays inside (I13)."""
    broken(store)
    answer = registrar.register(PUBLIC)
    assert answer.status_code == status
    assert answer.json() == {"error": error, "error_description": reason}
    assert ("Retry-After" in answer.headers) == (status == 503)
    assert "secret-" not in caplog.text


@pytest.mark.parametrize(
    ("store", "method", "status"),
    [
        ("RegistersOnly", "GET", 401),
        ("RegistersOnly", "PUT", 401),
        ("RegistersOnly", "DELETE", 401),
        ("CannotUpdate", "GET", 200),
        ("CannotUpdate", "PUT", 401),
        ("CannotForget", "DELETE", 401),
        ("KnowsNoToken", "GET", 401),
        ("KnowsNoToken", "PUT", 401),
        ("KnowsNoToken", "DELETE", 401),
        ("ManagingIsDown", "GET", 503),
        ("ManagingIsDown", "PUT", 503),
        ("ForgettingIsDown", "DELETE", 503),
        ("RejectsUpdates", "PUT", 400),
    ],
)
def test_what_a_store_lacks_is_refused(registrar, broken, store, method, status):
    """Spec 4: fails closed."""
    broken(store)
    body = registrar.registered(PUBLIC)
    answer = registrar.manage(method, body, PUBLIC)
    assert answer.status_code == status
    if status == 401:
        assert is_refused(answer)


# -- clients elsewhere -------------------------------------------------------------------------------------


def test_a_client_elsewhere_gets_its_row_at_the_first_authorize(registrar, lazyauth):
    lazyauth(REGISTRATION_STORE="tests.support.clients_elsewhere.FileStore")
    try:
        body = registrar.registered(CONFIDENTIAL)
        assert not Application.objects.exists()
        client = OAuthClient(body["client_id"], body["client_secret"])
        for _ in range(2):
            page = get(make_browser(), f"/authorize?{client.authorize_query()}")
            assert page.status_code == 200
            assert "A server" in page.content.decode()
        row = Application.objects.get()
        assert row.registration_source == "dcr"
        assert redeem(client, code_for(client)).status_code == 200
        registrar.manage("PUT", body, CONFIDENTIAL | {"client_name": "Renamed"})
        row.refresh_from_db()
        assert row.name == "Renamed"
        assert FileStore().get_client(body["client_id"]).metadata["client_name"] == "Renamed"
    finally:
        forget_all()


# -- at once -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [20])
def test_of_parallel_replacements_with_one_token_one_wins(number):
    """Spec 4: compare-and-swap. On PostgreSQL with ``LAZYAUTH_TEST_DATABASE=postgresql``."""
    registrar = Registrar()
    body = registrar.registered(PUBLIC)

    def replace(name):
        try:
            return Registrar().manage("PUT", body, PUBLIC | {"client_name": f"Name {name}"})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        answers = list(pool.map(replace, range(number)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    assert all(is_refused(answer) for answer in answers if answer not in won)
    assert registrar.manage("GET", won[0].json()).json()["client_name"] == won[0].json()["client_name"]


@pytest.mark.django_db(transaction=True)
def test_parallel_identical_registrations_make_one_row(lazyauth):
    def register(_):
        try:
            return Registrar().registered(PUBLIC)["client_id"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(register, range(40)))
    assert len(ids) == 1
    assert Application.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_parallel_registrations_never_exceed_the_cap(lazyauth):
    """I16."""
    lazyauth(MAX_UNUSED_CLIENTS=5, REGISTRATIONS_PER_NETWORK=1000)

    def register(_):
        try:
            return Registrar().register(CONFIDENTIAL).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(register, range(60)))
    assert set(statuses) <= {201, 503}
    assert statuses.count(201) > 50
    assert ClientRegistration.objects.count() == Application.objects.count() <= 5
    assert connection.vendor in ("sqlite", "postgresql")


# -- addresses of keys ---------------------------------------------------------------------------------------


def keyed_at(uri):
    return CONFIDENTIAL | {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri}


def test_i16_a_new_address_of_keys_counts_as_a_registration(registrar, any_store, lazyauth):
    """I16: each is fetched. Else one registration could send this site to any number of hosts."""
    lazyauth(REGISTRATIONS_PER_NETWORK=3)
    body = registrar.registered(keyed_at("https://client.example/keys"))
    for number in range(2):
        answer = registrar.manage("PUT", body, keyed_at(f"https://host-{number}.example/keys"))
        assert answer.status_code == 200, answer.content
        body = answer.json()
    refused = registrar.manage("PUT", body, keyed_at("https://other.example/keys"))
    assert (refused.status_code, refused.json()["error"]) == (429, "temporarily_unavailable")
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    # The token was not spent, and what names no new address is not counted.
    for document in (keyed_at("https://host-1.example/keys"), CONFIDENTIAL, PUBLIC):
        answer = registrar.manage("PUT", body, document)
        assert answer.status_code == 200, answer.content
        body = answer.json()
    elsewhere = registrar.manage("PUT", body, keyed_at("https://other.example/keys"), address="198.51.100.1")
    assert elsewhere.status_code == 200
