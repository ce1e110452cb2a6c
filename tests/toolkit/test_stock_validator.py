"""Endpoints of django-oauth-toolkit that a host mounts: no way around client assertions and bound tokens."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.core.checks import run_checks
from django.db.models import F
from django.utils import timezone
from oauth2_provider.models import RefreshToken, get_application_model

from django_lazyauth.clients import operator_actions
from django_lazyauth.models import ClientRegistration, PendingAuthorization
from django_lazyauth.tokens.bearer import find_bound
from django_lazyauth.toolkit.stock_validator import StockValidator
from tests.conftest import CONFIDENTIAL_SECRET, register
from tests.support.client_keys import ClientKey, give_keys
from tests.support.dpop import ProofKey
from tests.support.journey import OAuthClient, get, make_browser, post_form, redeem
from tests.support.recorded import code_for

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


def bound_session(key: ProofKey) -> tuple[OAuthClient, dict[str, Any]]:
    register(client_id="bound", client_type="public")
    client = OAuthClient("bound", scope="openid")
    proof = {"dpop": key.proof("https://auth.example/token")}
    return client, post_form(
        make_browser(), "/token", client.token_form(code_for(client)), headers=proof
    ).json()


@pytest.mark.parametrize("form", ["jwt", "opaque"])
def test_a_bound_token_is_unknown_to_dot(machine, lazyauth, form):
    """I24: DOT reads no proof, so each of its ways to check a bearer finds nothing."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    _, tokens = bound_session(ProofKey())
    token = tokens["access_token"]
    for path in ("/api/dot", "/api/scope", "/api/protected", "/api/us"):
        answer = get(make_browser(), path, headers={"authorization": f"Bearer {token}"})
        assert answer.status_code in (401, 403), path
    told = call("/dot/introspect/", {"client_id": "machine", "token": token}, CONFIDENTIAL_SECRET)
    assert not told.json().get("active")


@pytest.mark.parametrize("age", [timedelta(0), timedelta(hours=1)], ids=["at once", "after the grace"])
def test_a_bound_session_is_not_refreshed_without_its_key(db, age):
    """I24: nor does DOT, which finds a used token there, end the session for whoever stole it."""
    key = ProofKey()
    _, tokens = bound_session(key)
    form = {"grant_type": "refresh_token", "client_id": "bound"}
    stolen = form | {"refresh_token": tokens["refresh_token"]}
    assert call("/dot/token/", stolen).status_code == 400
    proof = {"dpop": key.proof("https://auth.example/token")}
    fresh = post_form(make_browser(), "/token", stolen, headers=proof).json()["refresh_token"]
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - age)
    assert call("/dot/token/", stolen).status_code == 400
    proof = {"dpop": key.proof("https://auth.example/token")}
    answer = post_form(make_browser(), "/token", form | {"refresh_token": fresh}, headers=proof)
    assert answer.status_code == 200, answer.content


@pytest.mark.parametrize("is_of_dot", [False, True], ids=["ours", "of DOT"])
def test_i24_the_unused_token_of_a_bound_session_is_bound_here_too(db, is_of_dot):
    """I24: a process whose clock is behind wrote it. DOT would give bearer tokens for it."""
    register(client_id="bound", client_type="public")
    client, key = OAuthClient("bound", scope="openid"), ProofKey()
    form = {"grant_type": "refresh_token", "client_id": "bound"}
    bearer = form | {"refresh_token": redeem(client, code_for(client)).json()["refresh_token"]}
    if is_of_dot:
        PendingAuthorization.objects.all().delete()
    proof = {"dpop": key.proof("https://auth.example/token")}
    newest = post_form(make_browser(), "/token", bearer, headers=proof).json()["refresh_token"]
    RefreshToken.objects.filter(revoked__isnull=True).update(created=F("created") - timedelta(seconds=5))
    assert call("/dot/token/", form | {"refresh_token": newest}).status_code == 400


def test_a_thief_who_bound_a_session_loses_it_here_too(db, settings):
    """RFC 9700 §4.14: the owner comes to DOT with the bearer token that was used."""
    own = getattr(settings, "OAUTH2_PROVIDER", {})
    settings.OAUTH2_PROVIDER = own | {"REFRESH_TOKEN_REUSE_PROTECTION": True}
    register(client_id="bound", client_type="public")
    client, key = OAuthClient("bound", scope="openid"), ProofKey()
    form = {"grant_type": "refresh_token", "client_id": "bound"}
    stolen = form | {"refresh_token": redeem(client, code_for(client)).json()["refresh_token"]}
    proof = {"dpop": key.proof("https://auth.example/token")}
    tokens = post_form(make_browser(), "/token", stolen, headers=proof).json()
    RefreshToken.objects.filter(revoked__isnull=False).update(revoked=timezone.now() - timedelta(hours=1))
    assert call("/dot/token/", stolen).status_code == 400
    assert find_bound(tokens["access_token"]) is None
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_a_bound_session_is_given_back_at_dot_too(db, which):
    """RFC 7009 §2.1, I11: the client, and nobody else."""
    _, tokens = bound_session(ProofKey())
    register(client_id="other", client_type="public")
    assert call("/dot/revoke_token/", {"client_id": "other", "token": tokens[which]}).status_code == 200
    assert find_bound(tokens["access_token"]) is not None
    assert call("/dot/revoke_token/", {"client_id": "bound", "token": tokens[which]}).status_code == 200
    assert find_bound(tokens["access_token"]) is None
    assert not RefreshToken.objects.filter(revoked__isnull=True).exists()


def test_a_client_that_wants_bound_tokens_gets_no_other_here(machine, lazyauth):
    """RFC 9449 §5.2: DOT binds none."""
    give_keys("machine", dpop_bound_access_tokens=True)
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).status_code == 400
    give_keys("machine", dpop_bound_access_tokens=False)
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).status_code == 200
    lazyauth(DPOP={"required": True})
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).status_code == 400


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


# -- clients that our rules refuse ------------------------------------------------------------------------


def test_i21_a_disabled_client_is_unknown_here_too(machine):
    """I21: its secret gets no token, and the tokens that it has are refused until it is enabled again."""
    [row] = get_application_model().objects.all()
    token = call("/dot/token/", machine, CONFIDENTIAL_SECRET).json()["access_token"]
    header = {"authorization": f"Bearer {token}"}
    operator_actions.disable([row.pk])
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).status_code == 401
    assert call("/dot/revoke_token/", machine | {"token": token}, CONFIDENTIAL_SECRET).status_code == 401
    assert get(make_browser(), "/api/protected-by-ours", headers=header).status_code in (401, 403)
    operator_actions.enable([row.pk])
    assert call("/dot/token/", machine, CONFIDENTIAL_SECRET).status_code == 200
    assert get(make_browser(), "/api/protected-by-ours", headers=header).status_code == 200


@pytest.mark.parametrize("form", ["jwt", "opaque"])
def test_i21_the_tokens_of_a_disabled_client_are_refused_here_too(db, lazyauth, form):
    """I21: by each way in which the toolkit checks a bearer, an ID token among them."""
    lazyauth(ACCESS_TOKEN_FORMAT=form)
    register(client_id="web", client_type="public")
    client = OAuthClient("web", scope="openid read")
    tokens = redeem(client, code_for(client)).json()
    bearers = [tokens["access_token"], tokens["id_token"]]
    operator_actions.disable([get_application_model().objects.get(client_id="web").pk])
    for bearer in bearers:
        for path in ("/api/dot", "/api/scope", "/api/protected-by-ours"):
            answer = get(make_browser(), path, headers={"authorization": f"Bearer {bearer}"})
            assert answer.status_code in (401, 403), path
    again = {"grant_type": "refresh_token", "client_id": "web", "refresh_token": tokens["refresh_token"]}
    assert call("/dot/token/", again).status_code == 401


@pytest.fixture
def ask(db):
    """Return what asks for a code, or for tokens, at the authorization endpoint of django-oauth-toolkit."""
    register(client_id="web", client_type="public")
    browser = make_browser()
    browser.force_login(get_user_model().objects.create_user("ada"))

    def ask_for(response_type="code"):
        query = OAuthClient("web", scope="read").authorize_query(response_type=response_type)
        return get(browser, f"/dot/authorize/?{query}")

    assert ask_for().status_code == 200
    return ask_for


def refusal(answer):
    where = urlsplit(answer.headers.get("location", ""))
    return parse_qs(where.query or where.fragment).get("error")


def test_i21_a_disabled_client_asks_for_nothing_here_either(ask):
    operator_actions.disable(get_application_model().objects.values_list("pk", flat=True))
    assert ask().status_code == 400


@pytest.mark.parametrize(
    "member",
    ["require_pushed_authorization_requests", "require_signed_request_object", "dpop_bound_access_tokens"],
)
def test_a_client_that_wants_more_of_its_requests_asks_only_at_our_endpoint(ask, member):
    """RFC 9126 §6, RFC 9101 §10.5, RFC 9449 §5.2: the toolkit would take a plain request, and bind nothing."""
    give_keys("web", **{member: True})
    assert refusal(ask()) == ["unauthorized_client"]
    give_keys("web", **{member: False})
    assert ask().status_code == 200


@pytest.mark.parametrize("setting", [{"REQUIRE_PAR": True}, {"DPOP": {"required": True}}])
def test_a_site_that_wants_more_of_all_requests_takes_none_here(ask, lazyauth, setting):
    """RFC 9126 §5, RFC 9449."""
    lazyauth(**setting)
    assert refusal(ask()) == ["unauthorized_client"]


@pytest.mark.filterwarnings("ignore:The OAuth 2.0 implicit grant")
def test_a_grant_that_is_not_listed_gives_no_tokens_at_the_authorization_endpoint(ask):
    """RFC 6749 §4.2: the implicit grant of the toolkit asks for no grant at the token endpoint."""
    get_application_model().objects.update(authorization_grant_type="implicit")
    assert ask("token").status_code == 200
    give_keys("web", grant_types=["authorization_code"])
    assert refusal(ask("token")) == ["unauthorized_client"]
