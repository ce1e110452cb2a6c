"""Issue 15, done when 4: operators work on a site with 10⁵ rows in each table as on a small one.

Each page runs at most ten queries, the overview twelve, and none scans a table. Ends of 10,000 sessions need less than
a query for each hundred.
"""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from oauth2_provider.models import get_grant_model

from django_lazyauth.models import (
    DeferredRegistration,
    DeviceAuthorization,
    EndingJob,
    InitialAccessToken,
    LogoutDelivery,
    Overview,
    ProviderKeySet,
    SubjectIdentifier,
)
from django_lazyauth.sessions import ending_job
from django_lazyauth.toolkit.models import (
    get_access_token_model,
    get_application_model,
    get_refresh_token_model,
)
from tests.support.explained import explained
from tests.support.many_rows import BEGAN, FIRST, SESSION, unchecked_keys, vacuum

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


@pytest.fixture(scope="module", autouse=True)
def _site(large_site, django_db_blocker):
    """Every test is about the large site. The tables that no request reads by the row are filled here."""
    with django_db_blocker.unblock():
        client = str(get_application_model().objects.get(client_id="large-client").pk)
        key = f"{FIRST} + n"
        further = {
            DeferredRegistration: {"pending_id": SESSION, "provider": "'demo'", "subject": "'subject-' || n"},
            DeviceAuthorization: {
                "id": key,
                "status": "'waiting'",
                "device_digest": "md5(n::text) || md5('d' || n)",
                "user_digest": "md5(n::text) || md5('u' || n)",
                "client_id": client,
                "interval": "5",
                "expires_at": "now() + interval '1 hour'",
            },
            EndingJob: {"id": key, "kind": "'person'", "target": key, "finished_at": BEGAN},
            InitialAccessToken: {
                "id": key,
                "digest": "md5(n::text) || md5('i' || n)",
                "note": "'team-' || n",
                "max_uses": "5",
            },
            ProviderKeySet: {
                "provider": "'sso:corp-' || n || '.example'",
                "issuer": "'https://corp.example'",
            },
            SubjectIdentifier: {"id": key, "user_id": key, "sector": "''", "subject": "'sub-' || n"},
            get_grant_model(): {
                "id": key,
                "user_id": key,
                "application_id": client,
                "code": "md5(n::text) || 'c'",
                "expires": "now() + interval '1 hour'",
            },
        }
        with unchecked_keys():
            for model, given in further.items():
                large_site.insert(model, given)
        vacuum(*further)


@pytest.fixture
def operator(client):
    client.force_login(get_user_model().objects.create_superuser("operator", "operator@site.example", "pw"))
    return client


def look(operator, url, *, queries=QUERIES):
    """Open a page, and look at what it reads."""
    with explained() as reads:
        page = operator.get(url)
    assert page.status_code == 200, url
    assert len(reads) <= queries, (url, [read.sql[:120] for read in reads])
    scanned = [(read.scans, read.walks, read.sql[:600]) for read in reads if read.scans or read.walks]
    assert not scanned, (url, scanned)
    return page


#: What an operator may look for: people, sessions, clients, notes, and what is not there.
TERMS = (
    "person-77",
    "subject-77",
    "team-77",
    "Large",
    "Client 77",
    "client-77",
    "198.51.7.0/24",
    "nobody-at-all",
)
ADMINS = [
    (model, model_admin)
    for model, model_admin in admin.site._registry.items()
    if model._meta.app_label in ("lazyauth", "oauth2_provider") and model is not Overview
]


@pytest.mark.parametrize(("model", "model_admin"), ADMINS, ids=lambda given: getattr(given, "__name__", ""))
def test_no_page_of_a_table_reads_it_whole(operator, rf, model, model_admin):
    """The list, each choice of each filter, each search, a far page, and the page and history of a row."""
    listing = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
    changes = look(operator, listing).context["cl"]
    filters = [choice["query_string"] for spec in changes.filter_specs for choice in spec.choices(changes)]
    searches = [f"?q={term}" for term in TERMS if model_admin.get_search_fields(rf.get(listing))]
    row = model._default_manager.order_by("-pk").first()
    of_row = [f"{quote(row.pk)}/change/", f"{quote(row.pk)}/history/"]
    for rest in dict.fromkeys([*filters, *searches, "?p=400", *of_row]):
        look(operator, f"{listing}{rest}")


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
    job = EndingJob.objects.get(kind="client")
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
