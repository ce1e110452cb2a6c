"""Issue 15, done when 4: operators work on a site with 10⁵ rows in each table as on a small one.

Each page runs at most ten queries, the overview twelve, and none scans a table. Ends of 10,000 sessions need less than
a query for each hundred.
"""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import include, path

from django_lazyauth.models import (
    Consent,
    EndingJob,
    LogoutDelivery,
    PendingAuthorization,
    ProviderIdentity,
    UpstreamGrant,
    UpstreamToken,
)
from django_lazyauth.sessions import ending_job
from django_lazyauth.toolkit.models import (
    get_access_token_model,
    get_application_model,
    get_id_token_model,
    get_refresh_token_model,
)
from tests.support.explained import explained

pytestmark = [
    pytest.mark.services,
    pytest.mark.slow,
    pytest.mark.django_db,
    pytest.mark.urls(__name__),
    pytest.mark.timeout(600),
]

urlpatterns = [path("admin/", admin.site.urls), path("", include("django_lazyauth.urls"))]

QUERIES, OF_OVERVIEW = 10, 12
#: Sessions that a job ends here.
MANY = 10_000


@pytest.fixture(autouse=True)
def _site(large_site):
    """Every test is about the large site."""


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@site.example", "pw"))
    return client


def look(operator, url, *, queries=QUERIES, but=()):
    """Open a page, and look at what it reads."""
    with explained() as reads:
        page = operator.get(url)
    assert page.status_code == 200, url
    assert len(reads) <= queries, [read.sql[:120] for read in reads]
    scanned = [(read.scans, read.sql[:600]) for read in reads if set(read.scans) - set(but)]
    assert not scanned, scanned
    return page


LISTS = {
    "lazyauth/pendingauthorization": [
        "",
        "?outcome=signed_in",
        "?outcome=failed",
        "?outcome=not_finished",
        "?outcome=under_way",
        "?reason=clock",
        "?provider__exact=demo",
        "?provider__exact=other",
        "?q=person-77",
        "?q=subject-77",
        "?q=Large",
        "?q=nobody-at-all",
        "?p=400",
    ],
    "lazyauth/clientsession": ["", "?provider__exact=demo", "?q=person-77", "?q=subject-77"],
    "lazyauth/provideridentity": [
        "",
        "?provider__exact=demo",
        "?provider__exact=other",
        "?q=person-77",
        "?q=subject-77",
    ],
    "lazyauth/upstreamgrant": ["", "?state__exact=live", "?state__exact=dead", "?q=person-77"],
    "lazyauth/upstreamtoken": ["", "?provider__exact=demo", "?q=person-77"],
    "lazyauth/consent": ["", "?q=person-77"],
    "lazyauth/logoutdelivery": ["", "?state__exact=given_up", "?state__exact=waiting"],
    "lazyauth/deferredregistration": ["", "?provider__exact=demo"],
    "lazyauth/endingjob": [""],
    "oauth2_provider/application": [
        "",
        "?registration_source__exact=dcr",
        "?state=works",
        "?state=waits",
        "?used=recent",
        "?client_type__exact=public",
    ],
    "oauth2_provider/accesstoken": ["", "?q=person-77"],
    "oauth2_provider/refreshtoken": ["", "?q=person-77"],
    "oauth2_provider/idtoken": ["", "?q=person-77"],
    "oauth2_provider/grant": [""],
}


@pytest.mark.parametrize("where", [f"{name}/{query}" for name, queries in LISTS.items() for query in queries])
def test_a_list_reads_no_table_whole(operator, where):
    # What names nobody may be a part of a client's name, or of an address that the user model holds without an index.
    is_vague = where.endswith(("q=Large", "q=nobody-at-all"))
    look(operator, f"/admin/{where}", but=["oauth2_provider_application"] if is_vague else [])


@pytest.mark.parametrize(
    ("where", "model"),
    [
        ("lazyauth/pendingauthorization", PendingAuthorization),
        ("lazyauth/clientsession", PendingAuthorization),
        ("lazyauth/provideridentity", ProviderIdentity),
        ("lazyauth/upstreamgrant", UpstreamGrant),
        ("lazyauth/upstreamtoken", UpstreamToken),
        ("lazyauth/consent", Consent),
        ("oauth2_provider/application", get_application_model()),
        ("oauth2_provider/accesstoken", get_access_token_model()),
        ("oauth2_provider/refreshtoken", get_refresh_token_model()),
        ("oauth2_provider/idtoken", get_id_token_model()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_page_of_a_row_reads_no_table_whole(operator, where, model):
    look(operator, f"/admin/{where}/{model.objects.order_by('-pk').first().pk}/change/")


def test_the_overview_reads_no_table_whole(operator):
    look(operator, "/admin/lazyauth/overview/", queries=OF_OVERVIEW)


def test_ten_thousand_sessions_end_in_batches(operator, large_site, monkeypatch):
    """At most a query for each hundred sessions, and a page that shows how far it is."""
    monkeypatch.setattr(ending_job, "_submit", lambda pk: None)
    keys = [large_site.primary_key(number) for number in range(1, MANY + 1)]
    client = get_application_model().objects.get(client_id="client-1")
    client.lazyauth_registration.metadata = {"backchannel_logout_uri": "https://client.example/out"}
    client.lazyauth_registration.save()
    for model in (get_refresh_token_model(), get_access_token_model()):
        model.objects.filter(pk__in=keys).update(application=client)
    url = f"/admin/oauth2_provider/application/{client.pk}/act/end_all_at/"
    assert f"{MANY} sessions live now" in operator.get(url).content.decode()
    answer = operator.post(url, {"confirmed": "yes", "reason": "it was stolen"})
    job = EndingJob.objects.get()
    assert answer.headers["Location"] == f"/admin/lazyauth/endingjob/{job.pk}/change/"
    assert f"0 of {MANY} sessions have ended" in operator.get(answer.headers["Location"]).content.decode()
    with CaptureQueriesContext(
        connection,
    ) as run:
        assert ending_job.run(job.pk)
    job.refresh_from_db()
    assert (job.found, job.ended) == (MANY, MANY)
    assert len(run) <= MANY / 100, [query["sql"][:90] for query in run.captured_queries]
    assert not get_refresh_token_model().objects.filter(application=client, revoked=None).exists()
    assert not get_access_token_model().objects.filter(application=client).exists()
    assert LogoutDelivery.objects.filter(client=client).count() == MANY
    assert get_refresh_token_model().objects.filter(revoked=None).count() == large_site.count - MANY
