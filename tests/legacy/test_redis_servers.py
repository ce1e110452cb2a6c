"""One URL for every kind of Redis: TLS, Sentinel, Cluster. Each against real servers of the test's own."""

from __future__ import annotations

import secrets

import pytest
import redis

from django_lazyauth.models import UpstreamToken
from tests.support import redis_servers

from .rows import bundle_of, make_user, migrate
from .test_redis import Deployment

pytestmark = [pytest.mark.services, pytest.mark.django_db]

PASSWORD = f"canary-{secrets.token_hex(8)}"


def move(url: str, client, application, *, prefix: str) -> None:
    """Write rows with *client*, move them through *url*, and look at both ends."""
    deployment, ada = Deployment(client, prefix), make_user(secrets.token_hex(4))
    sessions = [deployment.put(ada, application) for _ in range(20)]
    stays = deployment.put(ada, application, provider_id="github")
    ran = migrate("--source", "redis", "--url", url, "--prefix", prefix, "--batch-size", "7")
    assert PASSWORD not in ran.out + ran.err
    assert (ran.status, ran.report["moved"], ran.report["unclaimed"]) == (0, 20, 1), ran.err
    assert all(bundle_of(session).refresh_token == f"refresh-{session}" for session in sessions)
    assert not any(client.exists(deployment.key(session)) for session in sessions)
    assert not any(client.exists(f"{prefix}upstream:idx:{session}") for session in sessions)
    assert client.exists(deployment.key(stays))


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
def test_a_server_with_tls_is_read_with_the_certificate_that_the_url_names(tmp_path, application, scheme):
    with redis_servers.tls_server(tmp_path, PASSWORD) as (address, certificate):
        client = redis.Redis.from_url(f"rediss://:{PASSWORD}@{address}", ssl_ca_certs=str(certificate))
        url = f"{scheme}://:{PASSWORD}@{address}/0?ssl_ca_certs={certificate}"
        move(url, client, application, prefix="p:")


def test_a_server_whose_certificate_nobody_trusts_is_one_line(tmp_path, db):
    with redis_servers.tls_server(tmp_path, PASSWORD) as (address, _):
        ran = migrate("--source", "redis", "--url", f"rediss://:{PASSWORD}@{address}/0")
        assert_one_line(ran)
        ran = migrate("--source", "redis", "--url", f"rediss://{address}/0?ssl_ca_certs=/no/such/file")
        assert_one_line(ran)


@pytest.mark.parametrize("path", ["{service}", "{service}/0", "{service}/?db=0"])
def test_the_master_that_sentinel_names_is_read(tmp_path, application, path):
    with redis_servers.sentinel(tmp_path, "main", PASSWORD) as address:
        sentinel = redis.Sentinel([tuple(address.split(":"))], password=PASSWORD)
        unused = "127.0.0.1:1"  # A Sentinel that is down. The others know the same.
        url = f"redis+sentinel://:{PASSWORD}@{unused},{address}/{path.format(service='main')}"
        move(url, sentinel.master_for("main"), application, prefix="p:{x}:")
        assert_one_line(migrate("--source", "redis", "--url", url.replace("/main", "/other")))


@pytest.mark.parametrize("prefix", ["thv:auth:{ns:name}:", "without-a-tag:"])
def test_every_node_of_a_cluster_is_read(tmp_path, application, prefix):
    """With a hash tag in the prefix, all keys have one slot; without one, each key has its own."""
    with redis_servers.cluster(tmp_path, PASSWORD) as addresses:
        client = redis.RedisCluster.from_url(f"redis://:{PASSWORD}@{addresses[0]}")
        url = f"redis+cluster://:{PASSWORD}@{','.join(addresses)}"
        move(url, client, application, prefix=prefix)
        client.close()


WRONG = [
    "redis://HOST/0?bogus=1",
    "redis://HOST/0?socket_timeout=soon",
    "rediss://HOST/0?ssl_cert_reqs=perhaps",
    "redis+sentinel://HOST/main?bogus=1",
    "redis+sentinel://HOST",
    "redis+sentinel://HOST/",
    "redis+sentinel://HOST/main/first",
    "redis+sentinel://HOST/main/0/1",
    "redis+sentinel:///main",
    "redis+sentinel://HOST:port/main",
    "redis+sentinel://HOST:1/main",
    "redis+cluster://HOST/1",
    "redis+cluster://HOST/0?db=1",
    "redis+cluster://HOST?bogus=1",
    "redis+cluster://HOST:1",
    "redis+cluster://,",
    "redis+other://HOST",
    "redis://[::1/0",
    "redis://HOST:99999999/0",
    "rediss+cluster://HOST:1",
    "unix:///no/such/socket",
    "memcached://HOST",
    "HOST",
    "redis:HOST",
    "\ud800",
]


@pytest.mark.parametrize("url", WRONG)
def test_a_wrong_url_or_option_is_one_line_without_the_password(db, url):
    ran = migrate("--source", "redis", "--url", url.replace("HOST", f":{PASSWORD}@127.0.0.1"))
    assert_one_line(ran)
    assert not UpstreamToken.objects.exists()


def assert_one_line(ran) -> None:
    assert (ran.status, ran.out) == (1, "")
    assert len(ran.err.strip().splitlines()) == 1
    assert PASSWORD not in ran.err
