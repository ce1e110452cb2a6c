"""Move very many legacy tokens in, and watch rate and memory: ``python -m tests.benchmarks.legacy_migration``.

Each measurement is a process of its own, on one database made for the run: ours moves all rows; its peer writes
rows of the same size, sealed beforehand, with a bare ``bulk_create``. For Redis the peer reads too: SCAN and MGET.
Legacy rows are made by the servers themselves, so that making them leaves no trace in our memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import django

PROJECT = Path(__file__).resolve().parents[2]
#: Characters of access, refresh and ID token: 1.5 KB in all, as of Google and Microsoft.
ACCESS, REFRESH, ID = 240, 64, 1200
BATCH = 1000
PREFIX = "bench:"
REDIS_URL = os.environ.get("LAZYAUTH_TEST_REDIS_URL", "redis://127.0.0.1:6379/10")
#: What the claim allows: MiB over the start, and the share of the peer's rate.
MEMORY_BOUND, RATE_BOUND = 60.0, 0.8


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# -- what there is to move -----------------------------------------------------------------------------------


def make_owner() -> tuple[Any, Any]:
    from django.contrib.auth import get_user_model
    from oauth2_provider.models import get_application_model

    user, _ = get_user_model().objects.get_or_create(username="owner")
    client, _ = get_application_model().objects.get_or_create(
        client_id="owner",
        defaults={"client_type": "public", "authorization_grant_type": "authorization-code"},
    )
    return user, client


def fill_table(count: int) -> None:
    """Let the database write *count* legacy rows."""
    from django.db import connection

    user, client = make_owner()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO lazyauth_legacyupstreamtoken (session_id, provider, user_id, client_id, subject,"
            " access_token, refresh_token, id_token, token_type, scope, expires_at, created_at)"
            " SELECT gen_random_uuid(), 'oidc', %s, %s, 'subject-' || number,"
            " left(repeat(md5(number::text), 50), %s), left(repeat(md5(number::text), 50), %s),"
            " left(repeat(md5(number::text), 50), %s), 'Bearer', 'openid email', now(), now()"
            " FROM generate_series(1, %s) AS number",
            [user.pk, client.pk, ACCESS, REFRESH, ID, count],
        )


def fill_redis(count: int) -> None:
    """Let Redis write *count* legacy keys, each with an end."""
    import redis

    user, client = make_owner()
    value = {
        "provider_id": "oidc",
        "access_token": secrets.token_hex(ACCESS // 2),
        "refresh_token": secrets.token_hex(REFRESH // 2),
        "id_token": secrets.token_hex(ID // 2),
        "expires_at": 1_800_000_000,
        "user_id": str(user.pk),
        "upstream_subject": "subject",
        "client_id": client.client_id,
    }
    script = """
    for number = tonumber(ARGV[2]), tonumber(ARGV[3]) do
      local hex = string.format('%032x', number)
      redis.call('SET', ARGV[4] .. 'upstream:' .. hex, ARGV[1], 'EX', 86400 + number % 1000)
    end
    """
    server = redis.Redis.from_url(REDIS_URL)
    for first in range(1, count + 1, 10_000):
        server.eval(script, 0, json.dumps(value), first, min(first + 9999, count), PREFIX)
    server.close()


def empty_redis() -> None:
    import redis

    server = redis.Redis.from_url(REDIS_URL)
    keys = []
    for key in server.scan_iter(f"{PREFIX}*", count=10_000):
        keys.append(key)
        if len(keys) == 10_000:
            server.unlink(*keys)
            keys.clear()
    if keys:
        server.unlink(*keys)
    server.close()


def sealed_rows(count: int) -> Iterator[Any]:
    """Yield instances of the size that ours writes; the texts are sealed once, the rows differ in their key."""
    from django.utils import timezone

    from django_lazyauth.models import UpstreamToken
    from django_lazyauth.models.fields import uuid7
    from django_lazyauth.vault import store

    user, client = make_owner()
    columns = store.columns_of(
        store.UpstreamBundle(
            session_id=uuid7(),
            provider="corp",
            user_id=user.pk,
            client_id=client.pk,
            subject="subject",
            access_token=secrets.token_hex(ACCESS // 2),
            refresh_token=secrets.token_hex(REFRESH // 2),
            id_token=secrets.token_hex(ID // 2),
        )
    )
    now = timezone.now()
    for number in range(count):
        # Random keys, as those of the rows that ours finds.
        yield UpstreamToken(
            session_id=UUID(int=secrets.randbits(128)),
            provider="corp",
            user_id=user.pk,
            client_id=client.pk,
            subject=f"subject-{number}",
            retain_until=now,
            **columns | {"scope": "openid email", "expires_at": now},
        )


# -- what is measured ----------------------------------------------------------------------------------------


def ours(source: str, count: int) -> dict[str, float]:
    from django_lazyauth.legacy.migrate import Options, migrate
    from django_lazyauth.legacy.source import Models
    from django_lazyauth.legacy.sources.redis import RedisSource
    from django_lazyauth.legacy.sources.table import TableSource
    from django_lazyauth.models import UpstreamToken

    before = UpstreamToken.objects.count()
    models = Models.of()
    found = RedisSource(models, url=REDIS_URL, prefix=PREFIX) if source == "redis" else TableSource(models)
    at_start, started = resident(), perf_counter()
    report = migrate(found, Options(batch_size=BATCH))
    seconds = perf_counter() - started
    if (report.moved, report.failed, UpstreamToken.objects.count()) != (count, 0, before + count):
        raise AssertionError(f"{report.moved} of {count} moved: {report.reasons}")
    return {"rows": count, "seconds": seconds, "grown": max(peak(), resident()) - at_start}


def peer(source: str, count: int) -> dict[str, float]:
    """Write *count* rows as anybody would; for Redis, read as many keys before."""
    from django_lazyauth.models import UpstreamToken

    server, cursor, seconds, done = None, 0, 0.0, 0
    if source == "redis":
        import redis

        server = redis.Redis.from_url(REDIS_URL)
    rows = sealed_rows(count)
    while done < count:
        batch = [row for _, row in zip(range(min(BATCH, count - done)), rows, strict=False)]
        started = perf_counter()
        if server is not None:
            cursor, keys = server.scan(cursor, match=f"{PREFIX}upstream:*", count=len(batch))
            if keys:
                server.mget(keys)
        UpstreamToken.objects.bulk_create(batch)
        seconds += perf_counter() - started
        done += len(batch)
    return {"rows": count, "seconds": seconds, "grown": 0.0}


def insert_only(source: str, count: int) -> dict[str, float]:
    """The same as :func:`peer` with the insert that ours uses, for comparison."""
    from django.db import connection, transaction

    from django_lazyauth.legacy.insert_absent import insert_absent
    from django_lazyauth.models import UpstreamToken

    server, cursor, seconds, done = None, 0, 0.0, 0
    if source == "redis":
        import redis

        server = redis.Redis.from_url(REDIS_URL)
    names = [
        "session_id", "provider", "user_id", "client_id", "subject", "token_type", "scope", "expires_at",
        "refresh_expires_at", "is_dead", "retain_until", "access_token", "refresh_token", "id_token",
    ]  # fmt: skip
    rows = sealed_rows(count)
    while done < count:
        found = [row for _, row in zip(range(min(BATCH, count - done)), rows, strict=False)]
        batch = [{name: getattr(row, name) for name in names} for row in found]
        started = perf_counter()
        if server is not None:
            cursor, keys = server.scan(cursor, match=f"{PREFIX}upstream:*", count=len(batch))
            if keys:
                server.mget(keys)
        with transaction.atomic(using=connection.alias):
            insert_absent(UpstreamToken, batch, unique=("session_id", "provider"), using=connection.alias)
        seconds += perf_counter() - started
        done += len(batch)
    return {"rows": count, "seconds": seconds, "grown": 0.0}


SIDES = {"ours": ours, "peer": peer, "insert": insert_only}


# -- processes -----------------------------------------------------------------------------------------------


def set_up(database: str | None = None) -> None:
    os.environ.setdefault("LAZYAUTH_TEST_DATABASE", "postgresql")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    from django.conf import settings

    if database:
        settings.DATABASES["default"]["NAME"] = database
    provider = {"issuer": "https://login.corp.example", "client_id": "us", "client_secret": "s" * 32}
    settings.LAZYAUTH = settings.LAZYAUTH | {"PROVIDERS": {"corp": provider}}
    django.setup()


def measured(side: str, source: str, count: int, database: str) -> dict[str, float]:
    """Measure one side in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.legacy_migration", "--measure", side]
    command += ["--source", source, "--count", str(count), "--database", database]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(source: str, count: int, peer_count: int, database: str) -> bool:
    from django.db import connection

    from django_lazyauth.models import UpstreamToken

    print(f"{source}: making {count} rows …", file=sys.stderr, flush=True)
    if source == "redis":
        fill_redis(count)
    else:
        fill_table(count)
    found = {}
    # The peers go first and last, so that neither has the better moment.
    for side in ("peer", "insert", "ours", "insert", "peer"):
        rows = count if side == "ours" else peer_count // 2
        result = measured(side, source, rows, database)
        total = found.setdefault(side, {"rows": 0.0, "seconds": 0.0, "grown": 0.0})
        for name, value in result.items():
            total[name] += value
        print(f"{source}: {side}: {result['rows'] / result['seconds']:.0f} rows/s", flush=True)
        if side == "ours":
            connection.close()
    rates = {side: total["rows"] / total["seconds"] for side, total in found.items()}
    ratio, grown = rates["ours"] / rates["peer"], found["ours"]["grown"]
    print(f"{source}: {count} rows in {found['ours']['seconds']:.1f} s, {rates['ours']:.0f} rows/s")
    print(f"{source}: bare bulk_create {rates['peer']:.0f} rows/s: ratio {ratio:.2f} (bound {RATE_BOUND})")
    print(
        f"{source}: our insert alone {rates['insert']:.0f} rows/s: ratio {rates['ours'] / rates['insert']:.2f}"
    )
    print(f"{source}: peak memory {grown:.1f} MiB over the start (bound {MEMORY_BOUND:.0f})", flush=True)
    UpstreamToken.objects.all().delete()
    return ratio >= RATE_BOUND and grown < MEMORY_BOUND


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--peer-count", type=int, default=100_000)
    parser.add_argument("--source", choices=["table", "redis", "both"], default="both")
    parser.add_argument("--measure", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    options = parser.parse_args()
    set_up(options.database)
    if options.measure:
        json.dump(SIDES[options.measure](options.source, options.count), sys.stdout)
        return 0
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    made = connection.settings_dict["NAME"]
    sources = ["table", "redis"] if options.source == "both" else [options.source]
    try:
        holds = [compare(source, options.count, options.peer_count, made) for source in sources]
    finally:
        if "redis" in sources:
            empty_redis()
        connection.creation.destroy_test_db(name, verbosity=0)
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())
