"""No statement reads more of a large site than of a small one.

A site with 10⁵ live sessions: each statement reads at most 200 pages of 8 KiB, and none scans a table. Work that is
proportional to what has expired is done on little that has expired.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.urls import include, path
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from django_lazyauth.models import PendingAuthorization, UpstreamToken
from django_lazyauth.sessions import end
from django_lazyauth.upkeep.sweep import sweep
from django_lazyauth.upstream.fresh_token import fresh_token
from tests.support.explained import explained
from tests.support.journey import code_for, make_browser, post_form, redeem, start

pytestmark = [
    pytest.mark.services,
    pytest.mark.django_db,
    pytest.mark.urls(__name__),
    pytest.mark.timeout(600),
]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

PAGES = 200

LISTS = [
    "lazyauth/pendingauthorization",
    "lazyauth/clientsession",
    "lazyauth/deferredregistration",
    "lazyauth/logoutdelivery",
    "lazyauth/consent",
    "lazyauth/provideridentity",
    "lazyauth/upstreamgrant",
    "lazyauth/upstreamtoken",
    "oauth2_provider/application",
    "oauth2_provider/accesstoken",
    "oauth2_provider/refreshtoken",
    "oauth2_provider/idtoken",
    "oauth2_provider/grant",
]


@pytest.fixture(autouse=True)
def _site(large_site):
    """Every test is about the large site."""


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@site.example", "pw"))
    return client


def assert_bounded(reads):
    assert reads, "no statement ran"
    too_much = [
        (read.buffers, read.scans, read.sql[:1500]) for read in reads if read.buffers > PAGES or read.scans
    ]
    assert not too_much, too_much


def refresh(client_, token):
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": client_.client_id}
    return post_form(make_browser(), "/token", form)


def test_a_started_sign_in_counts_only_open_requests(client_):
    """I16: the caps hold at each request of a stranger, so their count must not pass live sessions."""
    with explained() as reads:
        start(make_browser(), client_)
    assert_bounded(reads)
    counts = [
        read for read in reads if "COUNT(" in read.sql and '"lazyauth_pendingauthorization"' in read.sql
    ]
    assert counts
    assert max(read.buffers for read in counts) <= 40


def test_a_used_up_quota_finds_what_is_dead_among_the_open_requests(client_, lazyauth):
    start(make_browser(), client_)
    PendingAuthorization.objects.exclude(status="exchanged").update(expires_at=timezone.now())
    lazyauth(MAX_PENDING_AUTHORIZATIONS=1)
    with explained() as reads:
        start(make_browser(), client_)
    assert_bounded(reads)


def test_a_sign_in_a_refresh_and_an_end_are_bounded(client_):
    """Of a connection that is in use.

    The first time that a connection writes to a table, it reads the catalogue about its columns, indexes and sequences.
    The statement that writes everything of an exchange reads 170 pages of it then, at a site of any size.
    """
    refresh(client_, redeem(client_, code_for(client_, subject="somebody-else")).json()["refresh_token"])
    with explained() as reads:
        code = code_for(client_)
        body = redeem(client_, code).json()
        body = refresh(client_, body["refresh_token"]).json()
        form = {"token": body["refresh_token"], "client_id": client_.client_id}
        assert post_form(make_browser(), "/revoke_token", form).status_code == 200
        assert redeem(client_, code).status_code == 400
    assert_bounded(reads)


def test_a_vault_read_and_the_end_of_all_sessions_of_a_person_are_bounded(client_):
    redeem(client_, code_for(client_))
    bundle = UpstreamToken.objects.get(client__client_id=client_.client_id)
    with explained() as reads:
        fresh_token(bundle.session_id, bundle.provider, user_id=bundle.user_id, client_id=bundle.client_id)
        assert end.end_all_sessions(bundle.user) == 1
        bundle.user.delete()
    assert_bounded(reads)


def test_the_account_page_is_bounded(client, large_site):
    client.force_login(get_user_model().objects.get(pk=large_site.primary_key(77)))
    with explained() as reads:
        assert client.get("/account/sessions").status_code == 200
    assert_bounded(reads)


def test_a_sweep_is_bounded_where_nearly_nothing_has_expired(client_, large_site):
    """What lives is passed by ranges of an index, or in parts."""
    code_for(client_)
    PendingAuthorization.objects.exclude(status="exchanged").update(expires_at=timezone.now())
    looked_at = [large_site.session_id(number) for number in (1, 20_000)]
    PendingAuthorization.objects.filter(pk__in=looked_at).update(expires_at=timezone.now())
    end.end_session(looked_at[0])
    with explained() as reads:
        counts = {swept.kind: swept.count for swept in sweep(batch_size=500)}
    assert_bounded(reads)
    assert counts["pending authorizations"] == 2
    # A few for each kind of row, however many rows there are.
    assert len(reads) < 75
    left = PendingAuthorization.objects.get(pk=looked_at[1])
    assert left.expires_at > timezone.now()


def test_sweeps_reach_each_row_of_a_large_table_one_part_after_the_other(large_site):
    """A table without an index on what expires is looked through in parts; the position is kept."""
    late = large_site.primary_key(2_345)
    RefreshToken.objects.filter(pk=late).update(created=timezone.now() - timedelta(days=200))
    runs = 0
    while RefreshToken.objects.filter(pk=late).exists():
        list(sweep())
        runs += 1
        assert runs < 10
    assert runs > 1
    assert AccessToken.objects.filter(pk__lt=late).count() == 2_344


@pytest.mark.parametrize("where", LISTS)
def test_the_first_page_of_a_list_of_the_admin_is_bounded(operator, where):
    with explained() as reads:
        assert operator.get(f"/admin/{where}/").status_code == 200
    assert_bounded(reads)


@pytest.mark.parametrize("where", ["pendingauthorization", "clientsession", "upstreamtoken"])
def test_a_session_is_found_by_its_id_at_once(operator, large_site, where):
    session_id = large_site.session_id(54_321)
    with explained() as reads:
        page = operator.get(f"/admin/lazyauth/{where}/?q={session_id}")
    assert str(session_id) in page.content.decode()
    # A person's name may be a UUID, too. The names of people have no index that ignores case.
    people = f'FROM "{get_user_model()._meta.db_table}"'
    assert_bounded([read for read in reads if people not in read.sql])


def test_the_caps_are_counted_by_their_own_index():
    """The condition of the index and that of the query are the same expression."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'lazyauth_pending_count'")
        assert "exchanged" in cursor.fetchone()[0]
    with explained() as reads:
        PendingAuthorization.objects.counted().filter(network="198.51.1.0/24")[:101].count()
    assert "lazyauth_pending_count" in str(reads[0].plan)
