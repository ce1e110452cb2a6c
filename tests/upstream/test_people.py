"""Which people of a provider are taken, and as whom: through our pages, at a real provider process."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import pytest

from django_lazyauth.models import ProviderIdentity
from tests.support.journey import get, make_browser, query_of, start, submit

from .conftest import go_upstream, sign_in_upstream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(upstream, lazyauth, settings):
    """Configure the provider; return it."""

    def configured(**changes):
        config = changes.pop("config", None) or upstream.config(**changes)
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": config})
        return upstream

    configured.upstream = upstream
    return configured


def test_linkedin_calls_itself_by_two_names(acme, client_):
    """Metadata, callback and ID token have the alias, in any mixture. The identity has the issuer."""
    alias = "https://www.acme.example"
    upstream = acme(issuer_aliases=[alias])
    for levers in (
        {"metadata": {"issuer": alias}},
        {"claims": {"iss": alias}},
        {"claims": {"iss": alias}, "callback": {"iss": alias}},
        {"callback": {"iss": alias}},
    ):
        upstream.control(reset=True, **levers)
        sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().issuer == upstream.issuer


def test_a_name_that_nobody_configured_is_refused(acme, client_):
    upstream = acme()
    browser = make_browser()
    levers = {"claims": {"iss": "https://www.acme.example"}}
    page = go_upstream(upstream, browser, start(browser, client_, provider="acme"), **levers)
    assert "could not be verified" in page.content.decode()
    assert not ProviderIdentity.objects.exists()


# --- Who may sign in ------------------------------------------------------------------------------------------


@pytest.fixture
def turned_away(acme, client_, caplog):
    """Come back from the provider, and see that the person is told to choose another account."""

    def go(**levers):
        caplog.set_level(logging.INFO, "django_lazyauth.upstream")
        browser = make_browser()
        page = go_upstream(acme.upstream, browser, start(browser, client_, provider="acme"), **levers)
        assert "This account may not sign in here. Choose another." in page.content.decode()
        assert not ProviderIdentity.objects.exists()
        line = [record for record in caplog.records if record.getMessage().startswith("sign-in failed:")][-1]
        assert (line.levelno, line.reason) == (logging.INFO, "not_allowed")
        return browser, page

    return go


def test_who_is_not_of_the_domain_is_asked_for_another_account(acme, turned_away):
    upstream = acme(allow={"hd": ["corp.example"]}, userinfo="never")
    browser, page = turned_away(claims={"hd": "other.example"})
    again = submit(browser, page, provider="acme").headers["Location"]
    assert query_of(again)["prompt"] == "select_account"
    back = urlsplit(upstream.authorize(again, claims={"hd": "corp.example"}))
    assert get(browser, f"{back.path}?{back.query}").status_code == 303


def test_userinfo_is_asked_for_what_the_id_token_does_not_have(acme, client_, turned_away):
    upstream = acme(allow={"groups": ["staff"]})
    turned_away(userinfo={"groups": ["guests"]})
    upstream.control(reset=True, userinfo={"groups": ["guests", "staff"]})
    sign_in_upstream(upstream, client_)
    assert len(upstream.requests("/userinfo")) == 1
    upstream.control(reset=True, claims={"groups": ["staff"]})
    sign_in_upstream(upstream, client_)
    assert upstream.requests("/userinfo") == []


def test_a_userinfo_that_does_not_answer_lets_nobody_in_who_needs_it(acme, client_):
    upstream = acme(allow={"groups": ["staff"]}, userinfo_endpoint="http://127.0.0.1:9/userinfo")
    browser = make_browser()
    page = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
    assert "does not answer at the moment" in page.content.decode()
    assert not ProviderIdentity.objects.exists()
    upstream.control(claims={"groups": "staff", "name": None})
    sign_in_upstream(upstream, client_)


def test_an_oauth2_provider_has_the_same_key(acme, client_, turned_away):
    upstream = acme(config=acme.upstream.oauth2_config(allow={"company": ["corp"]}))
    turned_away()
    upstream.control(reset=True, user={"id": 1, "company": "corp"})
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().subject == "1"


def of_tenant(upstream, tenant):
    name = f"{upstream.issuer}/{tenant}"
    return {"claims": {"iss": name, "tid": tenant}, "callback": {"iss": name}}


def test_i19_a_tenant_that_is_not_named_is_turned_away(acme, client_, turned_away):
    issuer = acme.upstream.issuer + "/{tid}"
    upstream = acme(
        issuer=issuer,
        openid_configuration=f"{acme.upstream.issuer}/.well-known/openid-configuration",
        tenants=["corp"],
    )
    upstream.control(metadata={"issuer": issuer})
    turned_away(**of_tenant(upstream, "evil"))
    upstream.control(**of_tenant(upstream, "corp"))
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.get().subject == "corp:person-1"
