"""Signed authorization requests (RFC 9101): what is taken, what is refused, and that one is good for one flow."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.utils import timezone

from django_lazyauth.clients.by_key.assertion import ALGORITHMS
from django_lazyauth.models import PendingAuthorization, UsedProof
from tests.conftest import register
from tests.support.client_keys import ASSERTION_TYPE, ClientKey, give_keys
from tests.support.id_tokens import encode
from tests.support.journey import ISSUER, OAuthClient, get, make_browser, post_form, submit
from tests.support.pushes import link, parameters, push, pushed, signed, signed_link
from tests.web.site import answer_to, assert_error_page, is_choice_page, rows

pytestmark = pytest.mark.django_db

KEY = ClientKey("ES256")


@pytest.fixture(autouse=True)
def _taken(lazyauth):
    lazyauth(REQUEST_OBJECTS=True)


@pytest.fixture
def signer(db):
    """An operator's client that has a key and comes without credentials."""
    register(client_id="signer")
    give_keys("signer", KEY, token_endpoint_auth_method="none")
    return OAuthClient("signer")


def show(client, request, browser=None, **more):
    return get(browser or make_browser(), signed_link(client, request, **more))


def assert_refused(answer):
    """Spec 8.3: on a page, because nothing inside is trusted yet."""
    assert_error_page(answer)
    assert "(invalid_request_object)" in answer.content.decode()


def begun(client, request, **more):
    """Show the page, choose, and return the row."""
    browser = make_browser()
    page = show(client, request, browser, **more)
    assert is_choice_page(page)
    submit(browser, page, provider="demo")
    return PendingAuthorization.objects.latest("created_at")


# -- what is taken -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_signs_a_request(signer, algorithm):
    """RFC 9101 §6.2, RFC 9864 §2.2."""
    key = ClientKey(algorithm)
    give_keys(signer.client_id, key, token_endpoint_auth_method="none")
    pending = begun(signer, signed(signer, key))
    assert (pending.state, pending.scope) == (signer.state, signer.scope)


GOOD = {
    "typ as a media type": {"header": {"typ": "application/oauth-authz-req+jwt"}},
    "typ JWT": {"header": {"typ": "JWT"}},
    "no typ": {"header": {"typ": ...}},
    "no kid": {"header": {"kid": ...}},
    "several audiences": {"aud": [ISSUER, "https://other.example"]},
    "no iat": {"iat": ...},
    "an hour": {"exp": timedelta(seconds=3600), "nbf": timedelta(0)},
    "exp a moment ago": {"exp": timedelta(seconds=-30), "iat": timedelta(seconds=-90)},
    "a clock ahead": {"iat": timedelta(seconds=30), "nbf": timedelta(seconds=30)},
    "no jti": {"jti": ...},
    "another sub": {"sub": "somebody"},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_what_the_rfc_leaves_open_is_taken(signer, changes):
    """RFC 9101 §4, §10.8; 60 s of leeway."""
    assert is_choice_page(show(signer, signed(signer, KEY, **changes)))


def test_only_what_is_inside_counts(signer):
    """RFC 9101 §5: parameters beside it are not read."""
    inside = signed(
        signer, KEY, prompt="login", max_age=60, resource=["https://a.example/", "https://b.example/"]
    )
    outside = {
        "redirect_uri": "https://evil.test/cb",
        "scope": "openid admin",
        "state": ["one", "two"],
        "prompt": "none",
        "code_challenge": "b" * 43,
        "login_hint": "smuggled",
    }
    pending = begun(signer, inside, **outside)
    assert (pending.redirect_uri, pending.state) == (signer.redirect_uri, signer.state)
    assert (pending.scope, pending.code_challenge) == (signer.scope, signer.challenge)
    assert (pending.prompt, pending.max_age, pending.login_hint) == ("login", 60, "")
    assert pending.resource == ["https://a.example/", "https://b.example/"]


def test_json_inside_is_what_its_text_is_outside(signer):
    """RFC 9101 §4: ``claims`` may be an object."""
    assert is_choice_page(show(signer, signed(signer, KEY, claims={"userinfo": {"email": None}})))


def test_a_parameter_that_is_null_inside_is_left_out(signer):
    """RFC 6749 §3.1: one without a value is an omitted one. Libraries write null for it."""
    nothing = dict.fromkeys(("state", "prompt", "max_age", "login_hint", "resource", "claims"))
    pending = begun(signer, signed(signer, KEY, **nothing))
    assert (pending.state, pending.prompt, pending.max_age, pending.login_hint) == ("", "", None, "")


def test_what_is_inside_is_checked_like_every_other_request(signer):
    """RFC 9101 §6.3: once the signature held, errors go to the client."""
    answer = show(signer, signed(signer, KEY, code_challenge=...))
    assert answer_to(signer, answer)["error"] == "invalid_request"
    answer = answer_to(signer, show(signer, signed(signer, KEY, prompt="none")))
    assert (answer["error"], answer["state"]) == ("login_required", signer.state)
    assert_error_page(show(signer, signed(signer, KEY, redirect_uri="https://evil.test/cb")))


def test_without_the_setting_nothing_is_taken(signer, lazyauth):
    """Off: OpenID Connect Core §3.1.2.6."""
    lazyauth(REQUEST_OBJECTS=False)
    answer = get(make_browser(), f"/authorize?{signer.authorize_query(request=signed(signer, KEY))}")
    assert answer_to(signer, answer)["error"] == "request_not_supported"
    assert push(signer, request=signed(signer, KEY)).json()["error"] == "request_not_supported"


# -- what is refused -----------------------------------------------------------------------------------------

BAD = {
    "iss missing": {"iss": ...},
    "iss another": {"iss": "public-client"},
    "aud missing": {"aud": ...},
    "aud another": {"aud": "https://other.example"},
    "aud the endpoint": {"aud": f"{ISSUER}/authorize"},
    "aud with a slash": {"aud": f"{ISSUER}/"},
    "aud an object": {"aud": {"x": ISSUER}},
    "client_id missing": {"client_id": ...},
    "client_id another": {"client_id": "public-client"},
    "sub the client": {"sub": "signer"},
    "exp missing": {"exp": ...},
    "exp passed": {"exp": timedelta(seconds=-61)},
    "exp in two hours": {"exp": timedelta(hours=2)},
    "exp two hours after nbf": {"nbf": timedelta(hours=-1), "exp": timedelta(hours=1)},
    "exp two hours after iat": {"iat": timedelta(hours=-1), "exp": timedelta(hours=1)},
    "exp a text": {"exp": "9999999999"},
    "nbf ahead": {"nbf": timedelta(seconds=90)},
    "iat ahead": {"iat": timedelta(seconds=90)},
    "request inside": {"request": "ey.ey.ey"},
    "request_uri inside": {"request_uri": "https://client.example/r"},
    "NUL": {"state": "a\0b"},
    "typ of an assertion": {"header": {"typ": "client-authentication+jwt"}},
    "typ of an access token": {"header": {"typ": "at+jwt"}},
    "typ of a proof": {"header": {"typ": "dpop+jwt"}},
    "typ of an ID-JAG": {"header": {"typ": "oauth-id-jag+jwt"}},
    "alg none": {"header": {"alg": "none"}},
    "alg HS256": {"header": {"alg": "HS256"}},
    "alg ES384": {"header": {"alg": "ES384"}},
    "unknown kid": {"header": {"kid": "another"}},
    "jwk": {"header": {"jwk": KEY.public_jwk}},
    "jku": {"header": {"jku": "https://evil.test/keys"}},
    "crit": {"header": {"crit": ["exp"]}},
    "b64": {"header": {"b64": False}},
    "zip": {"header": {"zip": "DEF"}},
    "too large": {"padding": "p" * 16 * 1024},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_i25_an_object_that_does_not_hold_is_refused_by_a_page(signer, changes):
    """RFC 9101 §6, §10; spec 8.0. In JSON where it is pushed."""
    assert_refused(show(signer, signed(signer, KEY, **changes)))
    answer = push(signer, request=signed(signer, KEY, **changes))
    error = "invalid_request" if "padding" in changes else "invalid_request_object"
    assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize("text", ["x", "ey.ey", "ey.ey.ey", "a.b.c.d.e", "é.é.é", "..", "{}"])
def test_what_is_no_object_is_refused(signer, text):
    assert_refused(show(signer, text))


def test_i25_another_key_signs_nothing(signer):
    assert_refused(show(signer, signed(signer, ClientKey("ES256"))))
    whole = signed(signer, KEY)
    assert_refused(show(signer, whole[: whole.rindex(".") + 1]))
    head, _, signature = whole.split(".")
    other = encode(json.dumps({"iss": "signer", "client_id": "signer", "aud": ISSUER, "exp": 9999999999}))
    assert_refused(show(signer, f"{head}.{other}.{signature}"))


def test_a_client_without_keys_signs_nothing(client_):
    assert_refused(show(client_, signed(client_, KEY)))


def test_a_registered_algorithm_is_the_only_one(signer):
    """OpenID Connect Registration §2: request_object_signing_alg."""
    rsa = ClientKey("RS256", kid="rsa")
    give_keys(
        signer.client_id, rsa, KEY, token_endpoint_auth_method="none", request_object_signing_alg="RS256"
    )
    assert_refused(show(signer, signed(signer, KEY)))
    assert is_choice_page(show(signer, signed(signer, rsa)))


@pytest.mark.parametrize(
    "query",
    [{}, {"client_id": ""}, {"client_id": ["signer", "signer"]}, {"client_id": "other"}],
    ids=["missing", "empty", "twice", "another"],
)
def test_the_client_id_stands_beside_it(signer, query):
    """RFC 9101 §5."""
    request = signed(signer, KEY)
    answer = get(make_browser(), f"/authorize?{urlencode(query | {'request': request}, doseq=True)}")
    assert_error_page(answer)


def test_two_objects_are_refused(signer):
    objects = [signed(signer, KEY), signed(signer, KEY)]
    assert_error_page(
        get(
            make_browser(), f"/authorize?{urlencode({'client_id': 'signer', 'request': objects}, doseq=True)}"
        )
    )


# -- one purpose ---------------------------------------------------------------------------------------------


def test_i25_an_assertion_is_no_request(db):
    """RFC 9101 §10.8: the subject of an assertion is the client."""
    register(client_id="signer")
    give_keys("signer", KEY, token_endpoint_auth_method="none")
    client = OAuthClient("signer")
    claims = parameters(client)
    for typ in ("JWT", "client-authentication+jwt", ...):
        assert_refused(show(client, KEY.assertion("signer", header={"typ": typ}, **claims)))


def test_i25_a_request_is_no_assertion(db):
    """RFC 9101 §10.8."""
    register(client_id="keyed-client", client_type="confidential")
    give_keys("keyed-client", KEY)
    client = OAuthClient("keyed-client")
    for header in ({}, {"typ": "JWT"}, {"typ": ...}):
        form = {
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": signed(client, KEY, header=header),
            "token": "x",
        }
        assert post_form(make_browser(), "/introspect", form).status_code == 401
    assert not UsedProof.objects.exists()


# -- one use -------------------------------------------------------------------------------------------------


def test_i25_an_object_is_good_for_one_flow(signer):
    """Two browsers show the page. The first who acts gets the flow."""
    request, one, other = signed(signer, KEY), make_browser(), make_browser()
    pages = show(signer, request, one), show(signer, request, other)
    assert submit(one, pages[0], provider="demo").status_code == 303
    assert "invalid_request_uri" in assert_error_page(submit(other, pages[1], provider="demo"))
    assert "invalid_request_uri" in assert_error_page(show(signer, request))
    assert PendingAuthorization.objects.count() == 1


def test_i25_an_object_that_is_pushed_often_is_good_for_one_flow(signer):
    request = signed(signer, KEY)
    uris = [pushed(signer, request=request) for _ in range(2)]
    browser = make_browser()
    page = get(browser, link("signer", uris[0]))
    assert submit(browser, page, provider="demo").status_code == 303
    assert "invalid_request_uri" in assert_error_page(get(make_browser(), link("signer", uris[1])))


def test_i16_showing_a_page_writes_nothing(signer):
    before = rows()
    show(signer, signed(signer, KEY))
    pushed(signer, request=signed(signer, KEY))
    assert rows() == before


def test_the_row_stays_as_long_as_the_object_could_come_again(signer):
    begun(signer, signed(signer, KEY, exp=timedelta(minutes=30), iat=timedelta(0)))
    until = PendingAuthorization.objects.get().request_until
    assert timedelta(minutes=45) < until - timezone.now() < timedelta(minutes=47)


# -- pushed and signed ---------------------------------------------------------------------------------------


def test_a_signed_request_is_pushed(signer):
    """RFC 9126 §3: beside client authentication only ``request``."""
    form = {name: None for name in parameters(signer) if name != "client_id"}
    request_uri = pushed(signer, form | {"request": signed(signer, KEY)})
    browser = make_browser()
    page = get(browser, link("signer", request_uri))
    assert is_choice_page(page)
    submit(browser, page, provider="demo")
    assert PendingAuthorization.objects.get().state == signer.state


def test_what_is_beside_a_signed_request_is_not_pushed(signer):
    request_uri = pushed(signer, request=signed(signer, KEY), scope="openid admin", prompt="none")
    assert is_choice_page(get(make_browser(), link("signer", request_uri)))


def test_a_pushed_object_is_the_pushing_clients(signer, client_):
    """RFC 9126 §3: the client that authenticated is the one in the object."""
    answer = push(client_, request=signed(signer, KEY))
    assert answer.json()["error"] == "invalid_request_object"


def test_a_client_may_want_its_requests_to_be_signed(signer):
    """RFC 9101 §10.5."""
    give_keys("signer", KEY, token_endpoint_auth_method="none", require_signed_request_object=True)
    answer = get(make_browser(), f"/authorize?{signer.authorize_query()}")
    assert answer_to(signer, answer)["error"] == "invalid_request"
    assert push(signer).json()["error"] == "invalid_request"
    assert is_choice_page(show(signer, signed(signer, KEY)))
    assert is_choice_page(get(make_browser(), link("signer", pushed(signer, request=signed(signer, KEY)))))


def test_a_client_that_wants_signed_requests_is_not_served_plain_ones_where_none_are_taken(signer, lazyauth):
    """An operator who switches the setting off must not make such a client weaker."""
    give_keys("signer", KEY, token_endpoint_auth_method="none", require_signed_request_object=True)
    lazyauth(REQUEST_OBJECTS=False)
    answer = get(make_browser(), f"/authorize?{signer.authorize_query()}")
    assert answer_to(signer, answer)["error"] == "invalid_request"


def test_a_signed_request_is_not_pushed_by_being_signed(signer, lazyauth):
    lazyauth(REQUIRE_PAR=True)
    assert answer_to(signer, show(signer, signed(signer, KEY)))["error"] == "invalid_request"
    assert is_choice_page(get(make_browser(), link("signer", pushed(signer, request=signed(signer, KEY)))))


# -- its log -------------------------------------------------------------------------------------------------


def test_the_log_has_one_word_and_the_page_one_sentence(signer, caplog):
    """Spec 8.0."""
    caplog.set_level("INFO", "django_lazyauth.authorize")
    show(signer, signed(signer, KEY, aud="https://other.example"))
    assert [
        record.getMessage() for record in caplog.records if record.name == "django_lazyauth.authorize"
    ] == ["a signed request was refused: aud"]
