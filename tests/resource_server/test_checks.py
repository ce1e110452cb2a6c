"""System checks of a site that takes somebody else's tokens."""

from __future__ import annotations

import pytest

from django_lazyauth.resource_server import checks

ISSUER, AUDIENCE = "https://login.example", "https://api.example"
SHARED = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache"}}


@pytest.fixture
def elsewhere(settings):
    """The settings of a site that is not the issuer's, right in every respect but what the test changes."""

    def change(**changes):
        settings.CACHES = SHARED
        lazyauth = {name: value for name, value in changes.items() if name.isupper()}
        server = {"issuer": ISSUER, "audience": AUDIENCE} | {
            name: value for name, value in changes.items() if name.islower()
        }
        settings.LAZYAUTH = {**settings.LAZYAUTH, "RESOURCE_SERVER": server, **lazyauth}

    change()
    return change


def found():
    messages = [*checks.check_resource_server(None), *checks.check_deployment(None)]
    return [message.id.removeprefix("lazyauth.") for message in messages]


@pytest.mark.usefixtures("elsewhere")
def test_a_site_that_says_whose_tokens_it_takes_passes():
    assert found() == []


@pytest.mark.parametrize(
    ("wrong", "ids"),
    [
        ({"issuer": ""}, ["E060"]),
        ({"audience": 7}, ["E060"]),
        ({"REVOCATION_CHECK": 1}, ["E060"]),
        ({"issuer": "login.example"}, ["E060"]),
        ({"issuer": "http://login.example"}, ["E060", "E160"]),
        ({"jwks_uri": "ftp://login.example"}, ["E060"]),
        ({"audience": []}, ["E061"]),
        ({"REVOCATION_CHECK": True}, ["E062"]),
        ({"audience": "http://api.example"}, ["E160"]),
        ({"issuer": "http://127.0.0.1:8000", "ALLOW_LOOPBACK_UPSTREAMS": True}, ["E160"]),
    ],
    ids=str,
)
def test_what_cannot_work_or_must_not_be_deployed_is_said(elsewhere, wrong, ids):
    elsewhere(**wrong)
    assert found() == ids


@pytest.mark.parametrize("name", ["PROTECTED_RESOURCES", "RESOURCE_NAMES"])
def test_what_a_site_without_an_issuer_says_of_its_resources_is_checked(elsewhere, monkeypatch, name):
    # A site that is only a resource server. The checks themselves are real, and so are the settings they read.
    monkeypatch.setattr(checks.apps, "is_installed", lambda app: False)
    elsewhere(**{name: {"api": {}}})
    assert found() == ["E003"]


@pytest.mark.parametrize("backend", ["locmem.LocMemCache", "dummy.DummyCache", "filebased.FileBasedCache"])
@pytest.mark.usefixtures("elsewhere")
def test_i24_a_cache_that_is_not_shared_must_not_be_deployed(settings, backend):
    """I24: two processes would both add one proof. Django's cache of files looks first, and writes then."""
    settings.CACHES = {"default": {"BACKEND": f"django.core.cache.backends.{backend}"}}
    assert found() == ["E161"]


def test_the_issuers_own_site_needs_neither_an_audience_nor_a_fetch():
    assert found() == []
