"""The table of settings: what is read is typed, and what a row refuses is never read."""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import timedelta
from types import MappingProxyType

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.utils.functional import SimpleLazyObject, lazystr
from django.utils.translation import gettext_lazy

from django_lazyauth.conf import ROWS, Chain, Refused, ResourceServerSettings, SwapSettings, lazyauth_settings
from django_lazyauth.conf.nested import ALGORITHMS
from django_lazyauth.openid import provider_kinds
from django_lazyauth.users import UserResolver


def messages():
    return run_checks(tags=["lazyauth"])


@pytest.mark.parametrize("name", ROWS)
def test_every_default_is_a_value_that_its_row_allows(settings, name):
    """``ISSUER`` has none, and everything else works without being named."""
    settings.LAZYAUTH = {"ISSUER": "https://auth.example"}
    assert getattr(lazyauth_settings, name.lower()) is not ...


@pytest.mark.parametrize(
    ("value", "seconds"), [(60, 60), (0.5, 0.5), (timedelta(minutes=1), 60), (3600, 3600), (1e-6, 1e-6)]
)
def test_a_duration_is_seconds_or_a_timedelta(lazyauth, value, seconds):
    lazyauth(CODE_LIFETIME=value)
    assert lazyauth_settings.code_lifetime == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, -0.5, timedelta(0), timedelta(seconds=-1), timedelta.max, 3601, 10**400, 1e300),
        *(math.nan, math.inf, -math.inf, True, "60", None, [60]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_duration_out_of_bounds_or_of_another_kind_is_refused(lazyauth, value):
    lazyauth(CODE_LIFETIME=value)
    with pytest.raises(Refused, match=r'^LAZYAUTH\["CODE_LIFETIME"\] must be seconds .* at most 1 h\.$'):
        _ = lazyauth_settings.code_lifetime


@pytest.mark.parametrize("value", [0, -1, 10**400, True, 1.0, "1", None])
def test_an_integer_out_of_bounds_or_of_another_kind_is_refused(lazyauth, value):
    lazyauth(BACKCHANNEL_LOGOUT_ATTEMPTS=value)
    with pytest.raises(Refused, match="an integer from 1 to 100"):
        _ = lazyauth_settings.backchannel_logout_attempts


def test_zero_is_allowed_where_it_means_something(lazyauth):
    lazyauth(REFRESH_GRACE=0, NUM_PROXIES=0)
    assert lazyauth_settings.refresh_grace == timedelta(0)
    assert lazyauth_settings.num_proxies == 0
    assert messages() == []


def test_a_setting_that_stands_in_for_another_follows_it(lazyauth):
    lazyauth(REFRESH_TOKEN_LIFETIME=3600, DISCOVERY_RUNNER="celery")
    assert lazyauth_settings.vault_retention == timedelta(hours=1)
    assert lazyauth_settings.backchannel_logout_runner == "celery"
    lazyauth(VAULT_RETENTION=60, BACKCHANNEL_LOGOUT_RUNNER="threads")
    assert lazyauth_settings.vault_retention == timedelta(minutes=1)
    assert lazyauth_settings.backchannel_logout_runner == "threads"


def test_a_wrong_value_that_others_stand_in_for_is_one_error(lazyauth):
    lazyauth(REFRESH_TOKEN_LIFETIME=-1)
    assert [message.id for message in messages()] == ["lazyauth.E003"]
    with pytest.raises(Refused, match="REFRESH_TOKEN_LIFETIME"):
        _ = lazyauth_settings.vault_retention


def test_a_setting_is_read_on_each_access(settings):
    with override_settings(LAZYAUTH={**settings.LAZYAUTH, "CODE_LIFETIME": 5}):
        assert lazyauth_settings.code_lifetime == timedelta(seconds=5)
    assert lazyauth_settings.code_lifetime == timedelta(minutes=1)


@pytest.mark.parametrize("kind", [OrderedDict, MappingProxyType])
def test_any_mapping_will_do_for_the_dict(settings, kind):
    settings.LAZYAUTH = kind({**settings.LAZYAUTH, "NUM_PROXIES": 3})
    assert lazyauth_settings.num_proxies == 3


def test_lazy_texts_are_texts(lazyauth):
    lazyauth(SCOPES={"mail": gettext_lazy("Read"), "openid": lazystr("Who")})
    assert lazyauth_settings.scopes["mail"].text == "Read"
    lazyauth(ISSUER=SimpleLazyObject(lambda: "https://lazy.example"))
    assert type(lazyauth_settings.issuer) is str
    assert messages() == []


def test_code_is_a_dotted_path_or_the_thing_itself(lazyauth):
    for value in ("django_lazyauth.users.UserResolver", UserResolver):
        lazyauth(USER_RESOLVER=value)
        assert lazyauth_settings.user_resolver is UserResolver


@pytest.mark.parametrize(
    "value", ["nowhere.at.all", "os.nothing", "os", "", "a b", "tests.conf.raises.Thing"]
)
def test_a_path_that_leads_nowhere_is_refused(lazyauth, value):
    lazyauth(USER_RESOLVER=value)
    with pytest.raises(Refused, match="cannot be imported"):
        _ = lazyauth_settings.user_resolver
    assert [message.id for message in messages()] == ["lazyauth.E006"]


@pytest.mark.parametrize(
    ("values", "text", "hint"),
    [
        ({"ISUER": "x"}, 'LAZYAUTH["ISUER"] is not a setting.', 'Did you mean "ISSUER"?'),
        ({"code_lifetime": 1}, 'LAZYAUTH["code_lifetime"] is not', 'Did you mean "CODE_LIFETIME"?'),
        ({"REGISTRATION": "Lazy"}, '["REGISTRATION"] must be "immediate" or "lazy".', 'Did you mean "lazy"?'),
        ({"PROFILE": "fapi"}, '["PROFILE"] must be "fapi2"', 'Did you mean "fapi2"?'),
        (
            {"UPSTREAM_SWAP": {"path": {}}},
            '["UPSTREAM_SWAP"] holds a name that is not one of its own.',
            'Did you mean "paths"?',
        ),
        (
            {"CHAINS": [{"scope": "s", "providers": ["demo"]}, {"scope": "s", "provider": ["demo"]}]},
            '["CHAINS"][1] holds a name',
            'Did you mean "providers"?',
        ),
        ({"CHAINS": [{"scope": "s"}]}, '["CHAINS"][0] lacks "providers".', "It is a dict."),
        (
            {"CHAINS": [{"scope": "s", "client": "c", "providers": ["demo"]}]},
            'must have either "client" or "scope".',
            "It is a dict.",
        ),
        ({"RESOURCE_SERVER": {"audience": 7}}, '["RESOURCE_SERVER"]["audience"] must be', "It is an int."),
        ({"RESOURCE_SERVER": {"audiance": 7}}, '["RESOURCE_SERVER"] holds a name', 'mean "audience"?'),
        (
            {"SSO_DOMAINS": {"a.example": {"discovery": ""}}},
            '["SSO_DOMAINS"]["a.example"] holds a name',
            'mean "discovery_url"?',
        ),
    ],
)
def test_a_message_names_the_place_and_what_was_meant(lazyauth, values, text, hint):
    lazyauth(**values)
    found = [f"{message.msg} {message.hint}" for message in messages()]
    assert any(text in one and hint in one for one in found)


def test_no_message_holds_a_text_that_was_refused(lazyauth):
    """I13: a secret may stand where something else is wanted."""
    canary = "canary-7f3a"
    for name in ROWS:
        for value in (canary, [canary, 7], {canary: 7}, {"k": canary}, {"k": [canary]}, [{canary: canary}]):
            lazyauth(**{name: value})
            for message in messages():
                # The names of providers and domains are no secrets.
                assert name in (
                    "PROVIDERS",
                    "SSO_DOMAINS",
                    "SSO_ALLOWED_DOMAINS",
                    "UPSTREAM_TOKEN_CLIENTS",
                ) or (canary not in f"{message.msg} {message.hint}"), name


def test_nested_tables_made_by_hand_are_checked_alike():
    assert Chain(providers=["a"], client="c") == Chain(("a",), "c")
    assert SwapSettings({"/x/": "a"}).header == "Authorization"
    server = ResourceServerSettings(issuer="https://i.example", audience="https://a.example")
    assert server.audience == ("https://a.example",)
    with pytest.raises(ImproperlyConfigured, match=r'\["UPSTREAM_SWAP"\]\["header"\] must be the name'):
        SwapSettings(header="X Y")


def test_the_issuer_of_a_resource_server_is_ours_if_none_is_named(lazyauth):
    lazyauth(RESOURCE_SERVER={"audience": "https://a.example"})
    assert lazyauth_settings.resource_server.issuer == lazyauth_settings.issuer


@pytest.mark.parametrize("issuer", ["https://one.example", "https://two.example"])
def test_a_site_that_names_no_resource_server_takes_its_own_tokens(lazyauth, issuer):
    lazyauth(ISSUER=issuer)
    assert lazyauth_settings.resource_server.issuer == issuer


def test_resource_servers_accept_the_algorithms_of_providers():
    assert set(ALGORITHMS) < set(provider_kinds.ALGORITHMS)


@pytest.mark.parametrize("name", ["mail read", " mail", "mail\t", "", 'ma"il', "ma\\il", "mäil", 7])
@pytest.mark.parametrize(
    "values",
    [
        lambda name: {"SCOPES": {name: "Read"}},
        lambda name: {"DEFAULT_CLIENT_SCOPES": [name]},
        lambda name: {"CHAINS": [{"scope": name, "providers": ["demo"]}]},
        lambda name: {"SCOPE_HIERARCHY": {name: ["openid"]}},
    ],
    ids=["SCOPES", "DEFAULT_CLIENT_SCOPES", "CHAINS", "SCOPE_HIERARCHY"],
)
def test_what_no_request_could_name_is_no_scope(lazyauth, values, name):
    """RFC 6749 §3.3: a blank separates two scopes, so one with a blank in it could never be asked for."""
    lazyauth(**values(name))
    assert [message.id for message in messages()] == ["lazyauth.E003"]


@pytest.mark.parametrize(
    "issuer",
    [
        "https://user:canary@auth.example/",
        "https://AUTH.example/",
        "HTTPS://auth.example/",
        "https://auth.example:443/",
        "http://auth.example:80/",
        "https://auth.example:/",
        "https://auth.example/a/../b",
        "https://auth.example/./b",
        "https://auth.example/%2E%2e/b",
        "https://auth.example/a|b",
        "https://auth.example/a\\b",
    ],
)
def test_an_issuer_that_a_parser_would_write_otherwise_is_refused(lazyauth, issuer):
    """RFC 8414 §3.3: clients compare it letter by letter, and a password in it would be in each document."""
    lazyauth(ISSUER=issuer)
    (message,) = [one for one in messages() if one.id == "lazyauth.E001"]
    assert "canary" not in str(message)


@pytest.mark.parametrize(
    "issuer",
    [
        "https://auth.example",
        "https://auth.example/",
        "https://auth.example:8443/o~a%20b",
        "http://[::1]:8000/",
    ],
)
def test_an_issuer_in_normal_form_is_taken_as_it_stands(lazyauth, issuer):
    lazyauth(ISSUER=issuer)
    assert lazyauth_settings.issuer == issuer


@pytest.mark.parametrize("resource", ["https://api example", "", " https://api.example", 7])
def test_what_introspection_is_for_is_a_resource_indicator(lazyauth, resource):
    """RFC 8707 §2: one with a blank could never be named, so the client would see nothing."""
    lazyauth(INTROSPECTION_CLIENTS={"tool": [resource]})
    assert [message.id for message in messages()] == ["lazyauth.E003"]


@pytest.mark.parametrize(
    "scheme", ["javascript", "data", "file", "http", "https", "blob", "about", "ws", "ftp", "vbscript"]
)
def test_a_scheme_that_opens_no_app_is_none_of_an_app(lazyauth, scheme):
    """RFC 9700 §2.1: such a redirect URI runs or reads something in the browser."""
    lazyauth(APP_SCHEMES=["cursor", scheme])
    (message,) = messages()
    assert (message.id, message.hint) == ("lazyauth.E003", f'"{scheme}" opens no app.')
