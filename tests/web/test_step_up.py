"""More scopes for a client that has some: what the person sees, what is remembered, what goes on (spec 8.7)."""

from __future__ import annotations

import pytest
from oauth2_provider.models import get_application_model

from django_lazyauth.models import ClientRegistration, ClientSource, Consent
from tests.support.journey import code_for, make_browser, redeem, submit
from tests.tokens.conftest import refresh
from tests.web.site import (
    answer_to,
    ask,
    change_client,
    make_user,
    self_registered,
    signed_in,
    soup_of,
)

pytestmark = pytest.mark.django_db

WORDS = {"notes:read": "Read your notes", "notes:write": "Change your notes"}


@pytest.fixture(autouse=True)
def _scopes(lazyauth):
    lazyauth(SCOPES=WORDS)


def lines(page, name):
    found = soup_of(page).find(class_=f"lazyauth-{name}")
    return [line.get_text() for line in found.find_all("li")] if found else []


def test_the_page_shows_what_is_new_and_what_was_allowed_before(client_):
    """MCP's authorization, step-up: the client asks for the union."""
    browser = signed_in(make_user())
    first = ask(browser, client_, scope="notes:read")
    assert (lines(first, "scopes"), lines(first, "new"), lines(first, "known")) == (
        ["Read your notes"],
        [],
        [],
    )
    submit(browser, first, decision="allow")
    page = ask(browser, client_, scope="notes:read notes:write")
    assert (lines(page, "new"), lines(page, "known")) == (["Change your notes"], ["Read your notes"])
    assert "ada@people.example" in soup_of(page).main.get_text()
    submit(browser, page, decision="allow")
    assert Consent.objects.get().scope == "notes:read notes:write"
    again = ask(browser, client_, scope="notes:read", prompt="consent")
    assert (lines(again, "new"), lines(again, "known")) == ([], ["Read your notes"])


def test_what_was_allowed_elsewhere_or_to_another_self_is_new(client_):
    """I8: on other resources, and of a client that says something else of itself now."""
    browser = signed_in(make_user())
    submit(browser, ask(browser, client_, scope="notes:read"), decision="allow")
    page = ask(browser, client_, scope="notes:read", resource="https://api.example/notes")
    assert (lines(page, "scopes"), lines(page, "known")) == (["Read your notes"], [])
    change_client(client_, name="Somebody else")
    page = ask(browser, client_, scope="notes:read")
    assert (lines(page, "scopes"), lines(page, "known")) == (["Read your notes"], [])


def test_the_union_is_remembered_for_each_set_of_resources(client_):
    """Spec 8.7: in any order, and what is asked for less is not forgotten."""
    browser = signed_in(make_user())
    for resource in (None, "https://api.example/notes"):
        for scope in ("notes:write", "notes:read"):
            submit(browser, ask(browser, client_, scope=scope, resource=resource), decision="allow")
        assert "code" in answer_to(
            client_, ask(browser, client_, scope="notes:read notes:write", resource=resource)
        )
    assert {one.scope for one in Consent.objects.all()} == {"notes:write notes:read"}


def test_two_first_sign_ins_at_once_are_remembered_together(client_, application):
    """Spec 8.7: the person is written by the first exchange, and the second must not forget what it allowed."""
    codes = [
        code_for(client_, scope=scope, browser=make_browser()) for scope in ("notes:write", "notes:read")
    ]
    for code in codes:
        assert redeem(client_, code).status_code == 200
    assert set(Consent.objects.get().scope.split()) == {"notes:write", "notes:read"}


def test_the_older_session_goes_on(client_):
    """Spec 8.7: step-up ends nothing."""
    older = redeem(client_, code_for(client_, scope="notes:read")).json()
    newer = redeem(client_, code_for(client_, scope="notes:read notes:write")).json()
    assert newer["scope"] == "notes:read notes:write"
    assert refresh(client_, older["refresh_token"])["scope"] == "notes:read"
    assert refresh(client_, newer["refresh_token"])["scope"] == "notes:read notes:write"


# -- refresh tokens --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [None, "consent"])
def test_offline_access_is_taken_shown_and_told(client_, prompt):
    """OpenID Connect Core §11: with and without prompt=consent."""
    browser = signed_in(make_user())
    page = ask(browser, client_, scope="notes:read offline_access", prompt=prompt)
    assert "Stay connected while you are away" in lines(page, "scopes")
    code = answer_to(client_, submit(browser, page, decision="allow"))["code"]
    body = redeem(client_, code).json()
    assert (body["scope"], "refresh_token" in body) == ("notes:read offline_access", True)


def test_an_operator_may_give_refresh_tokens_with_offline_access_only(client_, lazyauth):
    """`REFRESH_TOKENS`: of a session that has it, each refresh gives the next one, however narrow its token is."""
    without = redeem(client_, code_for(client_, scope="notes:read")).json()
    assert "refresh_token" in without
    lazyauth(REFRESH_TOKENS="offline_access")
    assert "refresh_token" not in redeem(client_, code_for(client_, scope="notes:read")).json()
    body = redeem(client_, code_for(client_, scope="notes:read offline_access")).json()
    for _ in range(3):
        body = refresh(client_, body["refresh_token"], scope="notes:read")
    assert "refresh_token" in refresh(client_, without["refresh_token"]), "who has one goes on"


def test_a_client_without_the_grant_gets_none_by_the_scope(lazyauth):
    """RFC 7591 §2: the grant types that it registered bound it."""
    client = self_registered()
    row = get_application_model().objects.get(client_id=client.client_id)
    metadata = {"grant_types": ["authorization_code"]}
    ClientRegistration.objects.update_or_create(
        client=row, defaults={"source": ClientSource.OPEN, "metadata": metadata}
    )
    for policy in ("always", "offline_access"):
        lazyauth(REFRESH_TOKENS=policy)
        body = redeem(client, code_for(client, scope="notes:read offline_access")).json()
        assert "refresh_token" not in body


def test_a_client_asks_for_a_scope_of_a_resource_that_it_did_not_register(lazyauth):
    """MCP's authorization: clients register with the scope of the first challenge, or with none."""
    client = self_registered()
    row = get_application_model().objects.get(client_id=client.client_id)
    ClientRegistration.objects.update_or_create(
        client=row, defaults={"source": ClientSource.OPEN, "metadata": {"scope": "notes:read"}}
    )
    body = redeem(client, code_for(client, scope="notes:read notes:write")).json()
    assert body["scope"] == "notes:read notes:write"
    assert refresh(client, body["refresh_token"])["scope"] == "notes:read notes:write"
    answer = answer_to(client, ask(make_browser(), client, scope="notes:read email"))
    assert answer["error"] == "invalid_scope", "what it learns about the person is bounded"
