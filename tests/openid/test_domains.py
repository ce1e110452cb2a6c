"""Which domain is meant, and may it: one spelling, and a gate that is shut by default."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from hypothesis import given
from hypothesis import strategies as st

from django_lazyauth.openid import domains
from django_lazyauth.openid.domains import DomainInvalid, normalise
from django_lazyauth.sign_in.sso_domain import provider_name_of


@pytest.mark.parametrize(
    ("typed", "domain"),
    [
        ("corp.example", "corp.example"),
        (" Corp.EXAMPLE\n", "corp.example"),
        ("corp。example", "corp.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("XN--STRAE-OQA.example", "xn--strae-oqa.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("a.b.c.example", "a.b.c.example"),
        ("4chan.example", "4chan.example"),
        ("l" * 63 + ".example", "l" * 63 + ".example"),
    ],
)
def test_a_domain_has_one_spelling(typed, domain):
    assert normalise(typed) == domain
    assert normalise(domain) == domain


@pytest.mark.parametrize(
    "typed",
    [
        "",
        " ",
        "example",
        "localhost",
        "corp.example:8443",
        "corp.example/path",
        "https://corp.example",
        "user@corp.example",
        "corp.example?x",
        "corp.example#x",
        "corp..example",
        ".corp.example",
        "corp.example.",
        "-corp.example",
        "corp-.example",
        "co_rp.example",
        "co rp.example",
        "corp\\.example",
        "corp.example\0",
        "127.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "1.2.3.0x4",
        "2130706433",
        "[::1]",
        "::1",
        "１２７.０.０.１",
        "l" * 64 + ".example",
        "a." * 126 + "example",
        "x" * 100_000 + ".example",
        "xn--.example",
        "xn--a.example",
        "xn--zzzzzzzzzzzzzz.example",
        "%63orp.example",
        "corp.example%00.evil.example",
    ],
)
def test_what_is_not_a_domain_is_refused(typed):
    """Spec 2: ≥ 2 labels, ≤ 253, labels ≤ 63, no port, path, userinfo or address."""
    with pytest.raises(DomainInvalid):
        normalise(typed)


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_domain_or_refused(typed):
    """I18."""
    try:
        domain = normalise(typed)
    except DomainInvalid:
        return
    assert normalise(domain) == domain
    assert domain.isascii()


@pytest.mark.parametrize(
    ("typed", "domain"),
    [
        ("ada@corp.example", "corp.example"),
        ('"a@b"@Corp.Example', "corp.example"),
        ("corp.example", "corp.example"),
    ],
)
def test_an_address_leads_to_its_domain(typed, domain, lazyauth):
    lazyauth(SSO_ALLOWED_DOMAINS=[domain])
    assert provider_name_of(typed) == f"sso:{domain}"


class TestGate:
    def test_it_is_shut_by_default(self):
        assert domains.find("corp.example") is None
        assert not domains.is_enabled()

    def test_a_list_opens_it_for_its_domains_only(self, lazyauth):
        lazyauth(SSO_ALLOWED_DOMAINS=["Corp.Example", "not a domain"])
        assert domains.find("corp.example").start_url == "https://corp.example/.well-known/lazyauth-sso"
        assert domains.find("sub.corp.example") is None
        assert domains.find("example") is None

    def test_a_callable_decides(self, lazyauth):
        lazyauth(SSO_ALLOWED_DOMAINS=lambda domain: domain.endswith(".example"))
        assert domains.find("corp.example")
        assert domains.find("corp.test") is None

    @pytest.mark.parametrize("answer", [1, "yes", None])
    def test_only_true_is_yes(self, lazyauth, answer):
        lazyauth(SSO_ALLOWED_DOMAINS=lambda domain: answer)
        assert domains.find("corp.example") is None

    def test_a_callable_that_raises_is_a_no(self, lazyauth, caplog):
        lazyauth(SSO_ALLOWED_DOMAINS=lambda domain: 1 / 0)
        assert domains.find("corp.example") is None
        assert "ZeroDivisionError" in caplog.text

    def test_a_configured_domain_is_allowed_by_that(self, lazyauth):
        lazyauth(SSO_DOMAINS={"Corp.example": {"issuer": "https://id.example", "client_id": "us"}})
        found = domains.find("corp.example")
        assert found.start_url == "https://id.example/.well-known/openid-configuration"
        assert found.descriptor.name == "sso:corp.example"

    def test_another_configuration_is_another_entry(self, lazyauth):
        """What was cached under one issuer is never used under another (I19)."""
        lazyauth(SSO_DOMAINS={"corp.example": {"issuer": "https://id.example", "client_id": "us"}})
        before = domains.find("corp.example").cache_key
        lazyauth(SSO_DOMAINS={"corp.example": {"issuer": "https://other.example", "client_id": "us"}})
        assert domains.find("corp.example").cache_key != before

    def test_the_path_is_a_setting(self, lazyauth):
        lazyauth(SSO_ALLOWED_DOMAINS=["corp.example"], SSO_DISCOVERY_PATH="sso/openid.json")
        assert domains.find("corp.example").start_url == "https://corp.example/.well-known/sso/openid.json"


class TestChecks:
    @pytest.mark.parametrize(
        ("values", "ids"),
        [
            ({"SSO_ALLOWED_DOMAINS": ["corp.example"]}, []),
            ({"SSO_ALLOWED_DOMAINS": "os.path.isabs"}, []),
            ({"SSO_ALLOWED_DOMAINS": "no.such.thing"}, ["lazyauth.E003"]),
            ({"SSO_ALLOWED_DOMAINS": 7}, ["lazyauth.E003"]),
            ({"SSO_ALLOWED_DOMAINS": ["corp"]}, ["lazyauth.E020"]),
            ({"SSO_DISCOVERY_PATH": "../x"}, ["lazyauth.E003"]),
            ({"SSO_DISCOVERY_PATH": "/x"}, ["lazyauth.E003"]),
            ({"SSO_DOMAINS": ["corp.example"]}, ["lazyauth.E003"]),
            ({"SSO_DOMAINS": {"corp.example": {"issuer": "https://id.example"}}}, ["lazyauth.E020"]),
            ({"SSO_DOMAINS": {"corp.example": {"client_id": "x"}}}, ["lazyauth.E020"]),
            ({"SSO_DOMAINS": {"corp.example": {"preset": "google", "client_id": "x"}}}, []),
            ({"SSO_DOMAINS": {"corp.example": {"preset": "gogle", "client_id": "x"}}}, ["lazyauth.E020"]),
            (
                {
                    "SSO_DOMAINS": {
                        "corp.example": {"issuer": "https://a.example", "client_id": "x", "scope": []}
                    }
                },
                ["lazyauth.E020"],
            ),
            ({"SSO_DOMAINS": {"corp.example": {"discovery_url": 7}}}, ["lazyauth.E020"]),
            ({"SSO_DOMAINS": {"corp": {}}}, ["lazyauth.E020"]),
            ({"DISCOVERY_RUNNER": "celery"}, []),
            ({"DISCOVERY_RUNNER": "rabbit"}, ["lazyauth.E003"]),
        ],
    )
    def test_what_cannot_work_is_told(self, db, lazyauth, values, ids):
        lazyauth(**values)
        assert [message.id for message in run_checks(tags=["lazyauth"])] == ids

    def test_plain_http_is_not_deployed(self, db, lazyauth):
        lazyauth(SSO_DOMAINS={"corp.example": {"discovery_url": "http://127.0.0.1:1/x"}})
        found = run_checks(tags=["lazyauth"], include_deployment_checks=True)
        assert "lazyauth.E104" in [message.id for message in found]
