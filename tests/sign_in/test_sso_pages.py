"""Signing in by company domain, page by page, at a provider that nobody configured."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest
from bs4 import BeautifulSoup
from django.core.cache import cache
from oauth2_provider.models import get_application_model

from django_lazyauth.models import PendingAuthorization, ProviderIdentity, Status
from django_lazyauth.openid import domains, sso_discovery
from tests.support.celery_workers import wait_for
from tests.support.journey import (
    consent,
    form_of,
    get,
    make_browser,
    post,
    query_of,
    redeem,
)
from tests.support.upstream import Upstream
from tests.support.waiting import follow_waiting

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENTS = ("/.well-known/lazyauth-sso", "/.well-known/openid-configuration", "/jwks")


def page_with_field(browser, client_, **changes):
    page = get(browser, f"/authorize?{client_.authorize_query(**changes)}")
    assert page.status_code == 200, page.headers
    return page


def type_domain(browser, page, typed):
    soup = BeautifulSoup(page.content, "html.parser")
    form = soup.find("input", {"name": "domain"}).find_parent("form")
    fields = {field["name"]: field.get("value", "") for field in form.find_all("input")}
    button = form.find("button")
    return post(browser, form["action"], fields | {"domain": typed, button["name"]: button["value"]})


def to_upstream(browser, client_, typed="ada@acme.example"):
    return follow_waiting(browser, type_domain(browser, page_with_field(browser, client_), typed))


def back(browser, upstream: Upstream, response, **levers):
    """Sign in at the upstream and return to our callback, whatever host the callback address names."""
    callback = upstream.authorize(response.headers["Location"], **levers)
    assert callback.startswith("https://auth.example/callback/sso:acme.example?")
    return get(browser, callback.removeprefix("https://auth.example"))


def test_a_token_endpoint_that_moved_has_the_documents_fetched_again_once_in_five_minutes(
    sso, client_, monkeypatch
):
    """Spec 9: metadata stay fresh by being used."""
    metadata = "/.well-known/openid-configuration"
    sso.control(metadata={"token_endpoint": f"{sso.issuer}/gone"})
    assert fails_at(sso, client_)
    sso.control(metadata={})
    # The documents are too young to be fetched again.
    assert fails_at(sso, client_)
    assert len(sso.requests(metadata)) == 1
    now = sso_discovery.configurations.clock()
    monkeypatch.setattr(sso_discovery.configurations, "clock", lambda: now + 301)
    assert fails_at(sso, client_)
    wait_for(lambda: len(sso.requests(metadata)) == 2)
    domain = domains.find("acme.example")
    wait_for(lambda: not sso_discovery.configurations.is_fetching(domain.cache_key))
    browser = make_browser()
    answer = consent(browser, back(browser, sso, to_upstream(browser, client_)))
    assert redeem(client_, query_of(answer.headers["Location"])["code"]).status_code == 200
    assert len(sso.requests(metadata)) == 2


def fails_at(sso, client_):
    """Say whether a sign-in at the domain failed."""
    browser = make_browser()
    page = back(browser, sso, to_upstream(browser, client_))
    return page.status_code == 200 and not ProviderIdentity.objects.exists()


def test_a_domain_nobody_configured_signs_its_people_in(sso, client_):
    """Spec 2: two hops, and the person is a user once the code is redeemed."""
    browser = make_browser()
    left = to_upstream(browser, client_)
    query = query_of(left.headers["Location"])
    assert left.headers["Location"].startswith(f"{sso.issuer}/authorize?")
    assert (query["client_id"], query["scope"]) == (sso.client_id, "openid profile email")
    assert query["redirect_uri"] == "https://auth.example/callback/sso:acme.example"
    assert query["login_hint"] == "ada@acme.example"
    returned = follow_waiting(browser, back(browser, sso, left, sub="ada"), seconds=3)
    location = consent_of(browser, returned).headers["Location"]
    assert redeem(client_, query_of(location)["code"]).status_code == 200
    identity = ProviderIdentity.objects.get()
    assert (identity.provider, identity.subject, identity.issuer) == ("sso:acme.example", "ada", sso.issuer)
    assert (identity.sso_domain, identity.sso_name) == ("acme.example", "Acme Corporation")
    assert (identity.email, identity.email_verified) == ("ada@acme.example", True)
    assert [len(sso.requests(path)) for path in DOCUMENTS] == [1, 1, 1]


def consent_of(browser, response):
    """Allow the client on the page that is shown, or go on where it needs no consent."""
    if response.status_code == 200:
        action, fields = form_of(response)
        return post(browser, action, fields | {"decision": "allow"})
    return consent(browser, response)


def test_a_cold_domain_is_a_waiting_page_that_goes_on_by_itself(sso, client_):
    """Spec 2: Pending is a page with a plain refresh and Retry-After, and starts one discovery."""
    sso.control(hold_documents=True)
    browser = make_browser()
    answer = type_domain(browser, page_with_field(browser, client_), "acme.example")
    assert answer.status_code == 303
    waiting_url = answer.headers["Location"]
    pauses, announced = [], []
    for _ in range(9):
        waiting = get(browser, waiting_url)
        assert waiting.status_code == 202
        page = BeautifulSoup(waiting.content, "html.parser")
        pause, _, again = waiting.headers.get("Refresh", "").partition("; url=")
        pauses.append(pause)
        announced.append(page.find(attrs={"role": "status"}) is not None)
        assert b"acme.example" in waiting.content
        waiting_url = urljoin(waiting_url, again)
    # Spec 10: less often each time, announced once, and no reload without end.
    assert pauses == ["2", "4", "8", "8", "8", "8", "8", "8", ""]
    assert announced == [True] + [False] * 8
    sso.control(hold_documents=False)
    assert follow_waiting(browser, answer).headers["Location"].startswith(sso.issuer)
    assert [len(sso.requests(path)) for path in DOCUMENTS] == [1, 1, 1]
    assert PendingAuthorization.objects.get().status == Status.SENT_UPSTREAM


def test_evicted_while_the_person_is_away_it_waits_and_spends_nothing(sso, client_):
    """Spec 2: eviction gives Pending, never a failure; the state stays good for the same callback."""
    browser = make_browser()
    callback = sso.authorize(to_upstream(browser, client_).headers["Location"], sub="ada")
    cache.clear()
    sso.control(hold_documents=True)
    path = callback.removeprefix("https://auth.example")
    for _ in range(2):
        waiting = get(browser, path)
        assert (waiting.status_code, waiting.headers["Retry-After"]) == (202, "2")
    assert sso.requests("/token") == []
    sso.control(hold_documents=False)
    returned = follow_waiting(browser, waiting)
    assert returned.status_code in {200, 303}
    assert PendingAuthorization.objects.get().status == Status.AUTHENTICATED
    assert len(sso.requests("/token")) == 1


def test_evicted_between_sign_in_and_registration_changes_nothing(sso, client_):
    """What the person proved is sealed in the row: the exchange needs no key."""
    browser = make_browser()
    returned = back(browser, sso, to_upstream(browser, client_), sub="ada")
    location = consent_of(browser, follow_waiting(browser, returned)).headers["Location"]
    cache.clear()
    sso.control(down=True)
    assert redeem(client_, query_of(location)["code"]).status_code == 200


def test_a_domain_that_fails_is_a_page_with_the_reason_and_the_other_ways(sso, client_):
    """Spec 2: not pending for ever."""
    sso.control(sso={"client_id": None})
    browser = make_browser()
    shown = to_upstream(browser, client_)
    assert shown.status_code == 200
    alert = BeautifulSoup(shown.content, "html.parser").find(role="alert").text
    assert alert == "acme.example cannot sign you in at the moment (client_id)."
    assert b"Continue with Demo" in shown.content
    assert PendingAuthorization.objects.get().status == Status.REQUESTED


@pytest.mark.parametrize(
    "typed", ["evil.example", "ada@sub.acme.example", "acme", "", "https://acme.example/", "\x20", "a@b@"]
)
def test_a_domain_that_may_not_stays_on_the_page(sso, client_, typed):
    browser = make_browser()
    shown = type_domain(browser, page_with_field(browser, client_), typed)
    assert shown.status_code == 200
    assert b"This organisation cannot sign you in here" in shown.content
    assert sso.requests() == []
    assert not PendingAuthorization.objects.counted().exists()


def test_without_sso_there_is_no_field(client_):
    assert b'name="domain"' not in page_with_field(make_browser(), client_).content


def test_a_login_hint_goes_straight_there(sso, client_):
    """Spec 1: login_hint=someone@corp.example, where the domain may."""
    browser = make_browser()
    answer = get(browser, f"/authorize?{client_.authorize_query(login_hint='ada@ACME.example')}")
    assert answer.status_code == 303
    left = follow_waiting(browser, answer)
    assert query_of(left.headers["Location"])["login_hint"] == "ada@ACME.example"


def test_a_login_hint_of_another_domain_chooses_nothing(sso, client_):
    page_with_field(make_browser(), client_, login_hint="ada@evil.example")


def test_a_client_that_registered_itself_is_always_shown_first(sso, client_):
    """Spec 1: the page is never skipped for it; the field is filled in."""
    get_application_model().objects.update(registration_source="dcr")
    page = page_with_field(make_browser(), client_, login_hint="ada@acme.example")
    field = BeautifulSoup(page.content, "html.parser").find("input", {"name": "domain"})
    assert field["value"] == "ada@acme.example"


def test_an_address_outside_the_domain_proves_nothing(sso, client_):
    """Threat model: a domain that asserts another domain's e-mail → unverified."""
    browser = make_browser()
    sso.control(claims={"email": "ceo@other.example", "email_verified": True})
    returned = back(browser, sso, to_upstream(browser, client_), sub="mallory")
    location = consent_of(browser, follow_waiting(browser, returned)).headers["Location"]
    assert redeem(client_, query_of(location)["code"]).status_code == 200
    identity = ProviderIdentity.objects.select_related("user").get()
    assert (identity.email, identity.email_verified) == ("ceo@other.example", False)
    assert identity.user.email == ""


def test_the_userinfo_of_a_domain_is_fetched_as_that_of_a_stranger(sso, client_):
    """I14: 64 KiB at most. A configured provider may answer more."""
    for size, name in ((1_000, "Info"), (70_000, "")):
        browser = make_browser()
        sso.control(claims={"name": None}, userinfo={"big": "x" * size})
        returned = back(browser, sso, to_upstream(browser, client_), sub=f"person-{size}")
        location = consent_of(browser, follow_waiting(browser, returned)).headers["Location"]
        assert redeem(client_, query_of(location)["code"]).status_code == 200
        assert ProviderIdentity.objects.get(subject=f"person-{size}").name == name


def test_a_domain_that_changes_its_provider_does_not_take_its_people_along(sso, client_, django_user_model):
    """I19: the same subject at another issuer is somebody else."""
    user = django_user_model.objects.create_user("ada")
    ProviderIdentity.objects.create(
        user=user, provider="sso:acme.example", subject="ada", issuer="https://old.example"
    )
    browser = make_browser()
    returned = back(browser, sso, to_upstream(browser, client_), sub="ada")
    assert query_of(follow_waiting(browser, returned).headers["Location"])["error"] == "access_denied"
    assert (
        get(browser, "/authorize?" + client_.authorize_query(prompt="none"))
        .headers["Location"]
        .count("login_required")
    )


def test_one_domains_state_is_of_no_use_at_anothers_callback(sso, client_, lazyauth, settings):
    """I9, I19: provider A's state at B's callback → server_error, and no code is spent upstream."""
    lazyauth(SSO_DOMAINS={"acme.example": sso.sso_config(), "evil.example": sso.sso_config()})
    browser = make_browser()
    callback = sso.authorize(to_upstream(browser, client_).headers["Location"], sub="ada")
    path = callback.removeprefix("https://auth.example").replace("acme.example", "evil.example")
    answer = get(browser, path)
    assert query_of(answer.headers["Location"])["error"] == "server_error"
    assert sso.requests("/token") == []


def test_a_configured_domain_skips_hop_1_and_may_have_a_secret(sso, client_, lazyauth):
    """Spec 2: SSO_DOMAINS."""
    sso.control(public_client=False)
    lazyauth(SSO_DOMAINS={"acme.example": sso.config()})
    browser = make_browser()
    returned = follow_waiting(browser, back(browser, sso, to_upstream(browser, client_), sub="ada"))
    assert returned.status_code in {200, 303}
    assert PendingAuthorization.objects.get().status == Status.AUTHENTICATED
    assert [len(sso.requests(path)) for path in DOCUMENTS] == [0, 1, 1]


def test_no_secret_of_a_configured_domain_is_in_the_cache(sso, client_, lazyauth):
    """I13."""
    lazyauth(SSO_DOMAINS={"acme.example": sso.config()})
    to_upstream(make_browser(), client_)
    assert cache._cache
    assert not [name for name, stored in cache._cache.items() if sso.client_secret.encode() in stored]


def test_keys_that_the_domain_rotated_are_fetched_while_the_person_waits(sso, client_):
    """I15: one fetch for the unknown key id, in the callback itself."""
    browser = make_browser()
    left = to_upstream(browser, client_)
    sso.control(rotate_keys=True)
    sso_discovery.key_sets.clock, clock = (lambda: clock() + 31), sso_discovery.key_sets.clock
    try:
        returned = follow_waiting(browser, back(browser, sso, left, sub="ada"))
    finally:
        sso_discovery.key_sets.clock = clock
    assert returned.status_code in {200, 303}
    assert PendingAuthorization.objects.get().status == Status.AUTHENTICATED
    assert len(sso.requests("/jwks")) == 2
