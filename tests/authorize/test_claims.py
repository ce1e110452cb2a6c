"""The parameter ``claims`` (OpenID Connect Core §5.5): bounded, never widening, and whom it names is who signs in."""

from __future__ import annotations

import json

import pytest

from django_lazyauth.models import PendingAuthorization
from tests.support.journey import come_back, make_browser, redeem, start, submit
from tests.tokens.conftest import decoded
from tests.web.site import answer_to, ask, is_choice_page, is_consent_page, make_user, signed_in

pytestmark = pytest.mark.django_db


def named(subject, place="id_token") -> str:
    return json.dumps({place: {"sub": {"value": subject}}})


def deep(levels: int) -> dict:
    return {"x": deep(levels - 1)} if levels > 1 else {}


TOO_MUCH = {
    "no object": [1],
    "5 levels": {"id_token": deep(4)},
    "5 levels with a list": {"id_token": {"a": {"values": [[]]}}},
    "51 names": {"userinfo": dict.fromkeys(map(str, range(50)))},
    "2049 octets": {"userinfo": {"x" * 2000: "\N{EURO SIGN}" * 20}},
    "a subject that is a number": {"id_token": {"sub": {"value": 7}}},
    "a subject that is null": {"id_token": {"sub": {"value": None}}},
    "an empty subject": {"id_token": {"sub": {"value": ""}}},
    "a subject of 256 characters": {"id_token": {"sub": {"value": "x" * 256}}},
    "two subjects": {"id_token": {"sub": {"values": ["1", "2"]}}},
    "subjects that are no list": {"id_token": {"sub": {"values": "1"}}},
    "another subject at userinfo": {"id_token": {"sub": {"value": "1"}}, "userinfo": {"sub": {"value": "2"}}},
}


@pytest.mark.parametrize("scope", ["openid", "email"])
@pytest.mark.parametrize("claims", TOO_MUCH.values(), ids=TOO_MUCH)
def test_i18_a_claims_parameter_that_is_not_read_whole_is_refused(client_, claims, scope):
    """Spec 8.8: 2 KiB, 4 deep, 50 names; a subject that cannot be compared must not be ignored."""
    asked = json.dumps(claims, ensure_ascii=False)
    answer = answer_to(client_, ask(make_browser(), client_, claims=asked, scope=scope))
    assert answer["error"] == "invalid_request"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"id_token": None},
        {"id_token": {"sub": None}, "userinfo": {"sub": {"essential": True}}},
        {"id_token": deep(3)},
        {"userinfo": dict.fromkeys(map(str, range(49)))},
        {"elsewhere": {"sub": {"value": 7}}},
    ],
    ids=["empty", "null", "no value", "4 levels", "50 names", "another place"],
)
def test_a_claims_parameter_within_the_bounds_is_read(client_, claims):
    """OpenID Connect Core §5.5: members that are not understood are ignored."""
    assert is_choice_page(ask(make_browser(), client_, claims=json.dumps(claims)))


def test_claims_bring_nothing_that_the_scopes_do_not_bring(client_):
    """I20: a person who allowed ``openid`` told nobody their address."""
    asked = {"email": {"essential": True}, "name": None, "auth_time": {"essential": True}}
    browser = signed_in(make_user())
    page = ask(browser, client_, scope="openid", claims=json.dumps({"id_token": asked, "userinfo": asked}))
    assert is_consent_page(page)
    tokens = redeem(client_, answer_to(client_, submit(browser, page, decision="allow"))["code"]).json()
    claims = decoded(tokens["id_token"])[1]
    assert not {"email", "email_verified", "name"} & set(claims)
    assert "auth_time" in claims
    assert tokens["scope"] == "openid"


@pytest.mark.parametrize("place", ["id_token", "userinfo"])
def test_the_person_who_is_named_needs_no_other_sign_in(client_, place):
    """OpenID Connect Core §5.5.1."""
    user = make_user()
    browser = signed_in(user)
    assert is_consent_page(ask(browser, client_, claims=named(str(user.pk), place)))


def test_nobody_else_is_answered_for_the_person_who_is_named(client_):
    """OpenID Connect Core §3.1.2.1: that person or ``login_required``, with and without a page."""
    ada, bob = make_user("ada"), make_user("bob-of-this-browser")
    browser = signed_in(bob)
    answer = answer_to(client_, ask(browser, client_, claims=named(str(ada.pk)), prompt="none"))
    assert answer["error"] == "login_required"
    page = ask(browser, client_, claims=named(str(ada.pk)))
    assert is_choice_page(page)
    assert "bob-of-this-browser" not in page.content.decode()
    left = start(browser := make_browser(), client_, claims=named("nobody"))
    assert PendingAuthorization.objects.latest("created_at").subject_hint == "nobody"
    assert answer_to(client_, come_back(browser, left, subject="eve"))["error"] == "login_required"


def test_two_persons_are_nobody(client_):
    """A hint and a claim that disagree leave nobody who could sign in."""
    user = make_user()
    browser = signed_in(user)
    page = ask(browser, client_)
    tokens = redeem(client_, answer_to(client_, submit(browser, page, decision="allow"))["code"]).json()
    hint = tokens["id_token"]
    answer = answer_to(client_, ask(browser, client_, id_token_hint=hint, claims=named("somebody-else")))
    assert answer["error"] == "login_required"
    agreed = ask(browser, client_, id_token_hint=hint, claims=named(str(user.pk)))
    assert "code" in answer_to(client_, agreed)


# -- what narrows and is not built -----------------------------------------------------------------------------


def test_i18_authorization_details_are_refused_and_never_ignored(client_):
    """RFC 9396 §5, §6: at the authorization endpoint and at the token endpoint, and the code is not used up."""
    details = json.dumps([{"type": "payment"}])
    answer = answer_to(client_, ask(make_browser(), client_, authorization_details=details))
    assert answer["error"] == "invalid_authorization_details"
    browser = signed_in(make_user())
    code = answer_to(client_, submit(browser, ask(browser, client_), decision="allow"))["code"]
    refused = redeem(client_, code, authorization_details=details)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_authorization_details")
    tokens = redeem(client_, code)
    assert tokens.status_code == 200
