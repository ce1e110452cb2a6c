"""System checks: each broken or weak setting has its own id."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.checks import run_checks

from django_lazyauth.checks import TAG
from django_lazyauth.providers.base import Provider
from tests.support.mail import mail_settings
from tests.web.site import register_client


def ids(*, deploy: bool = False) -> set[str]:
    return {message.id for message in run_checks(tags=[TAG], include_deployment_checks=deploy)}


class CommitsWithoutFinalize(Provider):
    emits_commit = True


class NotAResolver:
    pass


class CannotBeMade:
    def __init__(self):
        raise OSError("secret-host is down")


class RegistersOnly:
    def register_client(self, attrs): ...


class RegistersAndFinds(RegistersOnly):
    def get_client(self, client_id): ...


def small_rsa_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_the_settings_of_the_tests_are_sound():
    assert ids() == set()


@pytest.mark.parametrize(
    ("change", "check_id"),
    [
        ({"ISSUER": None}, "lazyauth.E001"),
        ({"ISSUER": "auth.example"}, "lazyauth.E001"),
        ({"ISSUER": "https://auth.example/?tenant=1"}, "lazyauth.E001"),
        ({"ISSUER": "https://\u00e4uth.example/"}, "lazyauth.E001"),
        ({"ISUER": "https://auth.example"}, "lazyauth.E002"),
        ({"REGISTRATION": "eager"}, "lazyauth.E003"),
        ({"CODE_LIFETIME": "60"}, "lazyauth.E003"),
        ({"NUM_PROXIES": -1}, "lazyauth.E003"),
        ({"PROVIDERS": []}, "lazyauth.E003"),
        ({"VAULT_KEYS": ["short:YWJj"]}, "lazyauth.E004"),
        ({"VAULT_KEYS": ["a:" + base64.b64encode(b"k" * 32).decode()] * 2}, "lazyauth.E004"),
        ({"SIGNING_KEYS": ["not a key"]}, "lazyauth.E005"),
        ({"SIGNING_KEYS": []}, "lazyauth.E005"),
        ({"USER_RESOLVER": "nowhere.Resolver"}, "lazyauth.E006"),
        ({"USER_RESOLVER": "tests.site.test_checks.NotAResolver"}, "lazyauth.E006"),
        ({"CIPHER": "nowhere.Cipher"}, "lazyauth.E007"),
        ({"CIPHER": "tests.site.test_checks.NotAResolver"}, "lazyauth.E007"),
        ({"PROVIDERS": {"x": {"class": "nowhere.Provider"}}}, "lazyauth.E008"),
        ({"PROVIDERS": {"x": {"issuer": "https://op.example"}}}, "lazyauth.E008"),
        ({"PROVIDERS": {"x": {"type": "password", "isuer": "x"}}}, "lazyauth.E008"),
        ({"PROVIDERS": {"x": {"type": "password", "registration": "eager"}}}, "lazyauth.E003"),
        (
            {"PROVIDERS": {"x": {"class": "tests.site.test_checks.CommitsWithoutFinalize"}}},
            "lazyauth.E009",
        ),
        ({"REGISTRATION_POLICY": "anybody"}, "lazyauth.E003"),
        ({"REGISTRATIONS_PER_NETWORK": -1}, "lazyauth.E003"),
        ({"MAX_UNUSED_CLIENTS": 0}, "lazyauth.E003"),
        ({"UNUSED_CLIENT_LIFETIME": "a month"}, "lazyauth.E003"),
        ({"REGISTRATION_STORE": "nowhere.Store"}, "lazyauth.E011"),
        ({"REGISTRATION_STORE": "tests.site.test_checks.CannotBeMade"}, "lazyauth.E011"),
        ({"REGISTRATION_STORE": "tests.site.test_checks.NotAResolver"}, "lazyauth.E012"),
        ({"REGISTRATION_STORE": "tests.site.test_checks.RegistersOnly"}, "lazyauth.E014"),
        ({"REGISTRATION_STORE": "tests.site.test_checks.RegistersAndFinds"}, "lazyauth.W002"),
    ],
)
def test_a_broken_setting_is_an_error_with_its_own_id(lazyauth, change, check_id):
    lazyauth(**change)
    assert check_id in ids()


def test_a_small_rsa_key_does_not_sign(lazyauth):
    lazyauth(SIGNING_KEYS=[small_rsa_key()])
    assert "lazyauth.E005" in ids()


def test_no_message_repeats_a_key(lazyauth):
    """I13."""
    lazyauth(SIGNING_KEYS=["-----BEGIN canary-in-the-key-----"], VAULT_KEYS=["id:canaryInTheVaultKey"])
    messages = run_checks(tags=[TAG])
    assert messages
    assert not any("canary" in str(message).lower() for message in messages)


SOUND = {
    "SESSION_COOKIE_SECURE": True,
    "CACHES": {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://x",
            "OPTIONS": {"socket_timeout": 0.5, "socket_connect_timeout": 0.5},
        }
    },
    **mail_settings("django.core.mail.backends.smtp.EmailBackend"),
}


@pytest.fixture
def production(settings):
    for name, value in SOUND.items():
        setattr(settings, name, value)


def test_sound_settings_may_be_deployed(production):
    assert ids(deploy=True) == set()


@pytest.mark.parametrize(
    ("change", "check_id"),
    [
        ({"ISSUER": "http://auth.example"}, "lazyauth.E101"),
        ({"ALLOW_LOOPBACK_UPSTREAMS": True}, "lazyauth.E102"),
        (
            {"PROVIDERS": {"x": {"issuer": "http://127.0.0.1:1", "client_id": "c", "client_secret": "s"}}},
            "lazyauth.E104",
        ),
        ({"VAULT_KEYS": []}, "lazyauth.E106"),
        ({"SIGNING_KEYS": []}, "lazyauth.E107"),
        ({"CODE_LIFETIME": 601}, "lazyauth.E108"),
        ({"ACCESS_TOKEN_LIFETIME": timedelta(hours=2)}, "lazyauth.E109"),
        ({"FLOW_LIFETIME": timedelta(hours=2)}, "lazyauth.E110"),
        ({"REFRESH_TOKEN_IDLE_LIFETIME": timedelta(days=91)}, "lazyauth.E111"),
        ({"REFRESH_TOKEN_LIFETIME": timedelta(days=401)}, "lazyauth.E112"),
        ({"REGISTRATIONS_PER_NETWORK": 100_000}, "lazyauth.E114"),
        ({"MAX_UNUSED_CLIENTS": 10_000_000}, "lazyauth.E115"),
        ({"UNUSED_CLIENT_LIFETIME": timedelta(days=401)}, "lazyauth.E116"),
    ],
)
def test_a_weak_setting_must_not_be_deployed(lazyauth, production, change, check_id):
    lazyauth(**change)
    assert check_id in ids(deploy=True)


@pytest.mark.parametrize(
    ("redis", "is_found"),
    [
        ({"LOCATION": "redis://x"}, True),
        ({"LOCATION": "redis://x", "OPTIONS": {"socket_timeout": 1}}, True),
        ({"LOCATION": ["redis://x?socket_timeout=1&socket_connect_timeout=1"]}, False),
        ({"OPTIONS": {"SOCKET_TIMEOUT": 1, "SOCKET_CONNECT_TIMEOUT": 1}}, False),
    ],
)
@pytest.mark.parametrize(
    "backend", ["django.core.cache.backends.redis.RedisCache", "django_redis.cache.RedisCache"]
)
def test_a_redis_that_may_hang_for_ever_is_named(settings, production, backend, redis, is_found):
    """Threat model, operations: Redis down → answers come all the same, also where it accepts and says nothing."""
    settings.CACHES = {"default": {"BACKEND": backend, **redis}}
    assert ids(deploy=True) == ({"lazyauth.W027"} if is_found else set())


def test_sessions_that_a_cache_may_lose_are_named(settings, production):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    assert ids(deploy=True) == {"lazyauth.W028"}


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("SESSION_COOKIE_SECURE", False, "lazyauth.E103"),
        *(
            ("CACHES", {"default": {"BACKEND": f"django.core.cache.backends.{backend}"}}, "lazyauth.E105")
            for backend in ("locmem.LocMemCache", "filebased.FileBasedCache")
        ),
        *(
            (name, value, "lazyauth.E113")
            for name, value in mail_settings("django.core.mail.backends.console.EmailBackend").items()
        ),
    ],
)
def test_a_weak_setting_of_the_site_must_not_be_deployed(
    settings, lazyauth, production, name, value, check_id
):
    lazyauth(PROVIDERS={"password": {"type": "password"}})
    setattr(settings, name, value)
    assert check_id in ids(deploy=True)


@pytest.mark.parametrize("issuer", ["auth.example", "https://auth.example/?a=b", 7, "ftp://auth.example/"])
def test_the_hint_about_the_issuer_shows_what_readme_shows(lazyauth, issuer):
    """At the root of the origin the issuer ends in a slash, with a path it does not (decision 62)."""
    lazyauth(ISSUER=issuer)
    [hint] = [message.hint for message in run_checks(tags=[TAG]) if message.id == "lazyauth.E001"]
    assert '"https://auth.example.org/"' in hint
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert '"ISSUER": "https://auth.example.org/"' in readme


@pytest.mark.django_db
def test_clients_that_django_oauth_toolkit_served_and_we_do_not_are_named():
    """Spec 11: who moves in learns it before the people of those clients do."""
    for client_id, grant, uris in (
        ("good", "authorization-code", "https://client.example/cb http://127.0.0.1/cb"),
        ("machine", "client-credentials", ""),
        ("plain", "authorization-code", "https://client.example/cb http://client.example/cb"),
        ("app", "authorization-code", "com.example.app:/cb"),
        ("short", "authorization-code", "myapp:/cb"),
        ("wild", "authorization-code", "https://*.client.example/cb"),
        ("old", "implicit", "https://client.example/cb"),
        ("typed", "password", ""),
    ):
        register_client(client_id=client_id, authorization_grant_type=grant, redirect_uris=uris)
    register_client(client_id="stranger", redirect_uris="http://client.example/cb", registration_source="dcr")
    found = [one.msg for one in run_checks(databases=["default"]) if one.id == "lazyauth.W029"]
    assert [message.split("'")[1] for message in found] == ["plain", "short", "wild", "old", "typed"]
    assert "http://client.example/cb" in found[0]
    assert "implicit" in found[3]
