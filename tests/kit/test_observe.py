"""Issue 16: lines of the log with ids, metrics with bounded labels, and spans."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from datetime import date

import pytest
from django.core.checks import run_checks
from django.test import RequestFactory
from opentelemetry import trace
from prometheus_client import REGISTRY, generate_latest

from django_lazyauth.kit.observe import measure
from django_lazyauth.kit.observe.log_context import JsonFormatter, RequestContext
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.upkeep.sweep import sweep
from tests.support.journey import code_for, make_browser, post_form, redeem


@pytest.fixture
def lines():
    """What a host's handler writes."""
    written: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record):
            written.append(self.format(record))

    handler = Keeping()
    handler.addFilter(RequestContext())
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("django_lazyauth")
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


SECRET = "the secret" + " of the directory"


def fail(issued_for):
    raise LookupError(SECRET)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "is_kept"), [("of-the-proxy.1", True), ('forged","level":"', False), ("x" * 65, False)]
)
def test_a_line_names_request_and_session(client_, lazyauth, lines, given, is_kept):
    code = code_for(client_)
    lazyauth(TOKEN_CLAIMS=fail)
    form = client_.token_form(code)
    assert post_form(make_browser(), "/token", form, headers={"x-request-id": given}).status_code == 500
    line = next(one for one in map(json.loads, lines) if one["logger"] == "django_lazyauth.exchange")
    assert (line["request_id"] == given) is is_kept
    assert line["request_id"]
    assert line["session_id"] == str(PendingAuthorization.objects.get().pk)
    assert SECRET not in "".join(lines)
    assert code not in "".join(lines)


def test_a_line_outside_a_request_has_no_ids(lines):
    logging.getLogger("django_lazyauth.logout").error("two\nlines", extra={"provider": "google"})
    [line] = lines
    assert "\n" not in line
    said = json.loads(line)
    assert said["message"] == "two\nlines"
    assert said["provider"] == "google"
    assert not {"request_id", "session_id"} & set(said)


def test_i13_a_line_about_a_request_holds_no_query_and_no_text_of_an_object():
    """Django logs each refused request with the request itself: of a callback it has the code of the upstream."""

    class Holder:
        def __str__(self):
            return SECRET

    request = RequestFactory().get("/callback/demo", {"code": SECRET})
    extra = {"request": request, "status_code": 400, "held": [Holder()], "until": date(2030, 1, 2)}
    # Not by the logger: what pytest keeps of it could not be told by a worker.
    record = logging.getLogger("django_lazyauth").makeRecord(
        "django_lazyauth", logging.WARNING, "", 0, "Bad \u2028 \ud800", (), None, extra=extra
    )
    line = JsonFormatter().format(record)
    assert "secret" not in line
    assert line.isascii()
    said = json.loads(line)
    assert (said["request"], said["status_code"]) == ("GET /callback/demo", 400)
    assert (said["held"], said["until"]) == (["Holder"], "2030-01-02")


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


@pytest.mark.django_db
def test_what_happens_is_counted(client_, lazyauth):
    lazyauth(TELEMETRY=["prometheus"])
    watched = [
        ("lazyauth_token_request_seconds_count", {"grant": "authorization_code", "outcome": "ok"}),
        ("lazyauth_token_request_seconds_count", {"grant": "authorization_code", "outcome": "invalid_grant"}),
        ("lazyauth_token_request_seconds_count", {"grant": "other", "outcome": "unsupported_grant_type"}),
        ("lazyauth_sign_ins_total", {"provider": "demo", "outcome": "signed_in"}),
    ]
    before = [value(name, **labels) for name, labels in watched]
    code = code_for(client_)
    redeem(client_, code)
    redeem(client_, code)
    post_form(make_browser(), "/token", {"grant_type": "chosen-by-a-stranger"})
    assert [value(name, **labels) for name, labels in watched] == [count + 1 for count in before]
    assert b"chosen-by-a-stranger" not in generate_latest()
    list(sweep())


def test_domains_of_companies_are_one_label():
    assert measure.provider_label("sso:corp.example") == measure.provider_label("sso:other.example") == "sso"


@pytest.mark.django_db
def test_without_the_setting_nothing_is_counted(client_):
    labels = {"provider": "demo", "outcome": "signed_in"}
    before = value("lazyauth_sign_ins_total", **labels)
    code_for(client_)
    assert value("lazyauth_sign_ins_total", **labels) == before


class Recording(trace.TracerProvider, trace.Tracer):
    """A tracer provider of the host, which keeps its spans."""

    def __init__(self):
        self.spans: list[tuple[str, dict]] = []

    def get_tracer(self, *args, **kwargs):
        return self

    def start_span(self, *args, **kwargs):
        raise NotImplementedError  # Nothing of ours starts one that does not end with its block.

    @contextmanager
    def start_as_current_span(self, name, *args, **kwargs):
        attributes: dict = {}
        self.spans.append((name, attributes))
        span = trace.NonRecordingSpan(trace.INVALID_SPAN_CONTEXT)
        span.set_attribute = attributes.__setitem__
        yield span


@pytest.mark.django_db
def test_a_token_request_is_a_span(client_, lazyauth):
    provider = Recording()
    trace.set_tracer_provider(provider)
    lazyauth(TELEMETRY=["opentelemetry"])
    redeem(client_, code_for(client_))
    said = {"lazyauth.grant": "authorization_code", "lazyauth.outcome": "ok"}
    assert provider.spans == [("lazyauth_token_request", said)]


def test_a_package_that_is_missing_is_told_by_the_checks(lazyauth, monkeypatch):
    monkeypatch.setattr("django_lazyauth.checks.code.find_spec", lambda name: None)
    lazyauth(TELEMETRY=["prometheus"])
    assert "lazyauth.E003" in {message.id for message in run_checks()}
