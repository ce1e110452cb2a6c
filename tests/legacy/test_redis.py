"""``--source redis`` against a real server: keys of a prefix of their own, deleted when the test is over."""

from __future__ import annotations

import json
import os
import secrets
from datetime import timedelta
from uuid import UUID

import pytest
import redis
from django.utils import timezone

from django_lazyauth.models import UpstreamToken
from django_lazyauth.models.fields import uuid7

from .rows import bundle_of, epoch, from_epoch, in_an_hour, key_digest, make_user, migrate

pytestmark = [pytest.mark.services, pytest.mark.django_db]

URL = os.environ.get("LAZYAUTH_TEST_REDIS_URL", "redis://127.0.0.1:6379/9")


class Deployment:
    """What an earlier deployment kept under one prefix."""

    def __init__(self, server: redis.Redis, prefix: str) -> None:
        self.server, self.prefix = server, prefix

    def key(self, session_id) -> str:
        return f"{self.prefix}upstream:{session_id}"

    def value(self, session_id, user, client, **changes) -> dict:
        return {
            "provider_id": "oidc",
            "access_token": f"access-{session_id}",
            "refresh_token": f"refresh-{session_id}",
            "id_token": f"id-{session_id}",
            "expires_at": epoch(in_an_hour()),
            "user_id": str(user.pk),
            "upstream_subject": f"sub-of-{user.username}",
            "client_id": client.client_id,
            **changes,
        }

    def put(self, user, client, *, ttl: int | None = 3600, **changes) -> UUID:
        session_id = uuid7()
        self.write(session_id, json.dumps(self.value(session_id, user, client, **changes)), ttl)
        return session_id

    def write(self, session_id, value, ttl: int | None = 3600) -> None:
        """Write a value, and its key into both indexes."""
        self.server.set(self.key(session_id), value, ex=ttl)
        self.server.sadd(f"{self.prefix}upstream:idx:{session_id}", self.key(session_id))

    def names(self) -> set[str]:
        return {key.decode() for key in self.server.scan_iter(f"{glob(self.prefix)}*", count=5000)}

    def migrate(self, *arguments: str, **options):
        return migrate("--source", "redis", "--url", URL, "--prefix", self.prefix, *arguments, **options)


def glob(text: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in text)


@pytest.fixture
def deployment():
    server = redis.Redis.from_url(URL)
    try:
        server.ping()
    except redis.ConnectionError:
        pytest.skip("needs Redis as a service")
    found = Deployment(server, f"t{secrets.token_hex(4)}:{{site:one}}:")
    yield found
    for key in found.names():
        server.delete(key)
    server.close()


@pytest.fixture
def ada(db):
    return make_user()


def test_a_key_moves_whole_and_goes(deployment, ada, application):
    session = deployment.put(ada, application, scope="openid email", token_type="DPoP")
    ran = deployment.migrate()
    assert (ran.status, ran.report["moved"]) == (0, 1)
    new = bundle_of(session)
    assert (new.access_token, new.refresh_token, new.id_token) == tuple(
        f"{kind}-{session}" for kind in ("access", "refresh", "id")
    )
    assert (new.scope, new.token_type, new.subject) == ("openid email", "DPoP", "sub-of-ada")
    assert (new.user_id, new.client_id) == (ada.pk, application.pk)
    assert deployment.names() == set()


@pytest.mark.parametrize("ttl", [1000, 86_400, 7_776_000])
def test_the_time_that_a_key_had_left_is_kept_to_the_second(deployment, ada, application, ttl):
    session = deployment.put(ada, application, ttl=ttl)
    ends = timezone.now() + timedelta(milliseconds=deployment.server.pttl(deployment.key(session)))
    deployment.migrate()
    assert abs(UpstreamToken.objects.get().retain_until - ends) < timedelta(seconds=1)


def test_a_key_that_ends_after_the_calendar_moves_too(deployment, ada, application):
    session = deployment.put(ada, application, ttl=None)
    deployment.server.pexpire(deployment.key(session), 9_000_000_000_000_000_000)
    assert deployment.migrate().status == 0
    assert UpstreamToken.objects.get().retain_until.year > 2100


def test_a_key_without_an_end_is_kept_as_long_as_a_new_bundle(deployment, ada, application, lazyauth):
    lazyauth(VAULT_RETENTION=7200)
    deployment.put(ada, application, ttl=None)
    deployment.migrate()
    left = UpstreamToken.objects.get().retain_until - timezone.now()
    assert timedelta(seconds=7100) < left <= timedelta(seconds=7200)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (1_700_000_000, from_epoch(1_700_000_000)),
        ("1700000000", from_epoch(1_700_000_000)),
        (1_700_000_000.0, from_epoch(1_700_000_000)),
        ("2023-11-14T22:13:20Z", from_epoch(1_700_000_000)),
        ("2023-11-15T00:13:20+02:00", from_epoch(1_700_000_000)),
        ("2023-11-14T22:13:20", from_epoch(1_700_000_000)),
        (0, None),
        (None, None),
        ("", None),
        (-62_135_596_800, None),
        ("0001-01-01T00:00:00Z", None),
        (1_700_000_000_000, None),
        (10**30, None),
        (1e308, None),
        (float("nan"), None),
        ("9999-12-31T23:59:59Z", None),
    ],
)
def test_an_expiry_is_kept_to_the_second_however_it_is_written(deployment, ada, application, told, kept):
    """Also one that is over long ago: the refresh token may live."""
    session = deployment.put(ada, application, expires_at=told, refresh_expires_at=told)
    assert deployment.migrate().status == 0
    new = bundle_of(session)
    assert (new.expires_at, new.refresh_expires_at) == (kept, kept)


@pytest.mark.parametrize(
    ("told", "kept"), [("a b", "a b"), (["a", "b"], "a b"), (None, ""), ([], ""), ("", "")]
)
def test_the_scope_is_what_it_was(deployment, ada, application, told, kept):
    """I20"""
    session = deployment.put(ada, application, scope=told)
    assert deployment.migrate().status == 0
    assert bundle_of(session).scope == kept


CORRUPT = [
    ("{", "not_json"),
    (b"\xff\xfe\x00garbage", "not_json"),
    ("[" * 100_000, "not_json"),
    ("9" * 5000, "not_json"),
    ("[]", "malformed"),
    ("7", "malformed"),
    ('"text"', "malformed"),
    ("x" * (1024 * 1024 + 1), "malformed"),
]
WRONG = [
    ({"access_token": 7}, "malformed"),
    ({"access_token": "nul\x00"}, "malformed"),
    ({"refresh_token": "\ud800"}, "malformed"),
    ({"expires_at": "tomorrow"}, "malformed"),
    ({"expires_at": [1]}, "malformed"),
    ({"expires_at": True}, "malformed"),
    ({"upstream_subject": "s" * 256}, "malformed"),
    ({"upstream_subject": {"a": 1}}, "malformed"),
    ({"scope": {"a": 1}}, "malformed"),
    ({"token_type": "t" * 33}, "malformed"),
    ({"provider_id": ["oidc"]}, "malformed"),
    ({"client_id": {"$ne": 1}}, "malformed"),
    ({"access_token": "", "refresh_token": ""}, "no_tokens"),
    ({"upstream_subject": ""}, "subject_missing"),
    ({"user_id": ""}, "user_unknown"),
    ({"user_id": "999999999"}, "user_unknown"),
    ({"user_id": "9" * 40}, "user_unknown"),
    ({"user_id": "ada"}, "user_unknown"),
    ({"client_id": "nobody"}, "client_unknown"),
    ({"client_id": None}, "client_unknown"),
]


@pytest.mark.parametrize(("value", "reason"), CORRUPT)
def test_a_value_that_is_no_bundle_is_told_by_digest_and_stays(deployment, ada, application, value, reason):
    bad = uuid7()
    deployment.write(bad, value)
    good = deployment.put(ada, application)
    ran = deployment.migrate()
    assert ran.status == 1
    assert ran.report["problems"] == [{"key": key_digest(bad, deployment.prefix), "reason": reason}]
    assert bundle_of(good)
    assert deployment.server.exists(deployment.key(bad))


@pytest.mark.parametrize(("changes", "reason"), WRONG)
def test_a_bundle_that_makes_no_sense_is_told_by_digest_and_stays(
    deployment, ada, application, changes, reason
):
    bad, good = deployment.put(ada, application, **changes), deployment.put(ada, application)
    ran = deployment.migrate()
    assert ran.status == 1
    assert ran.report["problems"] == [{"key": key_digest(bad, deployment.prefix), "reason": reason}]
    assert bundle_of(good)
    assert deployment.server.exists(deployment.key(bad))


def test_a_session_that_is_no_uuid_stays(deployment, ada, application):
    deployment.write("abc", json.dumps(deployment.value("abc", ada, application)))
    assert deployment.migrate().report["reasons"] == {"session_malformed": 1}


def test_a_key_whose_name_is_no_text_stays(deployment, ada, application):
    name = f"{deployment.prefix}upstream:".encode() + b"\xff\xfe"
    deployment.server.set(name, "{}")
    assert deployment.migrate().status == 1
    deployment.server.delete(name)


def test_a_key_of_another_kind_is_a_reason(deployment, ada, application):
    odd = uuid7()
    deployment.server.hset(deployment.key(odd), "access_token", "x")
    assert deployment.migrate().report["problems"] == [
        {"key": key_digest(odd, deployment.prefix), "reason": "not_text"}
    ]


def test_what_a_sign_out_left_is_nothing_to_move(deployment, ada, application):
    gone = uuid7()
    deployment.write(gone, "null")
    ran = deployment.migrate()
    assert (ran.status, ran.report["read"]) == (0, 0)
    assert deployment.server.exists(deployment.key(gone))


def test_logical_names_new_keys_and_indexes_are_not_claimed(deployment, ada, application):
    """The cross-provider guard, and the keys that only look alike."""
    named = deployment.put(ada, application, provider_id="github")
    new = f"{deployment.prefix}upstream:{uuid7()}:corp"
    deployment.server.set(new, json.dumps(deployment.value("x", ada, application)))
    before = deployment.names()
    ran = deployment.migrate("--provider", "corp")
    assert (ran.status, ran.report["unclaimed"], ran.report["moved"]) == (0, 1, 0)
    assert deployment.names() == before
    assert deployment.server.exists(deployment.key(named))
    assert not UpstreamToken.objects.exists()


def test_other_prefixes_are_somebody_elses(deployment, ada, application):
    other = Deployment(deployment.server, deployment.prefix + "x:")
    pattern = Deployment(deployment.server, deployment.prefix.replace("{", "?"))
    theirs = other.put(ada, application)
    assert deployment.migrate().report["read"] == 0
    deployment.put(ada, application)
    assert pattern.migrate().report["read"] == 0
    assert deployment.server.exists(other.key(theirs))


def test_the_indexes_forget_what_moved_and_nothing_else(deployment, ada, application):
    moved = deployment.put(ada, application)
    stays = deployment.put(ada, application, provider_id="github")
    reverse = f"{deployment.prefix}user:upstream:{ada.pk}"
    deployment.server.sadd(reverse, deployment.key(moved), deployment.key(stays), "something else")
    assert deployment.migrate().status == 0
    assert deployment.server.smembers(reverse) == {deployment.key(stays).encode(), b"something else"}
    assert not deployment.server.exists(f"{deployment.prefix}upstream:idx:{moved}")
    assert deployment.server.exists(f"{deployment.prefix}upstream:idx:{stays}")


def test_the_new_row_wins_and_the_key_is_retired(deployment, ada, application):
    session = deployment.put(ada, application)
    deployment.migrate()
    before = UpstreamToken.objects.values().get()
    deployment.write(session, json.dumps(deployment.value(session, ada, application, access_token="late")))
    ran = deployment.migrate()
    assert (ran.status, ran.report["existed"]) == (0, 1)
    assert UpstreamToken.objects.values().get() == before
    assert not deployment.server.exists(deployment.key(session))


def test_a_key_that_old_code_rewrites_meanwhile_moves_as_it_is_then(
    deployment, ada, application, monkeypatch
):
    """No loss: a refresh token that rotated between our read and our delete is the one that arrives."""
    from django_lazyauth.legacy.sources.redis import RedisSource

    session = deployment.put(ada, application)
    retire, calls = RedisSource.retire, []

    def rotate_first(self, rows):
        if not calls:
            value = deployment.value(session, ada, application, refresh_token="rotated")
            deployment.write(session, json.dumps(value))
        calls.append(len(rows))
        return retire(self, rows)

    monkeypatch.setattr(RedisSource, "retire", rotate_first)
    ran = deployment.migrate()
    assert (ran.status, ran.report["read"], ran.report["moved"]) == (0, 1, 1)
    assert len(calls) == 2
    assert bundle_of(session).refresh_token == "rotated"
    assert not deployment.server.exists(deployment.key(session))


def test_a_key_that_never_stands_still_is_a_reason(deployment, ada, application, monkeypatch):
    from django_lazyauth.legacy.sources.redis import RedisSource

    session = deployment.put(ada, application)
    retire = RedisSource.retire

    def rotate_first(self, rows):
        value = deployment.value(session, ada, application, refresh_token=secrets.token_hex(4))
        deployment.write(session, json.dumps(value))
        return retire(self, rows)

    monkeypatch.setattr(RedisSource, "retire", rotate_first)
    ran = deployment.migrate()
    assert (ran.status, ran.report["reasons"]) == (1, {"changed_meanwhile": 1})
    assert deployment.server.exists(deployment.key(session))
    assert not UpstreamToken.objects.exists()


def test_the_keys_of_somebody_inactive_stay_dead(deployment, application):
    gone = make_user("gone", is_active=False)
    session = deployment.put(gone, application)
    assert deployment.migrate().report["dead"] == 1
    assert bundle_of(session).is_dead


def test_a_dry_run_and_a_limit_leave_the_rest(deployment, ada, application):
    for _ in range(9):
        deployment.put(ada, application)
    before = deployment.names()
    assert deployment.migrate("--dry-run").report["moved"] == 9
    assert deployment.names() == before
    assert not UpstreamToken.objects.exists()
    assert deployment.migrate("--limit", "4", "--batch-size", "3").report["moved"] == 4
    assert deployment.migrate("--batch-size", "2").report["moved"] == 5


def test_more_than_ten_thousand_keys_move_with_what_stands_between_them(deployment, application):
    """12,000 keys of 50 people, among 2,000 that must not be claimed and 100 that are corrupt."""
    people = [make_user(f"user{number}") for number in range(50)]
    pipeline = deployment.server.pipeline(transaction=False)
    wanted, ends = {}, {}
    for number in range(12_000):
        session, user, ttl = uuid7(), people[number % 50], 1000 + number
        pipeline.set(
            deployment.key(session), json.dumps(deployment.value(session, user, application)), ex=ttl
        )
        wanted[session], ends[session] = user.pk, timezone.now() + timedelta(seconds=ttl)
    kept = []
    for number in range(2_100):
        session = uuid7()
        value = deployment.value(session, people[0], application, provider_id="github")
        pipeline.set(deployment.key(session), json.dumps(value) if number < 2000 else "corrupt", ex=9999)
        kept.append(session)
    pipeline.execute()
    written = timezone.now()
    ran = deployment.migrate()
    assert ran.status == 1
    assert (ran.report["moved"], ran.report["unclaimed"], ran.report["failed"]) == (12_000, 2000, 100)
    assert ran.report["reasons"] == {"not_json": 100}
    stored = {
        session: (user, retain)
        for session, user, retain in UpstreamToken.objects.values_list(
            "session_id", "user_id", "retain_until"
        )
    }
    assert {session: user for session, (user, _) in stored.items()} == wanted
    # What was put in at the beginning of the pipeline was written within the time that it took.
    slack = timedelta(seconds=1) + (written - min(ends.values()) + timedelta(seconds=1000))
    assert all(abs(retain - ends[session]) < slack for session, (_, retain) in stored.items())
    assert len(deployment.names()) == 2_100
    assert bundle_of(next(iter(wanted))).refresh_token == f"refresh-{next(iter(wanted))}"


def test_the_url_may_come_from_the_environment(deployment, ada, application, monkeypatch):
    session = deployment.put(ada, application)
    monkeypatch.setenv("LAZYAUTH_LEGACY_REDIS_URL", URL)
    assert migrate("--source", "redis", "--prefix", deployment.prefix).status == 0
    assert bundle_of(session)


@pytest.mark.parametrize(
    "url", ["redis://:canary-password@127.0.0.1:1/0", "http://:canary-password@x/", "canary-password", ""]
)
def test_a_server_that_is_not_there_is_said_without_its_password(db, url, monkeypatch):
    monkeypatch.delenv("LAZYAUTH_LEGACY_REDIS_URL", raising=False)
    ran = migrate("--source", "redis", "--url", url)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err
    assert "canary" not in ran.err
