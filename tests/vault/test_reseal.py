"""Spec 3, sealed: keys rotate while traffic runs, and after a kill the work goes on where it was."""

from __future__ import annotations

import base64
import logging
import random
import threading
import time
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from django_lazyauth.errors import RefreshExpired, SealBroken
from django_lazyauth.models import DeferredRegistration, PendingAuthorization, UpstreamGrant, UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.sign_in import deferred
from django_lazyauth.sign_in.leg import open_private
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.upstream.move_in import move_all
from django_lazyauth.vault import store
from django_lazyauth.vault.reseal import SEALED, reseal
from django_lazyauth.vault.store import UpstreamBundle
from tests.support.grants import grants_of
from tests.support.journey import code_for, make_browser, redeem, start
from tests.support.racers import racer

OLD = "old:" + base64.b64encode(b"o" * 32).decode()
NEW = "new:" + base64.b64encode(b"n" * 32).decode()
ROWS = 10_000
READERS = 4


@pytest.fixture(autouse=True)
def _acme(settings):
    """A provider that is not configured gives nobody a token, whatever is stored."""
    believing = {"class": "tests.support.providers.BelievingProvider"}
    providers = settings.LAZYAUTH["PROVIDERS"] | {"acme": believing}
    settings.LAZYAUTH = settings.LAZYAUTH | {"PROVIDERS": providers}


@pytest.fixture
def keys(lazyauth):
    """Put keys in force: ``keys(NEW, OLD)``."""

    def put(*keys):
        lazyauth(VAULT_KEYS=list(keys))

    put(OLD)
    return put


def fill(application, count: int) -> dict:
    """Write *count* bundles, and return session → access token."""
    user = get_user_model().objects.create_user("ada")
    bundles = [
        UpstreamBundle(
            session_id=uuid7(),
            provider="acme",
            user_id=user.pk,
            client_id=application.pk,
            subject="ada",
            access_token=f"access-{number}",
            refresh_token=f"refresh-{number}",
            id_token=f"id-{number}" if number % 2 else "",
            expires_at=timezone.now() + timedelta(hours=1),
        )
        for number in range(count)
    ]
    UpstreamToken.objects.bulk_create(
        [
            UpstreamToken(
                session_id=bundle.session_id,
                provider=bundle.provider,
                user=user,
                client=application,
                subject=bundle.subject,
                retain_until=bundle.expires_at,
                **store.columns_of(bundle),
            )
            for bundle in bundles
        ],
        batch_size=500,
    )
    return {bundle.session_id: bundle.access_token for bundle in bundles}


class Readers:
    """Threads that read random sessions until they are told to stop."""

    def __init__(self, tokens: dict, user_id, client_id) -> None:
        self.reads = 0
        self.failures: list[str] = []
        self._over = threading.Event()
        self._sessions = list(tokens.items())
        self._binding = {"user_id": user_id, "client_id": client_id}
        self._threads = [threading.Thread(target=self._read, args=(seed,)) for seed in range(READERS)]

    def _read(self, seed: int) -> None:
        choose = random.Random(seed)
        try:
            while not self._over.is_set():
                session_id, expected = choose.choice(self._sessions)
                found = fresh_token(session_id, "acme", **self._binding)
                self.reads += 1
                time.sleep(0.005)  # A view does something with the token; a busy loop would starve the work.
                if found.access_token != expected:
                    self.failures.append("another token")
        except Exception as error:  # noqa: BLE001 - a reader that fails is what the test is about
            self.failures.append(repr(error))
        finally:
            connections.close_all()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()


def resealed() -> int:
    return UpstreamToken.objects.filter(access_token__startswith="v1.new.").count()


@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_ten_thousand_rows_are_sealed_anew_while_four_threads_read_and_the_work_is_killed_half_way(
    application, keys
):
    tokens = fill(application, ROWS)
    keys(NEW, OLD)
    user_id = get_user_model().objects.get().pk
    with Readers(tokens, user_id, application.pk) as readers:
        with racer(work="rotate", batch_size=100) as first:
            first.go()
            give_up = time.monotonic() + 60
            while resealed() < ROWS // 4:
                assert time.monotonic() < give_up
            first.kill()
        half_way = resealed()
        assert ROWS // 4 <= half_way < ROWS
        with racer(work="rotate", batch_size=500) as second:
            second.go()
            assert second.result()["upstream tokens"] == ROWS - half_way
    assert readers.failures == []
    assert readers.reads > 100
    assert resealed() == ROWS
    keys(NEW)
    for session_id in random.Random(1).sample(list(tokens), 200):
        bundle = store.get(session_id, "acme", user_id=user_id, client_id=application.pk)
        number = tokens[session_id].removeprefix("access-")
        assert (bundle.access_token, bundle.refresh_token) == (f"access-{number}", f"refresh-{number}")
        assert bundle.id_token in ("", f"id-{number}")
        assert bundle.version == 1


@pytest.mark.django_db
def test_what_waits_for_its_exchange_and_what_a_provider_keeps_are_sealed_anew_too(client_, keys):
    code = code_for(client_)
    start(make_browser(), client_)
    keys(NEW, OLD)
    assert {done.kind: done.count for done in reseal()} == {
        "upstream tokens": 0,
        "upstream grants": 0,
        "deferred registrations": 1,
        "sign-ins": 1,
    }
    keys(NEW)
    assert deferred.open_deferred(DeferredRegistration.objects.get()).identity.subject == "ada"
    waiting = PendingAuthorization.objects.exclude(private="").get()
    assert open_private(waiting) == {"nonce": "n"}
    assert redeem(client_, code).status_code == 200


@pytest.mark.django_db
def test_every_sealed_column_there_is_gets_sealed_anew():
    """Whoever adds a sealed column adds it to the rotation."""
    named = {(sealed.model, column) for sealed in SEALED for column in sealed.columns}
    found = {
        (model, field.name)
        for model in (UpstreamToken, UpstreamGrant, DeferredRegistration, PendingAuthorization)
        for field in model._meta.fields
        if str(field.verbose_name).startswith("sealed ")
    }
    assert named == found


@pytest.mark.django_db
def test_a_value_that_changed_meanwhile_is_left_as_it_is(application, keys, monkeypatch):
    (session_id,) = fill(application, 1)
    keys(NEW, OLD)
    real = store.get_cipher().__class__.seal

    def seal(self, text, place):
        UpstreamToken.objects.update(access_token="of-a-refresh")
        return real(self, text, place)

    monkeypatch.setattr("django_lazyauth.vault.cipher.AesGcmCipher.seal", seal)
    assert next(reseal()).count == 0
    assert UpstreamToken.objects.get(session_id=session_id).access_token == "of-a-refresh"


@pytest.mark.django_db
def test_a_batch_is_replaced_by_one_statement(application, keys, django_assert_num_queries):
    """Spec 3: rotation keeps up with a large vault. Of four kinds only the first has rows."""
    fill(application, 40)
    keys(NEW, OLD)
    # Per batch one SELECT and one UPDATE; the SELECT that finds no more rows, of each kind.
    with django_assert_num_queries(2 * 2 + 4):
        assert next(iter(done := list(reseal(batch_size=20)))).count == 40
    assert [kind.broken for kind in done] == [0, 0, 0, 0]


@pytest.mark.django_db
def test_only_the_rows_of_a_batch_that_changed_are_left(application, keys, monkeypatch):
    changed, *others = fill(application, 5)
    keys(NEW, OLD)
    real = store.get_cipher().__class__.seal

    def seal(self, text, place):
        UpstreamToken.objects.filter(session_id=changed).update(refresh_token="of-a-refresh")
        return real(self, text, place)

    monkeypatch.setattr("django_lazyauth.vault.cipher.AesGcmCipher.seal", seal)
    assert next(reseal()).count == 4
    assert UpstreamToken.objects.get(session_id=changed).access_token.startswith("v1.old.")
    assert UpstreamToken.objects.filter(access_token__startswith="v1.new.").count() == len(others)


@pytest.mark.django_db
def test_the_command_says_what_it_did_and_what_no_key_opens(application, keys, capsys, caplog):
    fill(application, 3)
    first = UpstreamToken.objects.first()
    UpstreamToken.objects.filter(pk=first.pk).update(refresh_token="v1.gone.canary")
    move_all()
    keys(NEW, OLD)
    with caplog.at_level(logging.DEBUG):
        call_command("rotate_vault_keys", batch_size=1)
    told = capsys.readouterr()
    assert "upstream tokens: 2 sealed anew" in told.out
    assert "upstream grants: 2 sealed anew" in told.out
    assert "upstream tokens: 1 cannot be opened" in told.err
    assert "canary" not in told.out + told.err + caplog.text
    call_command("rotate_vault_keys")
    assert "of an earlier release" not in told.out
    assert "upstream tokens: 0 sealed anew" in capsys.readouterr().out


# -- what a seal refuses (I12) ---------------------------------------------------------------------------------


@pytest.fixture
def two(application, keys):
    """Two sessions of one person, and the second one's bundle at another provider."""
    tokens = fill(application, 2)
    mine, theirs = tokens
    user = get_user_model().objects.get()
    store.store(
        UpstreamBundle(
            session_id=mine,
            provider="other",
            user_id=user.pk,
            client_id=application.pk,
            subject="ada",
            access_token="at-other",
            refresh_token="rt-other",
            expires_at=timezone.now() + timedelta(hours=1),
        )
    )
    return UpstreamToken.objects.filter(session_id=mine, provider="acme"), {
        "row": UpstreamToken.objects.get(session_id=theirs).access_token,
        "provider": grants_of(provider="other").get().access_token,
        "column": UpstreamToken.objects.get(session_id=mine, provider="acme").refresh_token,
        "truncated": UpstreamToken.objects.get(session_id=mine, provider="acme").access_token[:-6],
        "version only": "v1.old.",
        "nonsense": "no seal at all",
        "removed key": "v1.gone." + UpstreamToken.objects.get(session_id=theirs).access_token[7:],
        "not ASCII": "v1.old.é",
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    "how",
    ["row", "provider", "column", "truncated", "version only", "nonsense", "removed key", "not ASCII"],
)
def test_a_ciphertext_that_is_not_of_this_place_is_refused(two, application, how):
    """I12: another row, session, provider or column, cut off, or under a key that is gone."""
    rows, moved = two
    rows.update(access_token=moved[how])
    binding = {"user_id": rows.get().user_id, "client_id": application.pk}
    with pytest.raises(SealBroken):
        store.get(rows.get().session_id, "acme", **binding)
    with pytest.raises(RefreshExpired):
        fresh_token(rows.get().session_id, "acme", **binding)
