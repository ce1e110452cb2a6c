"""I13: recognisable secrets go through everything that the vault does, and stand nowhere in the clear."""

from __future__ import annotations

import logging
import traceback

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework.views import exception_handler as drf_handler

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.errors import LazyAuthError
from django_lazyauth.models import (
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    ProviderKeySet,
    UpstreamGrant,
    UpstreamToken,
)
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault import store
from tests.support.journey import consent, get, make_browser, post_form, query_of, redeem, start
from tests.upstream.conftest import go_upstream

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(__name__)]

CANARY = "canary0secret"


class Tool(APIView):
    authentication_classes = [LazyAuthAuthentication]
    permission_classes = []

    def get(self, request):
        credential = request.auth.upstream("acme", force="force" in request.query_params)
        return Response({"version": credential.version})


urlpatterns = [
    path("admin/", admin.site.urls),
    path("tool", Tool.as_view()),
    path("", include("django_lazyauth.urls")),
]


class Watch:
    """Collects every text that leaves: answers, logs, exceptions, reprs."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, *things: object) -> None:
        self.texts += [thing if isinstance(thing, str) else repr(thing) for thing in things]

    def answer(self, response) -> None:
        self.add(response.content.decode(errors="replace"), str(response.headers), str(response.cookies))

    def error(self, error: BaseException) -> None:
        self.add(str(error), error, error.args, "".join(traceback.format_exception(error)))
        self.add(*(vars(error) or {"": ""}).values())

    def leaks(self) -> list[str]:
        return [text[max(0, text.find(CANARY) - 60) :][:200] for text in self.texts if CANARY in text]


@pytest.fixture
def watch(monkeypatch):
    watch = Watch()

    def handler(error, context):
        watch.error(error)
        return drf_handler(error, context)

    monkeypatch.setattr("rest_framework.settings.api_settings.EXCEPTION_HANDLER", handler)
    return watch


FAILURES = [
    {"status": 400, "body": {"error": f"{CANARY}-code", "error_description": f"{CANARY}-text"}},
    {"status": 400, "body": {"error": CANARY.upper(), "error_uri": f"https://x.example/{CANARY}"}},
    {"status": 500, "body": {"trace": CANARY}},
    {"status": 200, "body": {"access_token": "", "refresh_token": CANARY}},
    {"status": 200, "body": {"access_token": CANARY, "token_type": CANARY}},
    {"status": 200, "body": [CANARY]},
    {"status": 302, "body": {"location": CANARY}},
    {"status": 401, "body": {"error": "invalid_grant", "error_description": CANARY}},
]


def database_text() -> str:
    """Return everything that the database holds: each table, and on SQLite the file with its log."""
    connection.ensure_connection()
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            found += [repr(row) for row in cursor.fetchall()]
    if connection.vendor == "sqlite":
        name = settings.DATABASES["default"]["NAME"]
        for path_ in (name, f"{name}-wal"):
            try:
                with open(path_, "rb") as file:
                    found.append(file.read().decode("latin-1"))
            except FileNotFoundError:
                continue
    return "\n".join(found)


def admin_pages() -> list[str]:
    operator = Client()
    operator.force_login(get_user_model().objects.create_superuser("operator"))
    pages = []
    for model in (
        UpstreamToken,
        UpstreamGrant,
        PendingAuthorization,
        DeferredRegistration,
        ProviderIdentity,
        ProviderKeySet,
    ):
        base = f"/admin/lazyauth/{model._meta.model_name}"
        for url in [f"{base}/", *(f"{base}/{row.pk}/change/" for row in model.objects.all())]:
            page = operator.get(url)
            assert page.status_code == 200
            pages.append(page.content.decode())
    return pages


def test_no_upstream_secret_shows_in_answers_logs_exceptions_reprs_admin_or_database(
    upstream, client_, watch, caplog
):
    caplog.set_level(logging.DEBUG)
    upstream.control(prefix=f"{CANARY}-", token={"unknown_member": f"{CANARY}-unknown"})
    client_.scope = "openid"

    # Sign in; a deferred registration holds the tokens; the exchange stores them.
    browser = make_browser()
    answer = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
    watch.answer(answer)
    watch.add(database_text(), *admin_pages())
    get_user_model().objects.all().delete()
    answer = consent(browser, answer)
    tokens = redeem(client_, query_of(answer.headers["Location"])["code"])
    watch.answer(tokens)
    bearer = {"authorization": f"Bearer {tokens.json()['access_token']}"}

    # Renew; let it fail in every way there is, the last of which ends the bundle.
    good = get(make_browser(), "/tool?force", headers=bearer)
    assert good.json() == {"version": 2}
    watch.answer(good)
    row = UpstreamToken.objects.get()
    binding = {
        "session_id": row.session_id,
        "provider": "acme",
        "user_id": row.user_id,
        "client_id": row.client_id,
    }
    bundle = store.get(**binding)
    assert bundle.access_token.startswith(f"{CANARY}-at-")
    assert bundle.refresh_token.startswith(f"{CANARY}-rt-")
    watch.add(bundle, fresh_token(**binding), str(bundle), row, vars(row))
    upstream.control(token_answers=FAILURES)
    for failure in FAILURES[:-1]:
        failed = get(make_browser(), "/tool?force", headers=bearer)
        assert failed.status_code == 503, failure
        watch.answer(failed)
    try:
        fresh_token(**binding, force=True)
    except LazyAuthError as error:
        watch.error(error)
        watch.add(*_locals_that_a_debug_page_shows(error))
    failed = get(make_browser(), "/tool?force", headers=bearer)
    assert failed.status_code == 401
    watch.answer(failed)

    # A seal that breaks, a rotation, a refresh of ours, and the end.
    call_command("rotate_vault_keys")
    UpstreamGrant.objects.update(state="live", refresh_token="v1.gone.AAAA")
    watch.answer(get(make_browser(), "/tool?force", headers=bearer))
    form = {"grant_type": "refresh_token", "client_id": client_.client_id}
    watch.answer(
        post_form(make_browser(), "/token", form | {"refresh_token": tokens.json()["refresh_token"]})
    )
    watch.add(database_text(), *admin_pages())

    assert len(caplog.records) > 5
    watch.add(caplog.text, *(repr(vars(record)) for record in caplog.records))
    assert watch.leaks() == []
    assert len(watch.texts) > 60


def _locals_that_a_debug_page_shows(error: BaseException) -> list[str]:
    """Return what Django's error report would show of the frames: sensitive variables are starred there."""
    from django.test import RequestFactory
    from django.views.debug import ExceptionReporter

    reporter = ExceptionReporter(RequestFactory().get("/"), type(error), error, error.__traceback__)
    frames = reporter.get_traceback_frames()
    return [
        str(variable)
        for frame in frames
        if "/django_lazyauth/" in frame["filename"]
        for variable in frame["vars"]
    ]


def test_the_watch_would_see_a_leak():
    watch = Watch()
    watch.add("nothing", {"token": f"{CANARY}-x"})
    assert len(watch.leaks()) == 1
