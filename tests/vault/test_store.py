"""Spec 3: bundles per (session, provider), found by their whole binding."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection
from django.utils import timezone

from django_lazyauth.errors import SealBroken
from django_lazyauth.models import UpstreamToken
from django_lazyauth.models.fields import uuid7
from django_lazyauth.vault import store
from django_lazyauth.vault.store import BundleNotFound, UpstreamBundle
from tests.conftest import register
from tests.support.grants import grants_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def bundle(application):
    user = get_user_model().objects.create_user("ada")
    return UpstreamBundle(
        session_id=uuid7(),
        provider="google",
        user_id=user.pk,
        client_id=application.pk,
        subject="ada",
        access_token="canary-access",
        refresh_token="canary-refresh",
        id_token="canary-id",
        scope="openid",
        expires_at=timezone.now() + timedelta(hours=1),
    )


def fetch(bundle: UpstreamBundle, **changes) -> UpstreamBundle:
    wanted = {
        "session_id": bundle.session_id,
        "provider": bundle.provider,
        "user_id": bundle.user_id,
        "client_id": bundle.client_id,
    } | changes
    return store.get(wanted.pop("session_id"), wanted.pop("provider"), **wanted)


def test_a_stored_bundle_comes_back_whole(bundle):
    store.store(bundle)
    assert fetch(bundle) == replace(bundle, version=1)


def test_no_token_stands_in_the_database_in_the_clear(bundle):
    """I13."""
    store.store(bundle)
    with connection.cursor() as cursor:
        for table in ("lazyauth_upstreamtoken", "lazyauth_upstreamgrant"):
            cursor.execute(f"SELECT * FROM {table}")
            stored = str(cursor.fetchall())
            assert "google" in stored
            assert "canary" not in stored


def test_a_bundle_shows_no_token_in_its_repr(bundle):
    """I13."""
    assert "canary" not in repr(bundle)


@pytest.mark.parametrize("part", ["session_id", "provider", "user_id", "client_id"])
def test_a_wrong_part_of_the_binding_finds_nothing(bundle, part):
    store.store(bundle)
    stranger = get_user_model().objects.create_user("grace")
    other = {
        "session_id": uuid7(),
        "provider": "github",
        "user_id": stranger.pk,
        "client_id": register(client_id="other").pk,
    }
    with pytest.raises(BundleNotFound):
        fetch(bundle, **{part: other[part]})


def test_an_expired_bundle_is_returned_and_says_so(bundle):
    store.store(replace(bundle, expires_at=timezone.now() - timedelta(seconds=1)))
    assert fetch(bundle).is_expired()
    assert fetch(bundle).refresh_token == "canary-refresh"


def test_a_bundle_of_unknown_expiry_is_not_expired(bundle):
    store.store(replace(bundle, expires_at=None))
    assert not fetch(bundle).is_expired()


def test_signing_in_again_replaces_the_bundle(bundle):
    store.store(bundle)
    store.store(replace(bundle, access_token="newer", version=1))
    assert UpstreamToken.objects.count() == 1
    assert (fetch(bundle).access_token, fetch(bundle).version) == ("newer", 2)


def test_the_database_itself_refuses_a_second_bundle(bundle):
    store.store(bundle)
    row = UpstreamToken.objects.get()
    row.pk = None
    with pytest.raises(IntegrityError):
        row.save(force_insert=True)


def test_all_bundles_of_a_session_come_and_what_cannot_be_opened_is_skipped_without_data(bundle, caplog):
    store.store(bundle)
    store.store(replace(bundle, provider="github"))
    grants_of(provider="github").update(access_token="v1.gone.canary")
    with caplog.at_level(logging.DEBUG):
        assert [found.provider for found in store.get_all(bundle.session_id)] == ["google"]
    assert "github" in caplog.text
    assert "canary" not in caplog.text


def test_a_ciphertext_moved_to_another_row_is_refused(bundle):
    """I12."""
    store.store(bundle)
    store.store(replace(bundle, provider="github", access_token="theirs"))
    moved = grants_of(provider="google").get().access_token
    grants_of(provider="github").update(access_token=moved)
    with pytest.raises(SealBroken):
        fetch(bundle, provider="github")


def test_an_unknown_session_has_no_bundles():
    assert list(store.get_all(UUID(int=1))) == []


def test_bundles_go_with_user_client_and_session(bundle, application):
    store.store(bundle)
    assert store.delete(bundle.session_id) == 1
    store.store(bundle)
    get_user_model().objects.all().delete()
    assert UpstreamToken.objects.count() == 0


def test_a_bundle_goes_with_its_client(bundle, application):
    store.store(bundle)
    application.delete()
    assert UpstreamToken.objects.count() == 0


def test_a_version_grows_by_one_each_time_a_bundle_replaces_what_is_stored(bundle):
    versions = []
    for _ in range(3):
        store.store(bundle)
        versions.append(fetch(bundle).version)
    assert versions == [1, 2, 3]
