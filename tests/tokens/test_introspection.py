"""RFC 7662: who may know what of a token. A client its own, a resource server those that are meant for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from oauth2_provider.models import AccessToken

from django_lazyauth.models import ClientRegistration, ClientSource, PendingAuthorization
from tests.clients.conftest import PUBLIC
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.journey import ISSUER, OAuthClient, get, make_browser, post_form
from tests.tokens.conftest import decoded, machine_token, refresh, sign_in

pytestmark = pytest.mark.django_db

API = "https://api.example"
INACTIVE = {"active": False}
FORMATS = pytest.mark.parametrize("form", ["jwt", "opaque"])


@pytest.fixture
def api(lazyauth):
    """A resource server: a confidential client of which the operator says what it is."""
    register(
        client_id="api",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        client_secret=CONFIDENTIAL_SECRET,
        hash_client_secret=True,
    )
    lazyauth(INTROSPECTION_CLIENTS={"api": [API]})
    return OAuthClient("api", CONFIDENTIAL_SECRET)


def introspect(client, token, **form):
    form = {"token": token, "client_id": client.client_id, "client_secret": client.client_secret, **form}
    return post_form(make_browser(), "/introspect", form)


def said(client, token):
    answer = introspect(client, token)
    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.json()


@FORMATS
def test_a_resource_server_sees_a_token_that_is_meant_for_it(client_, api, lazyauth, form):
    """RFC 7662 §2.2: what a JWT says, and the same of an opaque one."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    token = sign_in(client_, resources=(API, "https://tools.example"))["access_token"]
    user = get_user_model().objects.get()
    found = said(api, token)
    assert found == {
        "active": True,
        "scope": "openid profile email",
        "client_id": client_.client_id,
        "username": user.get_username(),
        "token_type": "Bearer",
        "exp": found["exp"],
        "iat": found["iat"],
        "sub": str(user.pk),
        "aud": [API, "https://tools.example"],
        "iss": ISSUER,
        "auth_time": int(PendingAuthorization.objects.get().auth_time.timestamp()),
        "amr": ["pwd"],
    }
    if form == "jwt":
        claims = decoded(token)[1]
        for name in ("aud", "client_id", "sub", "iss", "exp", "scope", "auth_time", "amr"):
            assert found[name] == claims[name], name


@pytest.mark.parametrize("resources", [(), ("https://tools.example",), (f"{API}/v1",), (f"{API}.evil.test",)])
def test_tokens_for_others_are_none_of_its_business(client_, api, resources):
    """RFC 7662 §4: it would learn who uses what elsewhere."""
    token = sign_in(client_, resources=resources)["access_token"]
    assert said(api, token) == INACTIVE


def test_a_slash_that_a_library_added_changes_nothing(client_, api):
    """RFC 3986 §6.2.3."""
    assert said(api, sign_in(client_, resources=(f"{API}/",))["access_token"])["active"] is True


def test_the_site_itself_may_be_a_resource(client_, api, lazyauth):
    """RFC 9068 §3: a token that names no resource is for the issuer."""
    token = sign_in(client_)["access_token"]
    lazyauth(INTROSPECTION_CLIENTS={"api": [ISSUER]})
    assert said(api, token)["aud"] == ISSUER


def test_being_a_resource_brings_access_tokens_only(client_, api):
    """RFC 7662 §2: nobody presents a refresh token to a resource."""
    tokens = sign_in(client_, resources=(API,))
    assert said(api, tokens["access_token"])["active"] is True
    assert said(api, tokens["refresh_token"]) == INACTIVE
    assert said(api, tokens["id_token"]) == INACTIVE


def test_a_client_that_the_operator_did_not_name_is_no_resource(client_, confidential, api):
    """Whatever it registered: who sees the tokens of others is the operator's to say."""
    token = sign_in(client_, resources=(API,))["access_token"]
    assert said(confidential, token) == INACTIVE


def test_a_token_of_a_client_that_acts_for_itself_names_it(machine, api):
    """RFC 9068 §2.2."""
    token = machine_token(machine, resource=API).json()["access_token"]
    for asking in (api, machine):
        found = said(asking, token)
        assert (found["sub"], found["client_id"], found["aud"]) == ("machine", "machine", API)
        assert "username" not in found


@FORMATS
@pytest.mark.parametrize("over", ["revoked", "expired", "user", "client", "refreshed and revoked"])
def test_what_does_not_work_is_inactive(client_, application, api, lazyauth, form, over):
    """RFC 7662 §2.2, I11: for the resource server at once, too."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    tokens = sign_in(client_, resources=(API,))
    token = tokens["access_token"]
    assert said(api, token)["active"] is True
    match over:
        case "revoked":
            post_form(make_browser(), "/revoke_token", {"token": token, "client_id": client_.client_id})
        case "expired":
            AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
        case "user":
            get_user_model().objects.update(is_active=False)
        case "client":
            noted = {"source": ClientSource.ELSEWHERE, "disabled_at": timezone.now()}
            ClientRegistration.objects.update_or_create(client=application, defaults=noted)
        case "refreshed and revoked":
            renewed = refresh(client_, tokens["refresh_token"])
            assert said(api, token)["active"] is True
            form = {"token": renewed["refresh_token"], "client_id": client_.client_id}
            post_form(make_browser(), "/revoke_token", form)
    assert said(api, token) == INACTIVE


def test_a_registration_access_token_is_no_token_here(api):
    """I17."""
    body = make_browser().post("/register/", PUBLIC, content_type="application/json", secure=True).json()
    assert said(api, body["registration_access_token"]) == INACTIVE


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "head"])
def test_introspection_is_a_post(api, method):
    """RFC 7662 §2.1: a token in a URL ends up in logs."""
    answer = getattr(make_browser(), method)("/introspect?token=x", secure=True)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    "form",
    [
        {"client_secret": "wrong"},
        {"client_secret": None},
        {"client_id": "nobody"},
        {"client_id": "public-client", "client_secret": ""},
    ],
    ids=str,
)
def test_without_credentials_nobody_learns_anything(application, client_, api, form):
    """RFC 7662 §2.1, RFC 6749 §5.2: neither of a good token nor of a bad one."""
    answers = []
    for token in (sign_in(client_, resources=(API,))["access_token"], "unknown"):
        sent = {"token": token, "client_id": "api", "client_secret": CONFIDENTIAL_SECRET, **form}
        sent = {name: value for name, value in sent.items() if value is not None}
        answer = post_form(make_browser(), "/introspect", sent)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        answers.append(answer.json())
    assert answers[0] == answers[1] == {"error": "invalid_client"}


def test_a_bearer_token_does_not_authenticate_a_client_here(client_, api):
    """RFC 7662 §2.1: the metadata names Basic and POST."""
    token = sign_in(client_, resources=(API,))["access_token"]
    answer = post_form(
        make_browser(), "/introspect", {"token": token}, headers={"authorization": f"Bearer {token}"}
    )
    assert answer.status_code == 401


def test_a_disabled_resource_server_learns_nothing(client_, api):
    from oauth2_provider.models import get_application_model

    token = sign_in(client_, resources=(API,))["access_token"]
    row = get_application_model().objects.get(client_id="api")
    ClientRegistration.objects.create(client=row, source=ClientSource.ELSEWHERE, disabled_at=timezone.now())
    assert introspect(api, token).status_code == 401


@pytest.mark.parametrize("token", ["x" * 8192, "é", "a.b.c", "' OR 1=1", "\x7f"])
def test_garbage_is_inactive(api, token):
    """I18."""
    assert said(api, token) == INACTIVE


def test_an_introspection_is_one_query(client_, api, django_assert_num_queries):
    """The client with its registration, and beside it the token with its client and user."""
    token = sign_in(client_, resources=(API,))["access_token"]
    said(api, token)  # The first use of a secret replaces its stretched hash.
    with django_assert_num_queries(1):
        assert said(api, token)["active"] is True


def test_userinfo_is_for_people(machine):
    """OpenID Connect Core §5.3: and a client that acts for itself is no 500."""
    token = machine_token(machine).json()["access_token"]
    answer = get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
