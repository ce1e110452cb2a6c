"""Who comes back is described by what their provider says now: through our pages, at a real provider process."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from django_lazyauth.errors import RegistrationRefused
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, ProviderIdentity
from django_lazyauth.signals import identity_updated
from tests.api.test_sso_and_identities import send, token_for
from tests.benchmarks.cost import counting
from tests.support.journey import consent, get, make_browser, query_of, redeem, start

from .conftest import go_upstream, sign_in_upstream

pytestmark = pytest.mark.django_db(transaction=True)

NEW = {"email": "king@acme.example", "name": "Ada King"}


@pytest.fixture
def acme(upstream, lazyauth, settings):
    """Configure the provider."""

    def configured(**changes):
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": upstream.config(**changes)})

    return configured


@pytest.fixture
def told():
    """What ``identity_updated`` said, and what stood in the database then."""
    found = []

    def hear(**said):
        stored = ProviderIdentity.objects.get(pk=said["identity"].pk)
        assert (stored.email, stored.name, stored.claims) == (
            said["identity"].email,
            said["identity"].name,
            said["identity"].claims,
        )
        assert connection.in_atomic_block
        found.append((said["user"].pk, said["changed"], said["session_id"]))

    identity_updated.connect(hear, weak=False)
    yield found
    identity_updated.disconnect(hear)


def listening(receiver):
    """Connect *receiver* to the signal, and return what disconnects it."""
    identity_updated.connect(receiver, weak=False)
    return lambda: identity_updated.disconnect(receiver)


def told_columns():
    return ProviderIdentity.objects.values_list("email", "email_verified", "name", "claims").get()


def at_callback(upstream, client_, **levers):
    browser = make_browser()
    redirect = start(browser, client_, provider="acme")
    return browser, go_upstream(upstream, browser, redirect, **levers)


def code_of(upstream, client_, **levers):
    browser, answer = at_callback(upstream, client_, **levers)
    if not answer.headers["Location"].startswith(client_.redirect_uri):
        answer = consent(browser, answer)
    return query_of(answer.headers["Location"])["code"]


# --- Address, flag and name -----------------------------------------------------------------------------------


def test_a_changed_name_and_address_stand_in_the_identity_and_are_told_once(upstream, client_, told):
    sign_in_upstream(upstream, client_)
    assert told == []
    first = ProviderIdentity.objects.get().seen_at
    upstream.control(claims=NEW)
    for _ in range(2):
        sign_in_upstream(upstream, client_)
    identity = ProviderIdentity.objects.get()
    assert (identity.email, identity.email_verified, identity.name) == (NEW["email"], True, NEW["name"])
    assert identity.seen_at > first
    second = PendingAuthorization.objects.order_by("created_at")[1]
    assert told == [(identity.user_id, {"email", "name"}, second.pk)]


def test_an_address_that_is_verified_no_more_is_told(upstream, client_, told):
    sign_in_upstream(upstream, client_)
    upstream.control(claims={"email_verified": False})
    sign_in_upstream(upstream, client_)
    assert [changed for _, changed, _ in told] == [{"email_verified"}]
    assert ProviderIdentity.objects.get().email_verified is False


def test_the_user_stays_as_they_are(upstream, client_):
    """Only the account at the provider is described anew."""
    sign_in_upstream(upstream, client_)
    before = get_user_model().objects.values().get()
    upstream.control(claims=NEW | {"given_name": "Augusta", "preferred_username": "augusta"})
    sign_in_upstream(upstream, client_)
    after = get_user_model().objects.values().get()
    assert before | {"last_login": None} == after | {"last_login": None}


def test_a_provider_that_says_no_address_any_more_leaves_none_and_the_name_stays(upstream, client_, told):
    """UserInfo was asked too. Some providers tell a name once (Apple)."""
    sign_in_upstream(upstream, client_)
    nothing = {"email": None, "email_verified": None, "name": None}
    upstream.control(claims=nothing, userinfo=nothing)
    sign_in_upstream(upstream, client_)
    assert told_columns() == ("", False, "Name of person-1", {})
    assert [changed for _, changed, _ in told] == [{"email", "email_verified"}]


def test_a_userinfo_that_does_not_answer_takes_nothing_away(acme, upstream, client_, told):
    sign_in_upstream(upstream, client_)
    acme(userinfo_endpoint="http://127.0.0.1:9/userinfo")
    upstream.control(claims={"email": None, "email_verified": None, "name": "Ada King"})
    sign_in_upstream(upstream, client_)
    assert told_columns() == ("person-1@acme.example", True, "Ada King", {})
    assert [changed for _, changed, _ in told] == [{"name"}]


def test_a_token_of_an_app_takes_nothing_away(acme, upstream, client_, application):
    """An app hands over an ID token, and UserInfo is not asked."""
    acme(keep_claims=["department"])
    upstream.control(userinfo={"department": "Engines"})
    sign_in_upstream(upstream, client_)
    browser = make_browser()
    start(browser, client_, provider="acme")
    url = f"/authorizations/{PendingAuthorization.objects.latest('created_at').pk}/id-token"
    token = token_for(
        upstream, get(browser, url).json()["nonce"], sub="person-1", claims=NEW | {"email": None}
    )
    assert send(browser, url, {"id_token": token}).status_code == 200
    assert told_columns() == ("person-1@acme.example", True, "Ada King", {"department": "Engines"})


# --- Kept claims ----------------------------------------------------------------------------------------------


def test_of_other_claims_only_those_that_are_named_are_kept(acme, upstream, client_, told):
    acme(keep_claims=["org.unit", "roles[*].name", "absent"], userinfo="never")
    claims = {"org": {"unit": "Engines", "boss": "hidden"}, "roles": [{"name": "a"}, {"name": "b"}], "x": 1}
    upstream.control(claims=claims)
    sign_in_upstream(upstream, client_)
    kept = {"org.unit": "Engines", "roles[*].name": ["a", "b"]}
    assert ProviderIdentity.objects.get().claims == kept
    upstream.control(claims=claims | {"org": {"unit": "Looms"}, "roles": None})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().claims == {"org.unit": "Looms"}
    assert [changed for _, changed, _ in told] == [{"claims"}]


def test_userinfo_is_asked_for_a_claim_that_is_kept_and_the_id_token_does_not_have(acme, upstream, client_):
    """OpenID Connect Core §5.4."""
    acme(keep_claims=["department"])
    upstream.control(userinfo={"department": "Engines"})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().claims == {"department": "Engines"}
    assert len(upstream.requests("/userinfo")) == 1
    upstream.control(claims={"department": "Looms"})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().claims == {"department": "Looms"}
    assert len(upstream.requests("/userinfo")) == 1


@pytest.mark.parametrize("odd", ["a\0b", "\ud800", "x" * 17_000, {"a": {"b": [[[[[[[1]]]]]]]}}])
def test_a_kept_claim_that_no_database_can_hold_refuses_nobody(acme, upstream, client_, odd):
    acme(keep_claims=["odd", "even"], userinfo="never")
    upstream.control(claims={"odd": odd, "even": True})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().claims == {"even": True}


def test_a_token_in_a_kept_claim_is_not_kept(acme, upstream, client_):
    acme(keep_claims=["nested", "token:nested"], userinfo="never")
    nested = {"access_token": "hidden", "plan": "pro"}
    upstream.control(claims={"nested": nested}, token={"nested": nested})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().claims == {
        "nested": {"plan": "pro"},
        "token:nested": {"plan": "pro"},
    }


# --- When -----------------------------------------------------------------------------------------------------


def test_i4_a_new_person_is_described_by_the_exchange(acme, upstream, client_, told):
    """I4: nothing of them is written before."""
    acme(keep_claims=["department"], userinfo="never")
    code = code_of(upstream, client_, claims={"department": "Engines"})
    assert not ProviderIdentity.objects.exists()
    asked = DeferredRegistration.objects.get().created_at
    assert redeem(client_, code).status_code == 200
    identity = ProviderIdentity.objects.get()
    assert (identity.claims, identity.seen_at) == ({"department": "Engines"}, asked)
    assert told == []


def test_who_was_written_since_is_described_by_the_exchange_that_follows(upstream, client_, told):
    codes = [code_of(upstream, client_), code_of(upstream, client_, claims=NEW)]
    for code in codes:
        assert redeem(client_, code).status_code == 200
    assert ProviderIdentity.objects.get().name == "Ada King"
    last = PendingAuthorization.objects.latest("created_at")
    assert [(changed, session) for _, changed, session in told] == [({"email", "name"}, last.pk)]


def test_an_exchange_does_not_undo_a_later_sign_in(upstream, client_, told):
    codes = [code_of(upstream, client_), code_of(upstream, client_, claims=NEW)]
    for code in reversed(codes):
        assert redeem(client_, code).status_code == 200
    assert ProviderIdentity.objects.get().name == "Ada King"
    assert told == []


def test_nothing_changed_is_one_small_update(upstream, client_, told):
    """The identity is read once, and the moment written. The last query asks whether the sign-in still stands."""
    for _ in range(2):
        sign_in_upstream(upstream, client_)
    with counting(connection) as cost:
        at_callback(upstream, client_)
    written = [sql for sql in cost.statements if "lazyauth_provideridentity" in sql]
    assert [sql.partition(" ")[0] for sql in written] == ["SELECT", "UPDATE", "SELECT"], written
    changed = written[1].partition(" WHERE ")[0]
    assert "seen_at" in changed
    assert "email" not in changed
    assert told == []


# --- Who may say no -------------------------------------------------------------------------------------------


def test_a_receiver_that_refuses_signs_nobody_in_and_leaves_what_stood(upstream, client_):
    def refuse(**said):
        raise RegistrationRefused("Not under this name.")

    sign_in_upstream(upstream, client_)
    before = told_columns()
    hush = listening(refuse)
    try:
        _, answer = at_callback(upstream, client_, claims=NEW)
    finally:
        hush()
    asked = query_of(answer.headers["Location"])
    assert asked["error"] == "access_denied"
    assert asked["error_description"].startswith("Not under this name.")
    assert told_columns() == before


def test_a_receiver_that_fails_leaves_what_stood(upstream, client_):
    def fail(**said):
        raise ZeroDivisionError

    sign_in_upstream(upstream, client_)
    before = told_columns()
    hush = listening(fail)
    try:
        _, page = at_callback(upstream, client_, claims=NEW)
    finally:
        hush()
    assert page.status_code == 200
    assert told_columns() == before
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().name == "Ada King"


def test_i3_a_receiver_that_fails_in_the_exchange_leaves_the_code(upstream, client_):
    """I3: all of it or nothing."""

    def fail(**said):
        raise ZeroDivisionError

    codes = [code_of(upstream, client_), code_of(upstream, client_, claims=NEW)]
    assert redeem(client_, codes[0]).status_code == 200
    before = told_columns()
    hush = listening(fail)
    browser = make_browser()
    browser.raise_request_exception = False
    try:
        assert redeem(client_, codes[1], browser=browser).status_code == 500
    finally:
        hush()
    assert told_columns() == before
    assert redeem(client_, codes[1]).status_code == 200
    assert ProviderIdentity.objects.get().name == "Ada King"
