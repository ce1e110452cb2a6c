"""Keys as ToolHive writes them: sessions of 26 characters, users of its own, identities under ``provider:…``."""

from __future__ import annotations

import base64
import json
import secrets
from uuid import NAMESPACE_URL, uuid4, uuid5

import pytest

from django_lazyauth.models import ProviderIdentity, UpstreamToken
from tests.conftest import register

from .rows import bundle_of, key_digest, make_identity, make_user
from .test_redis import deployment  # noqa: F401 - a fixture

pytestmark = [pytest.mark.services, pytest.mark.django_db]


def go_text() -> str:
    """Return what Go's ``rand.Text`` returns."""
    return base64.b32encode(secrets.token_bytes(17)).decode()[:26]


class ToolHive:
    def __init__(self, deployment) -> None:  # noqa: F811 - the fixture
        self.deployment = deployment
        self.server, self.prefix, self.migrate = deployment.server, deployment.prefix, deployment.migrate

    def tokens(self, subject: str, *, user_id: str | None = None, **changes) -> str:
        """Write the value of ``storedUpstreamTokens``."""
        session, user_id = go_text(), user_id or str(uuid4())
        value = {
            "provider_id": "oidc",
            "access_token": f"access-{session}",
            "refresh_token": f"refresh-{session}",
            "id_token": "",
            "expires_at": 0,
            "session_expires_at": 0,
            "user_id": user_id,
            "upstream_subject": subject,
            "client_id": str(uuid4()),
        }
        self.deployment.write(session, json.dumps(value | changes))
        self.server.sadd(f"{self.prefix}user:upstream:{user_id}", self.deployment.key(session))
        return session

    def identity(self, subject: str, *, user_id: str, provider: str = "oidc") -> str:
        """Write the value of ``storedProviderIdentity``."""
        key = f"{self.prefix}provider:{len(provider)}:{provider}:{subject}"
        value = {"user_id": user_id, "provider_id": provider, "provider_subject": subject, "linked_at": 1}
        self.server.set(key, json.dumps(value | {"last_used_at": -62_135_596_800}))
        self.server.sadd(f"{self.prefix}user:providers:{user_id}", key)
        return key


def session_of(session: str):
    return uuid5(NAMESPACE_URL, f"lazyauth:redis:{session}")


@pytest.fixture
def toolhive(deployment) -> ToolHive:  # noqa: F811 - the fixture
    return ToolHive(deployment)


def test_a_session_of_another_system_gets_an_id_of_ours_and_the_owner_of_its_identity(toolhive):
    """The same id in every run, so that a second run finds what the first one wrote."""
    ada = make_user()
    make_identity(ada, "corp", subject="ada@idp")
    session = toolhive.tokens("ada@idp")
    ran = toolhive.migrate()
    assert (ran.status, ran.report["moved"]) == (0, 1)
    new = bundle_of(session_of(session))
    assert (new.user_id, new.subject, new.refresh_token) == (ada.pk, "ada@idp", f"refresh-{session}")
    assert new.expires_at is None
    assert UpstreamToken.objects.get().client.client_id == "moved-from-redis"
    assert toolhive.deployment.names() == set()


def test_a_client_that_is_known_here_keeps_its_tokens(toolhive):
    make_identity(make_user(), "corp", subject="ada@idp")
    client = register(client_id="known")
    toolhive.tokens("ada@idp", client_id="known")
    assert toolhive.migrate().status == 0
    assert UpstreamToken.objects.get().client == client


def test_a_user_who_is_nobody_here_is_reported_and_the_next_run_moves_what_it_can(toolhive):
    session = toolhive.tokens("ada@idp")
    ran = toolhive.migrate()
    assert ran.status == 1
    assert ran.report["problems"] == [
        {"key": key_digest(session, toolhive.prefix), "reason": "user_of_another_system"}
    ]
    make_identity(make_user(), "corp", subject="ada@idp")  # That person signed in here.
    assert toolhive.migrate().report["moved"] == 1


def test_the_tokens_of_somebody_deactivated_stay_dead(toolhive):
    make_identity(make_user(is_active=False), "corp", subject="ada@idp")
    session = toolhive.tokens("ada@idp")
    assert toolhive.migrate().report["dead"] == 1
    assert bundle_of(session_of(session)).is_dead


def test_an_identity_of_a_user_of_ours_moves_and_the_tokens_follow_in_the_same_run(toolhive):
    ada = make_user()
    key = toolhive.identity("ada@idp", user_id=str(ada.pk))
    session = toolhive.tokens("ada@idp")
    ran = toolhive.migrate()
    assert ran.status == 0
    assert ran.report["identities"] == {"added": 1, "existed": 0, "pruned": 0}
    assert ProviderIdentity.objects.get(provider="corp", subject="ada@idp").user == ada
    assert bundle_of(session_of(session)).user_id == ada.pk
    assert toolhive.server.exists(key), "the old identity stays until it is pruned"
    assert toolhive.migrate().report["identities"]["existed"] == 1
    assert toolhive.migrate("--prune").status == 0
    assert toolhive.deployment.names() == set()


def test_an_identity_of_nobody_here_is_reported_by_digest(toolhive):
    key = toolhive.identity("ada:with:colons", user_id=str(uuid4()))
    ran = toolhive.migrate()
    assert (ran.status, ran.report["reasons"]) == (1, {"user_of_another_system": 1})
    assert "ada" not in ran.out + ran.err
    assert toolhive.server.exists(key)
    assert not ProviderIdentity.objects.exists()


def test_an_identity_that_belongs_to_another_user_here_is_not_taken(toolhive):
    """I5"""
    ada, eve = make_user(), make_user("eve")
    make_identity(ada, "corp", subject="ada@idp")
    toolhive.identity("ada@idp", user_id=str(eve.pk))
    assert toolhive.migrate().report["reasons"] == {"identity_of_another_user": 1}
    assert ProviderIdentity.objects.get().user == ada


def test_an_identity_under_a_logical_name_is_not_claimed(toolhive):
    toolhive.identity("ada@idp", user_id=str(make_user().pk), provider="github")
    ran = toolhive.migrate("--provider", "corp")
    assert (ran.status, ran.report["unclaimed"]) == (0, 1)
    assert not ProviderIdentity.objects.exists()


def test_keys_of_the_newer_format_are_counted_and_left(toolhive):
    for provider in ("corp", "github"):
        toolhive.server.set(f"{toolhive.prefix}upstream:{go_text()}:{provider}", "{}")
    ran = toolhive.migrate()
    assert (ran.status, ran.report["newer"], ran.report["moved"]) == (0, 2, 0)
    assert len(toolhive.deployment.names()) == 2
    assert "2 keys upstream:<session>:<provider>" in toolhive.migrate(as_json=False).out


@pytest.mark.parametrize("value", ["[]", "{", '{"provider_id": "oidc"}', '{"provider_subject": 7}'])
def test_an_identity_that_makes_no_sense_stands_alone(toolhive, value):
    toolhive.server.set(f"{toolhive.prefix}provider:4:oidc:x", value)
    make_identity(make_user(), "corp", subject="ada@idp")
    toolhive.tokens("ada@idp")
    ran = toolhive.migrate()
    assert (ran.status, ran.report["moved"], ran.report["failed"]) == (1, 1, 1)


def test_a_limit_counts_for_identities_and_for_tokens(toolhive):
    for number in range(4):
        user = make_user(f"u{number}")
        toolhive.identity(f"s{number}", user_id=str(user.pk))
        toolhive.deployment.put(user, register(client_id=f"c{number}"), upstream_subject=f"s{number}")
    ran = toolhive.migrate("--limit", "2", "--batch-size", "1")
    assert (ran.report["identities"]["added"], ran.report["moved"]) == (2, 2)
    assert toolhive.migrate("--dry-run").report["moved"] == 2


def test_a_dry_run_says_the_same_and_writes_nothing(toolhive):
    make_identity(make_user(), "corp", subject="ada@idp")
    toolhive.tokens("ada@idp")
    ran = toolhive.migrate("--dry-run")
    assert (ran.status, ran.report["moved"]) == (0, 1)
    assert not UpstreamToken.objects.exists()
