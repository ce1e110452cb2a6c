"""Spec 9: a ``subject`` that changed while people have accounts keeps everybody out, and says the way out."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.core.management import call_command

from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.models import ProviderIdentity, ProviderKeySet
from django_lazyauth.openid.rules import parse, written
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.upstream import subject_rule
from tests.api.test_sso_and_identities import flow, nonce_of, send, token_for, until_settled
from tests.support.journey import make_browser, start
from tests.upstream.conftest import go_upstream, sign_in_upstream

__all__ = ["flow"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def acme(upstream, lazyauth, settings):
    def configured(**changes):
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": upstream.config(**changes)})
        upstream.control(claims={"oid": "oid-1"})
        return upstream

    return configured


def checked():
    return [message.id for message in run_checks(databases=["default"]) if message.id == "lazyauth.E023"]


def kept():
    return ProviderKeySet.objects.get(pk="acme").subject_rules


def is_kept_out(client_):
    page = start(make_browser(), client_, provider="acme")
    return page.status_code == 200 and "not set up correctly" in page.content.decode()


def test_a_changed_rule_is_an_error_and_sends_nobody_there(acme, client_, caplog):
    upstream = acme()
    sign_in_upstream(upstream, client_)
    assert (checked(), kept()) == ([], ["sub"])
    acme(subject="oid")
    asked = len(upstream.requests("/authorize"))
    assert is_kept_out(client_)
    assert 'name that one in "legacy_subjects", or put it back' in caplog.text
    assert len(upstream.requests("/authorize")) == asked
    assert checked() == ["lazyauth.E023"]
    [error] = [message for message in run_checks(databases=["default"]) if message.id == "lazyauth.E023"]
    assert '"legacy_subjects"' in error.hint
    assert ProviderIdentity.objects.get().subject == "person-1"


def test_the_earlier_rule_among_legacy_subjects_is_the_way_out(acme, client_):
    upstream = acme()
    sign_in_upstream(upstream, client_)
    user = ProviderIdentity.objects.get().user
    acme(subject="oid", legacy_subjects=["sub"])
    assert checked() == []
    sign_in_upstream(upstream, client_)
    identity = ProviderIdentity.objects.get()
    assert (identity.user, identity.subject, kept()) == (user, "oid-1", ["sub", "oid"])
    # Who was not moved yet would be lost.
    acme(subject="oid")
    assert checked() == ["lazyauth.E023"]
    acme(subject="email", legacy_subjects=["sub", "oid"])
    assert checked() == []


def test_putting_it_back_is_another(acme, client_):
    upstream = acme()
    sign_in_upstream(upstream, client_)
    acme(subject="oid")
    assert is_kept_out(client_)
    acme()
    assert checked() == []
    sign_in_upstream(upstream, client_)
    assert ProviderIdentity.objects.count() == 1


def test_while_nobody_has_an_account_any_rule_is_good(acme, client_):
    upstream = acme()
    sign_in_upstream(upstream, client_)
    ProviderIdentity.objects.all().delete()
    acme(subject="oid")
    assert (checked(), kept()) == ([], [])
    sign_in_upstream(upstream, client_)
    assert (ProviderIdentity.objects.get().subject, kept()) == ("oid-1", ["oid"])


def test_a_rule_that_changed_during_a_sign_in_signs_nobody_in(acme, client_):
    upstream = acme()
    sign_in_upstream(upstream, client_)
    browser = make_browser()
    left = start(browser, client_, provider="acme")
    acme(subject="oid")
    page = go_upstream(upstream, browser, left, sub="person-2")
    assert "not set up correctly" in page.content.decode()
    assert ProviderIdentity.objects.count() == 1


def test_neither_does_a_token_of_an_app(acme, client_, flow):
    upstream = acme()
    sign_in_upstream(upstream, client_)
    acme(subject="oid")
    body = {"id_token": token_for(upstream, nonce_of(flow))}
    answer = until_settled(lambda: send(flow, flow.url, body))
    assert (answer.status_code, answer.json()["reason"]) == (503, "misconfigured")
    assert ProviderIdentity.objects.count() == 1


def test_a_token_of_an_app_keeps_the_rule_too(acme, flow):
    upstream = acme()
    body = {"id_token": token_for(upstream, nonce_of(flow))}
    assert until_settled(lambda: send(flow, flow.url, body)).status_code == 200
    assert kept() == ["sub"]


def test_the_people_of_another_provider_count_where_the_accounts_are_its_own(
    acme, upstream, client_, lazyauth, settings
):
    second = upstream.config(accounts_of="acme")
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": upstream.config(), "second": second})
    sign_in_upstream(upstream, client_, provider="second")
    changed = {"acme": upstream.config(subject="oid"), "second": {**second, "subject": "oid"}}
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | changed)
    with pytest.raises(ProviderUnavailable, match="misconfigured"):
        subject_rule.require_known(get_provider("second"))


def test_an_oauth2_provider_has_the_same_error(upstream, client_, settings):
    settings.LAZYAUTH["PROVIDERS"]["acme"] = upstream.oauth2_config()
    sign_in_upstream(upstream, client_)
    settings.LAZYAUTH["PROVIDERS"]["acme"] = upstream.oauth2_config(subject="login")
    assert is_kept_out(client_)
    assert checked() == ["lazyauth.E023"]


@pytest.mark.parametrize(
    ("earlier", "now", "legacy", "is_good"),
    [
        ("openid", ["unionid", "openid"], [], False),
        ("openid", ["unionid", "openid"], ["openid"], True),
        (["unionid", "openid"], ["unionid", "openid"], [], True),
        (["unionid", "openid"], "unionid", [], False),
        (["unionid", "openid"], "unionid", ["openid"], True),
        (["unionid", "openid"], ["openid", "unionid"], [], False),
        ("unionid", ["unionid", "openid"], [], True),
        (
            {"join": ["a", "b"], "with": ":", "all": True},
            {"join": ["a", "b"], "with": "/", "all": True},
            [],
            False,
        ),
        ("userinfo:id", "id", [], False),
    ],
)
def test_a_rule_is_good_where_it_finds_whom_the_earlier_one_named(
    upstream, settings, django_user_model, earlier, now, legacy, is_good
):
    ProviderKeySet.objects.create(provider="acme", subject_rules=[written(parse(earlier))])
    user = django_user_model.objects.create_user("ada")
    ProviderIdentity.objects.create(user=user, provider="acme", subject="1")
    settings.LAZYAUTH["PROVIDERS"]["acme"] = upstream.oauth2_config(subject=now, legacy_subjects=legacy)
    assert subject_rule.has_changed(get_provider("acme")) is not is_good


@pytest.mark.parametrize(
    "rule",
    [
        "data.user.id",
        'token:["https://slack.com/team_id"][0]',
        "emails[*].value",
        "emails[primary=true].value",
        'emails[n=-3][kind="a b"]',
        ["unionid", "openid"],
        {"join": ["token:a.b", '["c d"].e'], "with": ":", "all": True},
        {"value": True},
    ],
)
def test_a_rule_is_kept_as_it_could_be_written(rule):
    assert parse(written(parse(rule))) == parse(rule)
    assert written(parse([rule] if isinstance(rule, str) else rule)) == written(parse(rule))


def test_check_provider_says_it_and_asks_nobody(acme, client_, capsys):
    upstream = acme()
    sign_in_upstream(upstream, client_)
    acme(subject="oid")
    asked = len(upstream.requests())
    with pytest.raises(SystemExit) as stopped:
        call_command("check_provider", "acme")
    assert stopped.value.code == 1
    assert "lazyauth.E023" in capsys.readouterr().out
    assert len(upstream.requests()) == asked
