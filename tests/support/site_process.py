"""A web process of the site, without its web: it does what a line of JSON on its input asks, and answers in one.

``python -m tests.support.site_process``. Its settings are ``tests.process_settings``.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
import warnings
from uuid import UUID, uuid4

import django

if os.environ.get("LAZYAUTH_TEST_BROKER"):
    import tests.support.celery_app  # noqa: F401 - makes it the app that messages go through
else:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.process_settings")
    django.setup()

from django.db import connections

from django_lazyauth.errors import IdentityRejected
from django_lazyauth.kit.background import start_task
from django_lazyauth.kit.results import Ready
from django_lazyauth.openid import domains, sources, sso_discovery
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sessions import end


def together(count, work):
    """Run *work* in so many threads that start at the same moment; return what they gave."""
    barrier, answers, errors = threading.Barrier(count, timeout=60), [], []

    def run():
        try:
            barrier.wait()
            answers.append(work())
        except Exception as error:  # noqa: BLE001 - told to the test.
            errors.append(repr(error))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]
    return answers


def fetch_if_due(name, *, seconds=30):
    """Do what each request does: drive, peek, come again."""
    domain, ends_at = domains.find(name), time.monotonic() + seconds
    while time.monotonic() < ends_at:
        sso_discovery.fetch_if_due(domain)
        found = sso_discovery.peek(domain)
        if isinstance(found, Ready):
            return "ready"
        time.sleep(0.05)
    return repr(found)


def drive_once(name):
    sso_discovery.fetch_if_due(domains.find(name))
    return "driven"


def load_keys(provider_name):
    """Load what is stored of a provider, as each sign-in does; return the ids of its keys."""
    found = sources.load(get_provider(provider_name).source)
    return sorted(key.kid for key in found.value.stored.keys.keys)


def bad_tokens(provider_name, count, kid=None):
    """Check tokens that nobody signed, of the key *kid*, or each of a key that nobody has; return how each ended."""
    ended = {}
    for _ in range(count):
        header = {"alg": "RS256", "kid": kid or uuid4().hex}
        token = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in (header, {}, "signature")
        )
        try:
            reason = type(get_provider(provider_name).try_verify(token, nonce="n")).__name__
        except IdentityRejected as error:
            reason = str(error.reason)
        ended[reason] = ended.get(reason, 0) + 1
    return ended


def answer(job):
    shift = job.get("clock_ahead", 0)
    for cached in (sso_discovery.configurations, sso_discovery.key_sets):
        cached.clock = lambda: time.time() + shift
    match job["do"]:
        case "drive":
            return together(job["threads"], lambda: fetch_if_due(job["domain"]))
        case "drive_once":
            return drive_once(job["domain"])
        case "load_keys":
            return together(job["threads"], lambda: load_keys(job["provider"]))
        case "threads":
            return [thread.name for thread in threading.enumerate()]
        case "reach_broker":
            # The first message takes longer than a caller waits: the transport is imported for it.
            return start_task("django_lazyauth.sweep", (), lifetime=60).result(timeout=20)
        case "bad_tokens":
            threads, kid = job["threads"], job.get("kid")
            return together(threads, lambda: bad_tokens(job["provider"], job["count"] // threads, kid))
        case "end_session":
            return end.end_session(UUID(job["session_id"]))
        case "name":
            found = sso_discovery.peek(domains.find(job["domain"]))
            return found.value.name if isinstance(found, Ready) else repr(found)
        case "is_ready":
            return isinstance(sso_discovery.peek(domains.find(job["domain"])), Ready)
    raise AssertionError(job)


def main():
    warnings.simplefilter("ignore")
    sys.stdout.write("up\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
