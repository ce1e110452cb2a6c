"""Which people of a provider are taken, and as whom: through our pages, at a real provider process."""

from __future__ import annotations

import pytest

from django_lazyauth.models import ProviderIdentity
from tests.support.journey import make_browser, start

from .conftest import go_upstream, sign_in_upstream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(upstream, lazyauth, settings):
    """Configure the provider; return it."""

    def configured(**changes):
        config = changes.pop("config", None) or upstream.config(**changes)
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": config})
        return upstream

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
