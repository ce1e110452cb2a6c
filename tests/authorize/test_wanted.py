"""How strongly a client wants the person to sign in, from its request to the token (RFC 9470 §4, spec 8.7)."""

from __future__ import annotations

import json

import pytest
from django.core.checks import run_checks
from django.http import QueryDict

from django_lazyauth.authorize.wanted import WantedAcr, read_wanted_acr
from django_lazyauth.models import PendingAuthorization, Status
from django_lazyauth.sign_in.complete import adopt_signed_in
from django_lazyauth.sign_in.leg import SignInMovedOn
from tests.support.journey import (
    come_back,
    consent,
    get,
    make_browser,
    query_of,
    redeem,
    start,
    submit,
)
from tests.tokens.conftest import decoded
from tests.web.site import (
    answer_to,
    ask,
    is_choice_page,
    is_consent_page,
    make_user,
    signed_in,
)

pytestmark = pytest.mark.django_db

PWD, MFA, HARDWARE = (f"urn:example:{name}" for name in ("pwd", "mfa", "hardware"))


@pytest.fixture(autouse=True)
def _classes(lazyauth):
    lazyauth(ACR_VALUES=[PWD, MFA, HARDWARE])


def essential(*values):
    return json.dumps({"id_token": {"acr": {"essential": True, "values": list(values)}}})


def token_of(client, answer):
    tokens = redeem(client, answer_to(client, answer)["code"]).json()
    return decoded(tokens["access_token"])[1]


def with_acr(browser, acr):
    session = browser.session
    session["django_lazyauth"] = session["django_lazyauth"] | {"acr": acr}
    session.save()


# -- what is asked for -----------------------------------------------------------------------------------------

READ = {
    "nothing": ({}, (), False),
    "one": ({"acr_values": MFA}, (MFA,), False),
    "in order, each once": ({"acr_values": f"{HARDWARE} {MFA} {HARDWARE}"}, (HARDWARE, MFA), False),
    "what nobody can state": ({"acr_values": "1 urn:mace:silver"}, (), False),
    "a wish in claims": (
        {"claims": json.dumps({"id_token": {"acr": {"values": [MFA, "x"]}}})},
        (MFA,),
        False,
    ),
    "a value in claims": ({"claims": json.dumps({"id_token": {"acr": {"value": MFA}}})}, (MFA,), False),
    "both": (
        {"acr_values": PWD, "claims": json.dumps({"id_token": {"acr": {"value": MFA}}})},
        (PWD, MFA),
        False,
    ),
    "essential": ({"acr_values": PWD, "claims": essential(MFA, "theirs")}, (MFA, "theirs"), True),
    "essential without a value": (
        {"claims": json.dumps({"id_token": {"acr": {"essential": True}}})},
        (),
        False,
    ),
    "null": ({"claims": json.dumps({"id_token": {"acr": None}})}, (), False),
    "another shape": ({"claims": json.dumps({"id_token": [{"acr": 1}]})}, (), False),
    "no object": ({"claims": "[1]"}, (), False),
    "no JSON": ({"claims": "[" * 5000}, (), False),
    "odd values": ({"claims": essential(1, None, "", "a b", "a\tb", "\n", [MFA], MFA)}, (MFA,), True),
    "truthy is not true": (
        {"claims": json.dumps({"id_token": {"acr": {"essential": 1, "value": "x"}}})},
        (),
        False,
    ),
}


@pytest.mark.parametrize(("parameters", "values", "is_essential"), READ.values(), ids=READ)
def test_what_a_request_says_of_the_sign_in(parameters, values, is_essential):
    """OpenID Connect Core §3.1.2.1, §5.5.1.1."""
    given = QueryDict(mutable=True)
    given.update(parameters)
    assert read_wanted_acr(given) == WantedAcr(values, is_essential)


def test_a_client_may_have_registered_what_its_requests_mean():
    """OpenID Connect Registration §2: `default_acr_values`, where the request asks for nothing."""
    given = QueryDict(mutable=True)
    assert read_wanted_acr(given, (MFA, "unknown")) == WantedAcr((MFA,))
    given["acr_values"] = PWD
    assert read_wanted_acr(given, (MFA,)) == WantedAcr((PWD,))


def test_what_the_row_has_no_room_for_makes_the_request_stricter():
    given = QueryDict(mutable=True)
    given["claims"] = essential(*(f"{number}{'x' * 250}" for number in range(9)))
    found = read_wanted_acr(given)
    assert (len(found.values), found.is_essential) == (4, True)
    given["claims"] = essential("x" * 2000)
    assert not read_wanted_acr(given).allows("x" * 2000)


UNCLEAN = {"NUL": "a\0b", "a lone surrogate": "\ud800", "a deep nest": json.loads("[" * 20 + "]" * 20)}


@pytest.mark.parametrize("scope", ["openid", "profile"])
@pytest.mark.parametrize("value", UNCLEAN.values(), ids=UNCLEAN)
def test_i18_claims_that_no_database_can_hold_are_refused(client_, value, scope):
    """I18: JSON hides what the parameter itself may not hold, and the row keeps the classes."""
    answer = ask(make_browser(), client_, claims=essential(MFA, value), scope=scope)
    assert answer_to(client_, answer)["error"] == "invalid_request"
    assert not PendingAuthorization.objects.exists()


# -- who signs in again ----------------------------------------------------------------------------------------


def test_who_signed_in_more_weakly_signs_in_again_and_the_token_says_how(client_, signs_in_with):
    """RFC 9470 §4."""
    signs_in_with(acr=PWD)
    browser = make_browser()
    assert token_of(client_, sign_in_again(browser, client_))["acr"] == PWD
    page = ask(browser, client_, acr_values=MFA)
    assert is_choice_page(page)
    signs_in_with(acr=MFA)
    answer = come_back(browser, submit(browser, page, provider="demo"), subject="ada")
    assert token_of(client_, answer)["acr"] == MFA
    assert "code" in answer_to(client_, ask(browser, client_, acr_values=MFA)), "strong enough now"
    assert "code" in answer_to(client_, ask(browser, client_, acr_values=f"{HARDWARE} {MFA}"))


def sign_in_again(browser, client, **changes):
    answer = come_back(browser, start(browser, client, **changes), subject="ada")
    return (
        consent(browser, answer) if not answer.headers["Location"].startswith(client.redirect_uri) else answer
    )


def test_a_wish_that_is_not_reached_goes_on(client_, signs_in_with):
    """Spec 8.7: once per flow; the resource server decides."""
    signs_in_with(acr=PWD)
    browser = make_browser()
    token_of(client_, sign_in_again(browser, client_))
    assert token_of(client_, sign_in_again(browser, client_, acr_values=MFA))["acr"] == PWD


def test_a_wish_that_nobody_can_reach_asks_nobody(client_, signs_in_with):
    """OpenID Connect Core §3.1.2.1: some libraries always send one."""
    browser = make_browser()
    token_of(client_, sign_in_again(browser, client_))
    assert "code" in answer_to(client_, ask(browser, client_, acr_values="1 urn:mace:incommon:iap:silver"))


def test_who_is_asked_nothing_has_to_sign_in(client_, signs_in_with):
    """OpenID Connect Core §3.1.2.6: prompt=none."""
    signs_in_with(acr=PWD)
    browser = make_browser()
    token_of(client_, sign_in_again(browser, client_))
    for wanted in ({"acr_values": MFA}, {"claims": essential(MFA)}):
        assert answer_to(client_, ask(browser, client_, prompt="none", **wanted))["error"] == "login_required"
    assert "code" in answer_to(client_, ask(browser, client_, prompt="none", acr_values=PWD))


def test_another_site_signed_the_person_in_nobody_knows_how(client_):
    browser = signed_in(make_user())
    assert is_choice_page(ask(browser, client_, acr_values=MFA))
    assert is_consent_page(ask(browser, client_))


# -- essential -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("registration", ["lazy", "immediate"])
def test_what_is_essential_and_not_reached_gives_no_code(client_, lazyauth, signs_in_with, registration):
    """OpenID Connect Core Error Code unmet_authentication_requirements 1.0; I4: nobody is written."""
    from django.contrib.auth import get_user_model

    lazyauth(REGISTRATION=registration)
    signs_in_with(acr=PWD)
    answer = come_back(make_browser(), start(make_browser(), client_, claims=essential(MFA)), subject="ada")
    assert answer.status_code == 400, "another browser"
    browser = make_browser()
    answer = come_back(browser, start(browser, client_, claims=essential(MFA)), subject="ada")
    told = answer_to(client_, answer)
    assert (told["error"], "code" in told) == ("unmet_authentication_requirements", False)
    assert PendingAuthorization.objects.filter(status=Status.FAILED).count() == 1
    assert not get_user_model().objects.exists()


def test_what_is_essential_and_reached_is_in_the_token(client_, signs_in_with):
    """OpenID Connect Core §5.5.1.1. A class of the upstream's own may be wanted, too."""
    for acr in (MFA, "https://upstream.example/loa3"):
        signs_in_with(acr=acr)
        assert (
            token_of(client_, sign_in_again(make_browser(), client_, claims=essential(HARDWARE, acr)))["acr"]
            == acr
        )


def test_i8_a_weaker_sign_in_in_another_tab_does_not_answer_the_page(client_, signs_in_with):
    """Spec 8.7: between the page and its form the browser signed in otherwise."""
    signs_in_with(acr=MFA)
    browser = make_browser()
    token_of(client_, sign_in_again(browser, client_))
    page = ask(browser, client_, claims=essential(MFA), scope="openid offline_access")
    assert is_consent_page(page)
    with_acr(browser, PWD)
    assert is_choice_page(submit(browser, page, decision="allow"))
    with_acr(browser, MFA)
    page = ask(browser, client_, claims=essential(MFA), scope="openid offline_access")
    assert "code" in answer_to(client_, submit(browser, page, decision="allow"))


def test_i8_nobody_is_adopted_who_signed_in_more_weakly(client_, rf):
    """The last look, in the room: the browser may sign in otherwise between the look of the page and this one."""
    browser, user = make_browser(), make_user()
    start(browser, client_, claims=essential(MFA))
    pending = PendingAuthorization.objects.get()
    signed_in(user, browser=browser)
    with_acr(browser, PWD)
    request = rf.get("/")
    request.session, request.user = browser.session, user
    with pytest.raises(SignInMovedOn):
        adopt_signed_in(request, pending, user)


def test_a_page_of_an_earlier_release_asks_for_nothing(client_, monkeypatch):
    """While a site is upgraded, forms of the earlier release are posted."""
    from django.core import signing

    from django_lazyauth.authorize import signed_request

    browser = make_browser()
    dumps = signing.dumps
    earlier = lambda data, **how: dumps({k: v for k, v in data.items() if k != "av"}, **how)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(signed_request.signing, "dumps", earlier)
        redirect = start(browser, client_)
    assert PendingAuthorization.objects.get().acr_values == ""
    assert "code" in query_of(
        consent(browser, come_back(browser, redirect, subject="ada")).headers["Location"]
    )


@pytest.mark.parametrize(
    "wanted", [{"acr_values": "x" * 1025}, {"acr_values": ["a", "b"]}], ids=["long", "twice"]
)
def test_a_malformed_wish_is_told_to_the_client(client_, wanted):
    """I18, RFC 6749 §3.1."""
    assert answer_to(client_, ask(make_browser(), client_, **wanted))["error"] == "invalid_request"


# -- the upstream ----------------------------------------------------------------------------------------------


@pytest.fixture
def provider(upstream, lazyauth, settings):
    """A provider whose words for two of our classes the operator knows."""

    def configure(**changes):
        entry = upstream.config(acr_values={MFA: "phr", HARDWARE: "phrh"}) | changes
        lazyauth(PROVIDERS={"up": entry}, ALLOW_LOOPBACK_UPSTREAMS=True)

    configure()
    return configure


def through(upstream, client, *, stated, **changes):
    """Go through *upstream*, which states *stated*; return what it was asked, and the client's answer."""
    browser = make_browser()
    answer = ask(browser, client, **changes)
    asked = query_of(answer.headers["Location"])
    callback = upstream.authorize(answer.headers["Location"], claims={"acr": stated})
    answer = get(browser, callback.partition("https://auth.example")[2])
    while answer.status_code == 202:
        answer = get(browser, callback.partition("https://auth.example")[2])
    if answer.headers["Location"].startswith("/"):
        answer = consent(browser, answer)
    return asked, answer


def test_the_upstream_is_asked_in_its_words_and_answers_in_ours(upstream, provider, client_):
    """Spec 8.7: `"acr_values": {ours: theirs}`."""
    asked, answer = through(upstream, client_, stated="phrh", acr_values=f"{HARDWARE} {PWD} {MFA}")
    assert asked["acr_values"] == "phrh phr"
    assert token_of(client_, answer)["acr"] == HARDWARE


def test_an_upstream_that_maps_none_of_them_is_asked_nothing(upstream, provider, client_):
    asked, answer = through(upstream, client_, stated="theirs", acr_values=PWD)
    assert "acr_values" not in asked
    assert token_of(client_, answer)["acr"] == "theirs"


def test_i19_who_runs_a_provider_states_none_of_our_classes(upstream, provider, client_):
    """Else anybody whose provider is used here would pass where MFA is required."""
    _, answer = through(upstream, client_, stated=PWD)
    assert "acr" not in token_of(client_, answer)
    provider(acr_values={})
    _, answer = through(upstream, client_, stated=MFA, acr_values=MFA)
    assert "acr" not in token_of(client_, answer)
    _, answer = through(upstream, client_, stated=MFA, claims=essential(MFA))
    assert answer_to(client_, answer)["error"] == "unmet_authentication_requirements"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({MFA: "a", HARDWARE: "a"}, "twice"),
        ({MFA: "two words"}, "cannot be set up"),
        ({MFA: 1}, "cannot be set up"),
        ([MFA], "cannot be set up"),
        ({"urn:example:unknown": "x"}, "is not one of this site"),
    ],
    ids=["twice", "a blank", "a number", "a list", "unknown"],
)
def test_a_map_that_cannot_work_is_an_error_of_the_check(provider, value, words):
    provider(acr_values=value)
    found = [
        error for error in run_checks(tags=["lazyauth"]) if error.id in ("lazyauth.E008", "lazyauth.E031")
    ]
    assert words in found[0].msg
