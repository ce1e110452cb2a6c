"""Spec 8.8: one client sees one subject of a person wherever there is one, and two sectors share none."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import F
from django.test import RequestFactory
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.views import APIView

from django_lazyauth.models import LogoutDelivery, PendingAuthorization, SubjectIdentifier
from django_lazyauth.models.fields import uuid7
from django_lazyauth.resource_server.authentication import AccessTokenAuthentication
from django_lazyauth.sessions import end, logout_queue, many
from django_lazyauth.sessions.person import erase_person, export_person
from django_lazyauth.toolkit.models import get_application_model, get_refresh_token_model
from django_lazyauth.users import subjects
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.delegation.test_issue_id_jag import ID_JAG, ID_TOKEN, MCP, THERE
from tests.sessions.conftest import wants_to_hear
from tests.support.delegation import API, POLICY, confidential, exchange, exchanged
from tests.support.devices import DEVICE_CODE, connect
from tests.support.id_jags import assertion, brought, trust
from tests.support.journey import (
    OAuthClient,
    get,
    make_browser,
    post_form,
    query_of,
    redeem,
    sign_in,
)
from tests.tokens.conftest import decoded, refresh

pytestmark = pytest.mark.django_db

TYPES = ["public", "opaque", "pairwise"]
HOSTS = ("https://one.example/cb", "https://two.example/cb")


@pytest.fixture
def no_delivery(monkeypatch):
    monkeypatch.setattr(logout_queue, "send", lambda session_id: None)


def client_at(redirect_uri: str, client_id: str) -> OAuthClient:
    """Return a client with a secret, whose answers go to one host."""
    register(
        client_id=client_id,
        client_type="confidential",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=False,
        redirect_uris=redirect_uri,
    )
    return OAuthClient(client_id, CONFIDENTIAL_SECRET, redirect_uri=redirect_uri)


def tokens_of(client: OAuthClient, browser=None) -> dict:
    code = query_of(sign_in(browser or make_browser(), client))["code"]
    answer = redeem(client, code)
    assert answer.status_code == 200, answer.content
    return answer.json()


def sub_of(token: str) -> str:
    return decoded(token)[1]["sub"]


def introspected(token: str, client: OAuthClient, **headers) -> dict:
    form = {"token": token, "client_id": client.client_id, "client_secret": CONFIDENTIAL_SECRET}
    answer = post_form(make_browser(), "/introspect", form, headers=headers)
    return decoded(answer.content.decode())[1] if headers else answer.json()


def userinfo(token: str):
    return get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {token}"})


def silent(browser, client: OAuthClient, **parameters) -> dict:
    query = client.authorize_query(prompt="none", **parameters)
    return query_of(get(browser, f"/authorize?{query}").headers["Location"])


def named(subject: str) -> str:
    return json.dumps({"id_token": {"sub": {"value": subject}}})


# -- one test walks every place --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["jwt", "opaque"])
@pytest.mark.parametrize("kind", TYPES)
def test_one_client_sees_one_subject_wherever_there_is_one(lazyauth, no_delivery, kind, form):
    """OpenID Connect Core §2, §5.3.2, §5.5.1, §8; RFC 7662; RFC 9701; RFC 8693; both ways of logout."""
    client = client_at(HOSTS[0], "site")
    confidential("tool")
    lazyauth(
        SUBJECT_TYPE=kind,
        ACCESS_TOKEN_FORMAT=form,
        INTROSPECTION_CLIENTS={"tool": [API]},
        TOKEN_EXCHANGE={"site": POLICY, "tool": POLICY},
        ID_JAG_AUDIENCES={
            THERE: {
                "clients": {"tool": "x", "site": "y"},
                "scopes": ["a"],
                "resources": [MCP],
                "sso_client": "site",
            }
        },
    )
    wants_to_hear(client, "https://one.example/logout")
    browser = make_browser()
    tokens = tokens_of(client, browser)
    user = get_user_model().objects.get()
    seen = {"ID token": sub_of(tokens["id_token"])}
    token = tokens["access_token"]
    if form == "jwt":
        seen["access token"] = sub_of(token)
    seen["userinfo"] = userinfo(token).json()["sub"]
    seen["introspection"] = introspected(token, client)["sub"]
    signed = introspected(token, client, accept="application/token-introspection+jwt")
    seen["signed introspection"] = signed["token_introspection"]["sub"]
    seen["refresh token"] = introspected(tokens["refresh_token"], client)["sub"]
    # Another client that acts for the person hands on what it got.
    acts = exchanged(token, client_id="site")
    if form == "jwt":
        seen["exchanged"] = sub_of(acts["access_token"])
    seen["exchanged, introspected"] = introspected(acts["access_token"], client)["sub"]
    again = exchanged(acts["access_token"], client_id="tool")
    seen["exchanged by its resource"] = introspected(again["access_token"], OAuthClient("tool"))["sub"]
    word = exchange(
        tokens["id_token"],
        client_id="site",
        requested_token_type=ID_JAG,
        subject_token_type=ID_TOKEN,
        audience=THERE,
        scope=None,
    )
    seen["ID-JAG"] = sub_of(word.json()["access_token"])
    renewed = refresh(client, tokens["refresh_token"], client_secret=CONFIDENTIAL_SECRET)
    seen["refreshed"] = sub_of(renewed["id_token"])
    # It may be brought back.
    subject = seen["ID token"]
    assert "code" in silent(browser, client, id_token_hint=tokens["id_token"])
    assert "code" in silent(browser, client, claims=named(subject))
    for other in ("nobody", *([str(user.pk)] if kind != "public" else [])):
        assert silent(browser, client, claims=named(other))["error"] == "login_required", other
    answer = get(browser, f"/logout?{urlencode({'id_token_hint': renewed['id_token']})}")
    assert b'value="leave"' not in answer.content, "the ID token was not taken for the person's own"
    seen["logout token"] = LogoutDelivery.objects.get().subject
    assert set(seen.values()) == {subject}
    assert (subject == str(user.pk)) == (kind == "public")
    assert SubjectIdentifier.objects.count() == (0 if kind == "public" else 1)


def test_the_signed_userinfo_has_the_same_subject(lazyauth):
    lazyauth(SUBJECT_TYPE="pairwise")
    client = client_at(HOSTS[0], "site")
    wants_to_hear(client, "https://one.example/logout")
    row = get_application_model().objects.get().lazyauth_registration
    row.metadata = {**row.metadata, "userinfo_signed_response_alg": "ES256"}
    row.save()
    tokens = tokens_of(client)
    answer = userinfo(tokens["access_token"]).content.decode()
    assert sub_of(answer) == sub_of(tokens["id_token"])


def test_a_device_and_a_client_on_the_word_of_an_organisation_have_the_subject_of_their_sector(
    lazyauth, upstream
):
    trust(upstream, lazyauth)
    lazyauth(SUBJECT_TYPE="pairwise", DEVICE_FLOW=True)
    register(client_id="television", authorization_grant_type=DEVICE_CODE, redirect_uris="")
    told = [sub_of(brought(assertion(upstream))["access_token"]) for _time in range(2)]
    assert len(set(told)) == 1
    lazyauth(PROVIDERS={"demo": {"class": "tests.support.providers.BelievingProvider"}})
    device = connect()
    assert sub_of(device["id_token"]) == sub_of(device["access_token"])
    rows = dict(SubjectIdentifier.objects.values_list("sector", "subject"))
    assert rows == {"client.example": told[0], "client:television": sub_of(device["id_token"])}


# -- sectors ---------------------------------------------------------------------------------------------------


def test_two_sectors_share_no_subject_and_one_sector_has_one(lazyauth):
    """OpenID Connect Core §8.1."""
    lazyauth(SUBJECT_TYPE="pairwise")
    one, two = client_at(HOSTS[0], "one"), client_at(HOSTS[1], "two")
    beside = client_at("https://one.example/elsewhere", "beside")
    browser = make_browser()
    told = {client.client_id: tokens_of(client) for client in (one, beside)}
    told["two"] = tokens_of(two, browser)
    found = {name: sub_of(tokens["id_token"]) for name, tokens in told.items()}
    assert found["one"] == found["beside"] != found["two"]
    assert get_user_model().objects.count() == 1
    assert "code" in silent(browser, two, claims=named(found["two"]))
    # No client learns from us that a subject of another sector is its own person.
    assert silent(browser, two, claims=named(found["one"]))["error"] == "login_required"
    assert silent(browser, two, id_token_hint=told["one"]["id_token"])["error"] == "login_required"


def test_nobody_else_is_taken_for_somebody_whom_the_client_does_not_know(lazyauth, client_):
    """OpenID Connect Core §5.5.1: that person or ``login_required``, also after a sign-in."""
    lazyauth(SUBJECT_TYPE="opaque")
    answer = sign_in(make_browser(), client_, claims=named("nobody-here"))
    assert query_of(answer)["error"] == "login_required"


@pytest.mark.parametrize(
    ("uris", "sector"),
    [
        ("https://One.Example:8443/cb", "one.example"),
        (
            "https://one.example/a https://one.example/b http://127.0.0.1/cb com.example.app:/cb",
            "one.example",
        ),
        ("https://one.example/a https://two.example/b", "client:c"),
        ("http://127.0.0.1/cb http://localhost/cb", "client:c"),
        ("com.example.app:/cb", "client:c"),
        ("https://[/cb", "client:c"),
        ("", "client:c"),
    ],
    ids=["host", "app_beside", "two_hosts", "loopback", "app", "no_uri", "none"],
)
def test_a_sector_is_the_host_of_the_redirect_uris_or_the_client_itself(uris, sector):
    """Nobody owns loopback, so clients there do not share what they call a person."""
    client = get_application_model()(client_id="c", redirect_uris=uris)
    assert subjects.sector_of(client, "pairwise") == sector
    assert subjects.sector_of(client, "opaque") == ""


def test_the_sector_of_a_document_is_its_own_host():
    client = get_application_model()(
        client_id="https://tool.example/client.json",
        registration_source="cimd",
        redirect_uris="https://one.example/a http://127.0.0.1/cb",
    )
    assert subjects.sector_of(client, "pairwise") == "tool.example"


def register_at(*uris: str, **members):
    body = {"redirect_uris": list(uris), "token_endpoint_auth_method": "none", **members}
    return make_browser().post("/register/", json.dumps(body), content_type="application/json", secure=True)


def test_a_registration_hears_which_type_is_served(lazyauth):
    """OpenID Connect Registration §2, §5."""
    assert register_at(*HOSTS, subject_type="public").json()["subject_type"] == "public"
    assert "subject_type" not in register_at(HOSTS[0], subject_type="pairwise").json()
    lazyauth(SUBJECT_TYPE="pairwise")
    made = register_at(HOSTS[0], "http://127.0.0.1/cb", subject_type="pairwise", client_name="one")
    assert made.json()["subject_type"] == "pairwise"
    assert register_at(HOSTS[0], subject_type=7).json()["error"] == "invalid_client_metadata"


@pytest.mark.parametrize(
    "beside",
    [
        {"redirect_uris": HOSTS},
        {"redirect_uris": [HOSTS[0], "http://127.0.0.1/cb"]},
        {"redirect_uris": [HOSTS[0], "com.example.app:/cb"]},
        {"redirect_uris": [HOSTS[0]], "grant_types": ["authorization_code", DEVICE_CODE]},
        {"redirect_uris": [HOSTS[0]], "grant_types": [DEVICE_CODE]},
    ],
    ids=["two_hosts", "loopback", "app", "device_too", "device"],
)
def test_a_stranger_who_is_answered_elsewhere_is_not_of_the_sector_of_a_host_it_names(lazyauth, beside):
    """OpenID Connect Core §8.1: who gets the answer elsewhere has not shown that a host it names is its own."""
    lazyauth(SUBJECT_TYPE="pairwise", DEVICE_FLOW={"strangers": True})
    made = register_at(**beside).json()
    client = get_application_model().objects.get(client_id=made["client_id"])
    assert subjects.sector_of(client, "pairwise") == f"client:{client.client_id}"


def test_a_registration_keeps_its_sector(lazyauth):
    """Its sessions go on: it must not learn with their next tokens what another host calls its people."""
    lazyauth(SUBJECT_TYPE="pairwise")
    made = register_at("http://127.0.0.1/cb", client_name="one").json()

    def replaced(*redirect_uris: str, token: str, **members: str):
        body = {"redirect_uris": redirect_uris, "token_endpoint_auth_method": "none", **members}
        return make_browser().put(
            f"/register/{made['client_id']}",
            json.dumps(body),
            content_type="application/json",
            secure=True,
            headers={"authorization": f"Bearer {token}"},
        )

    token = made["registration_access_token"]
    refused = replaced(HOSTS[0], token=token)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_client_metadata")
    assert replaced("http://127.0.0.1/cb", HOSTS[0], client_name="two", token=token).status_code == 200


@pytest.mark.parametrize(
    ("kind", "served"), [("public", "public"), ("opaque", "public"), ("pairwise", "pairwise")], ids=TYPES
)
def test_the_metadata_says_which_type_is_served(lazyauth, kind, served):
    """OpenID Connect Discovery §3: an opaque subject is the same for all clients."""
    lazyauth(SUBJECT_TYPE=kind)
    found = get(make_browser(), "/.well-known/openid-configuration").json()
    assert found["subject_types_supported"] == [served]


# -- what it costs ---------------------------------------------------------------------------------------------


def test_the_primary_key_costs_nothing_and_a_known_subject_one_query(
    lazyauth, client_, django_assert_num_queries
):
    tokens_of(client_)
    user, client = get_user_model().objects.get(), get_application_model().objects.get()
    with django_assert_num_queries(0):
        assert subjects.subject_for(user, client) == str(user.pk)
        assert subjects.user_key(str(user.pk), client) == str(user.pk)
        session = uuid7()
        assert subjects.told_subjects({session: (user.pk, client)}) == {session: str(user.pk)}
        assert not subjects.is_subject("x")
    lazyauth(SUBJECT_TYPE="opaque")
    subject = subjects.subject_for(user, client)
    with django_assert_num_queries(1):
        assert subjects.subject_for(user, client) == subject


def test_the_subject_of_an_opaque_token_is_one_query_beside_the_token(lazyauth, django_assert_num_queries):
    """At introspection, which resources ask at each request."""
    client = client_at(HOSTS[0], "site")
    lazyauth(SUBJECT_TYPE="opaque", ACCESS_TOKEN_FORMAT="opaque")
    token = tokens_of(client)["access_token"]
    introspected(token, client)
    with django_assert_num_queries(2):
        introspected(token, client)


# -- from a token to a person ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
def test_the_resource_server_of_this_site_finds_the_user(lazyauth, client_, kind):
    lazyauth(SUBJECT_TYPE=kind)
    token = tokens_of(client_)["access_token"]
    user = get_user_model().objects.get()
    request = RequestFactory(SERVER_NAME="auth.example").get(
        "/api", secure=True, headers={"authorization": f"Bearer {token}"}
    )
    found, _auth = AccessTokenAuthentication().authenticate(APIView().initialize_request(request))
    assert found.pk == user.pk
    assert found.get_username() == user.get_username()
    user.delete()
    with pytest.raises(AuthenticationFailed):
        _ = AccessTokenAuthentication().authenticate(APIView().initialize_request(request))[0].email


def test_no_client_that_acts_for_itself_is_called_like_a_person(lazyauth, client_):
    """RFC 9700 §4.15: a resource that reads ``sub`` alone would take it for that person."""
    lazyauth(SUBJECT_TYPE="opaque")
    subject = sub_of(tokens_of(client_)["id_token"])
    confidential(subject)
    form = {"grant_type": "client_credentials", "client_id": subject, "client_secret": CONFIDENTIAL_SECRET}
    assert post_form(make_browser(), "/token", form).json()["error"] == "unauthorized_client"


# -- the end of a person, and of many sessions -----------------------------------------------------------------


def test_what_clients_call_a_person_is_exported_and_erased(lazyauth, client_):
    lazyauth(SUBJECT_TYPE="opaque")
    subject = sub_of(tokens_of(client_)["id_token"])
    user = get_user_model().objects.get()
    assert [row["subject"] for row in export_person(user)["subjects"]] == [subject]
    lazyauth(ACCOUNT_DELETE=lambda one: type(one).objects.filter(pk=one.pk).update(is_active=False))
    erase_person(user)
    assert get_user_model().objects.exists()
    assert not SubjectIdentifier.objects.exists()


def test_many_sessions_that_end_at_once_are_told_by_the_subject_of_each_client(lazyauth, no_delivery):
    lazyauth(SUBJECT_TYPE="pairwise")
    found = {}
    for uri, name in zip(HOSTS, ("one", "two"), strict=True):
        client = client_at(uri, name)
        wants_to_hear(client, f"{uri}/logout")
        claims = decoded(tokens_of(client)["id_token"])[1]
        found[claims["sid"]] = claims["sub"]
    assert many.end_many(list(found)) == 2
    told = LogoutDelivery.objects.values_list("session_id", "subject")
    assert {str(session_id): subject for session_id, subject in told} == found


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_of_session", [True, False], ids=["session", "no_session"])
@pytest.mark.parametrize("endpoint", ["userinfo", "introspection"])
def test_the_token_of_who_is_deleted_while_their_subject_is_looked_up_is_invalid(
    lazyauth, endpoint, is_of_session
):
    """RFC 6750 §3.1, RFC 7662 §2.2; and nobody is told the primary key then."""
    client = client_at(HOSTS[0], "site")
    lazyauth(ACCESS_TOKEN_FORMAT="opaque", SUBJECT_TYPE="opaque")
    token = tokens_of(client)["access_token"]
    if not is_of_session:
        get_refresh_token_model().objects.update(access_token=None)
    SubjectIdentifier.objects.all().delete()
    user, gone = get_user_model().objects.get(), []

    def delete_first(execute, sql, params, many, context):
        if not gone and SubjectIdentifier._meta.db_table in sql:
            gone.append(user.pk)
            user.delete()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(delete_first):
        if endpoint == "userinfo":
            answer = userinfo(token)
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
        else:
            assert introspected(token, client) == {"active": False}
    assert gone
    assert not SubjectIdentifier.objects.exists()


# -- before a switch -------------------------------------------------------------------------------------------


def kept(*line: str) -> dict:
    out = StringIO()
    call_command("keep_subjects", *line, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.mark.parametrize("kind", ["opaque", "pairwise"])
def test_who_was_known_before_a_switch_stays_who_they_were(lazyauth, kind):
    clients_ = [client_at(uri, name) for uri, name in zip(HOSTS, ("one", "two"), strict=True)]
    before = [sub_of(tokens_of(client)["id_token"]) for client in clients_]
    rows = 1 if kind == "opaque" else 2
    get_user_model().objects.create_user("never-at-a-client")
    counted = {"people": 2, "subjects": rows}
    assert kept(kind, "--dry-run") == {**counted, "dry_run": True}
    assert not SubjectIdentifier.objects.exists()
    assert kept(kind, "--batch-size", "1") == {**counted, "dry_run": False}
    assert kept(kind) == {"people": 2, "subjects": 0, "dry_run": False}
    lazyauth(SUBJECT_TYPE=kind)
    assert [sub_of(tokens_of(client)["id_token"]) for client in clients_] == before
    three = client_at("https://three.example/cb", "three")
    assert (sub_of(tokens_of(three)["id_token"]) in before) == (kind == "opaque")
    # Whoever came between the run and the switch.
    SubjectIdentifier.objects.all().delete()
    assert kept(kind, "--from", "public")["subjects"] == (1 if kind == "opaque" else 3)


def test_one_subject_of_all_clients_stays_with_each_host(lazyauth):
    lazyauth(SUBJECT_TYPE="opaque")
    client = client_at(HOSTS[0], "one")
    before = sub_of(tokens_of(client)["id_token"])
    assert kept("pairwise") == {"people": 1, "subjects": 1, "dry_run": False}
    lazyauth(SUBJECT_TYPE="pairwise")
    assert sub_of(tokens_of(client)["id_token"]) == before
    for target in ("opaque", "pairwise"):
        with pytest.raises(CommandError) as refused:
            kept(target)
        assert refused.value.returncode == 1


@pytest.mark.parametrize(
    ("before", "after", "form", "is_ended_with_others"),
    [
        ("public", "opaque", "jwt", False),
        ("public", "opaque", "opaque", True),
        ("public", "pairwise", "opaque", False),
        ("opaque", "pairwise", "jwt", True),
    ],
)
def test_a_session_keeps_the_subject_that_it_began_with(
    lazyauth, no_delivery, before, after, form, is_ended_with_others
):
    """OpenID Connect Core §5.3.2, §12.2; Back-Channel Logout §2.6: whatever the client asks, it is the ID token's."""
    client = client_at(HOSTS[0], "site")
    wants_to_hear(client, "https://one.example/logout")
    lazyauth(SUBJECT_TYPE=before, ACCESS_TOKEN_FORMAT=form)
    first = tokens_of(client)
    was = decoded(first["id_token"])[1]
    # Long before the switch.
    PendingAuthorization.objects.update(exchanged_at=F("exchanged_at") - timedelta(hours=1))
    SubjectIdentifier.objects.update(created_at=F("created_at") - timedelta(hours=1))
    lazyauth(SUBJECT_TYPE=after, ACCESS_TOKEN_FORMAT=form)
    for is_known_by_new_one in (False, True):
        if is_known_by_new_one:
            now = decoded(tokens_of(client)["id_token"])[1]
            assert now["sub"] != was["sub"]
        assert userinfo(first["access_token"]).json()["sub"] == was["sub"]
        assert introspected(first["access_token"], client)["sub"] == was["sub"]
        first = refresh(client, first["refresh_token"], client_secret=CONFIDENTIAL_SECRET)
        assert introspected(first["refresh_token"], client)["sub"] == was["sub"]
        assert sub_of(first["id_token"]) == was["sub"]
    ended = [UUID(claims["sid"]) for claims in (was, now)]
    assert (many.end_many(ended) if is_ended_with_others else sum(map(end.end_session, ended))) == 2
    told = dict(LogoutDelivery.objects.values_list("session_id", "subject"))
    assert told == {UUID(claims["sid"]): claims["sub"] for claims in (was, now)}


def test_this_site_knows_whom_a_session_from_before_a_switch_is_about(lazyauth, client_):
    token = tokens_of(client_)["access_token"]
    lazyauth(SUBJECT_TYPE="opaque")
    request = RequestFactory(SERVER_NAME="auth.example").get(
        "/api", secure=True, headers={"authorization": f"Bearer {token}"}
    )
    found, _auth = AccessTokenAuthentication().authenticate(APIView().initialize_request(request))
    assert found.pk == get_user_model().objects.get().pk


def test_a_session_that_django_oauth_toolkit_began_goes_on_with_the_primary_key(lazyauth, client_):
    """Its ID token said that."""
    lazyauth(SUBJECT_TYPE="opaque")
    token = tokens_of(client_)["refresh_token"]
    PendingAuthorization.objects.all().delete()
    get_refresh_token_model().objects.update(token_family=uuid4())
    user = get_user_model().objects.get()
    assert sub_of(refresh(client_, token)["id_token"]) == str(user.pk)
    session_id = get_refresh_token_model().objects.values_list("token_family", flat=True).first()
    told = subjects.told_subjects({session_id: (user.pk, get_application_model().objects.get())})
    assert told == {session_id: str(user.pk)}


# -- checks ----------------------------------------------------------------------------------------------------


def test_what_leaves_a_subject_unclear_is_reported(lazyauth):
    def ids() -> set[str]:
        return {one.id for one in run_checks(databases=["default"])}

    confidential("site")
    terms = {"clients": {"site": "x"}, "scopes": ["a"], "resources": [MCP]}
    client_at(" ".join(HOSTS), "two-hosts")
    lazyauth(ID_JAG_AUDIENCES={THERE: terms})
    assert not {"lazyauth.E025", "lazyauth.E027", "lazyauth.W026"} & ids()
    lazyauth(SUBJECT_TYPE="pairwise")
    assert {"lazyauth.E027", "lazyauth.W026"} <= ids()
    lazyauth(ID_JAG_AUDIENCES={THERE: {**terms, "sso_client": "nobody"}})
    assert "lazyauth.E025" in ids()
    lazyauth(ID_JAG_AUDIENCES={THERE: {**terms, "sso_client": "site"}})
    assert not {"lazyauth.E025", "lazyauth.E027"} & ids()
