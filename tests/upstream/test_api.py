"""Spec 3, used downstream: in a view of the same site, and over HTTP for another process."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.urls import include, path
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from django_lazyauth.api.authentication import LazyAuthAuthentication
from django_lazyauth.api.upstream import UpstreamTokenPermission
from django_lazyauth.errors import RefreshTransient
from django_lazyauth.models import UpstreamToken
from tests.conftest import register
from tests.support.journey import get, make_browser, post_form
from tests.upstream.conftest import sign_in_upstream

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class Tool(APIView):
    authentication_classes = [LazyAuthAuthentication, SessionAuthentication]
    permission_classes = []

    def get(self, request):
        credential = request.auth.upstream("acme")
        return Response({"token": credential.access_token})


class GuardedTool(Tool):
    permission_classes = [IsAuthenticated, UpstreamTokenPermission("acme")]


class EitherTool(Tool):
    permission_classes = [UpstreamTokenPermission("nowhere") | UpstreamTokenPermission("acme")]


class CarefulTool(Tool):
    def get(self, request):
        try:
            return super().get(request)
        except RefreshTransient as error:
            return Response({"later": error.code})


urlpatterns = [
    path("tool", Tool.as_view()),
    path("guarded", GuardedTool.as_view()),
    path("careful", CarefulTool.as_view()),
    path("", include("django_lazyauth.urls")),
]


@pytest.mark.parametrize("prefix", ["", "oauth/"], ids=["issuer at the root", "issuer with a path"])
def test_a_challenge_names_the_metadata_of_the_requested_url(db, settings, lazyauth, prefix):
    """RFC 9728 §3.1, §5.1: at the root of the origin, and readable there."""
    if prefix:
        settings.ROOT_URLCONF = "tests.stock_clients.urls_below_a_path"
        lazyauth(ISSUER="https://auth.example/oauth")
    url = "/api/whoever" if prefix else "/guarded"
    challenge = call(url).headers["WWW-Authenticate"]
    place = f"https://auth.example/.well-known/oauth-protected-resource{url}"
    assert f'resource_metadata="{place}"' in challenge
    assert get(make_browser(), urlsplit(place).path).json()["resource"] == f"https://auth.example{url}"


@pytest.mark.parametrize(
    ("named", "described"), [(["/guarded/"], "/guarded/"), (["/"], "/"), (["/guar"], ""), ([], "")]
)
def test_a_challenge_names_the_closest_resource_that_is_described(db, lazyauth, named, described):
    """RFC 9728 §5.1: never a document that does not exist."""
    lazyauth(PROTECTED_RESOURCES=named)
    challenge = call("/guarded").headers["WWW-Authenticate"]
    place = f"/.well-known/oauth-protected-resource{described}".rstrip("/" if described == "/" else "")
    assert f'resource_metadata="https://auth.example{place}"' in challenge
    assert get(make_browser(), place).status_code == 200


def call(url, token=None, **kwargs):
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return get(make_browser(), url, headers=headers, **kwargs)


BOTH = pytest.mark.parametrize("url", ["/tool", "/guarded"])


@BOTH
def test_a_view_gets_the_upstream_token_of_the_person(holder, url):
    answer = call(url, holder.access_token)
    assert answer.status_code == 200, answer.content
    assert answer.json() == {"token": holder.upstream_token()}


@BOTH
def test_a_token_that_ended_is_renewed_first(holder, url):
    before = holder.upstream_token()
    holder.expire()
    assert call(url, holder.access_token).json()["token"] == holder.upstream_token() != before


@BOTH
def test_after_a_refresh_of_ours_the_session_is_the_same(holder, client_, url):
    """Spec 3: a refresh of OUR tokens keeps ``tsid``, so the bundle stays reachable."""
    renewed = post_form(
        make_browser(),
        "/token",
        {
            "grant_type": "refresh_token",
            "refresh_token": holder.tokens["refresh_token"],
            "client_id": client_.client_id,
        },
    ).json()
    assert call(url, renewed["access_token"]).json()["token"] == holder.upstream_token()


@BOTH
def test_where_the_upstream_wants_a_new_sign_in_the_answer_is_401_with_a_challenge(holder, url):
    holder.expire()
    holder.upstream.control(token_answers=["invalid_grant"])
    answer = call(url, holder.access_token)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert answer.json()["error"] == "upstream_expired"


@BOTH
def test_a_passing_failure_is_503_with_retry_after(holder, url):
    holder.expire()
    holder.upstream.control(token_answers=["500"])
    answer = call(url, holder.access_token)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["error"] == "upstream_unavailable"


@BOTH
def test_what_cannot_be_renewed_is_409(holder, url):
    holder.expire()
    holder.rows.update(refresh_token="")
    assert call(url, holder.access_token).status_code == 409


@BOTH
def test_an_account_that_is_not_connected_is_403(holder, url):
    UpstreamToken.objects.filter(provider="acme").delete()
    answer = call(url, holder.access_token)
    assert (answer.status_code, answer.json()["error"]) == (403, "upstream_not_connected")


def test_the_guard_answers_401_without_a_token_and_403_to_other_ways_of_signing_in(holder, client):
    answer = call("/guarded")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert call("/guarded", "unknown").status_code == 401
    client.force_login(get_user_model().objects.get())
    assert client.get("/guarded").status_code == 403


def test_guard_and_view_ask_once(holder):
    """An upstream whose tokens live for less than the skew would else be asked twice."""
    holder.upstream.control(expires_in=30)
    holder.expire()
    assert call("/guarded", holder.access_token).status_code == 200
    assert holder.rows.get().version == 2


def test_guards_can_be_combined(holder):
    from rest_framework.test import APIRequestFactory

    request = APIRequestFactory().get("/", HTTP_AUTHORIZATION=holder.bearer)
    assert EitherTool.as_view()(request).status_code == 403  # the first of them speaks for itself


def test_a_view_that_knows_better_catches_what_the_flow_raises(holder):
    holder.expire()
    holder.upstream.control(token_answers=["500"])
    assert call("/careful", holder.access_token).json() == {"later": "http_500"}


# -- for another process -----------------------------------------------------------------------------------------


@pytest.fixture
def fetcher(upstream, client_, lazyauth):
    """A client that the operator named, and that the person allowed."""
    lazyauth(UPSTREAM_TOKEN_CLIENTS={client_.client_id: ["acme"]})
    client_.scope = "openid upstream:acme"
    return sign_in_upstream(upstream, client_)["access_token"]


def test_the_endpoint_is_off_by_default(holder):
    assert call("/upstream-tokens/acme", holder.access_token).status_code == 404
    assert call("/upstream-tokens/acme").status_code == 404


def test_a_named_client_that_was_allowed_gets_the_token(fetcher):
    answer = call("/upstream-tokens/acme", fetcher)
    assert answer.status_code == 200, answer.content
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json()
    assert body["access_token"].startswith("at-")
    assert (body["token_type"], body["version"]) == ("Bearer", 1)
    assert 3500 < body["expires_in"] <= 3600
    assert "refresh_token" not in body


def test_a_version_that_the_upstream_refused_is_renewed_once(fetcher):
    assert call("/upstream-tokens/acme?refused_version=1", fetcher).json()["version"] == 2
    assert call("/upstream-tokens/acme?refused_version=1", fetcher).json()["version"] == 2
    assert call("/upstream-tokens/acme?refused_version=x", fetcher).json()["version"] == 2


def test_without_the_scope_the_challenge_names_it(upstream, client_, lazyauth):
    """RFC 6750 §3.1."""
    lazyauth(UPSTREAM_TOKEN_CLIENTS={client_.client_id: ["acme"]})
    token = sign_in_upstream(upstream, client_)["access_token"]
    answer = call("/upstream-tokens/acme", token)
    assert answer.status_code == 403
    assert 'error="insufficient_scope", scope="upstream:acme"' in answer.headers["WWW-Authenticate"]


def test_a_client_that_is_not_named_any_more_is_refused(fetcher, lazyauth):
    register(client_id="other")
    lazyauth(UPSTREAM_TOKEN_CLIENTS={"other": ["acme"]})
    assert call("/upstream-tokens/acme", fetcher).status_code == 403


def test_a_client_that_is_not_named_cannot_ask_for_the_scope(upstream, client_):
    """I20."""
    client_.scope = "openid upstream:acme"
    answer = get(make_browser(), f"/authorize?{client_.authorize_query()}")
    assert "error=invalid_scope" in answer.headers["Location"]


def test_the_consent_page_says_what_the_scope_means(upstream, client_, lazyauth):
    from tests.support.journey import start
    from tests.upstream.conftest import go_upstream

    lazyauth(UPSTREAM_TOKEN_CLIENTS={client_.client_id: ["acme"]})
    client_.scope = "openid upstream:acme"
    browser = make_browser()
    answer = go_upstream(upstream, browser, start(browser, client_, provider="acme"))
    page = get(browser, answer.headers["Location"]).content.decode()
    assert "Act as you at Acme" in page


def test_the_endpoint_answers_errors_like_the_views(fetcher, upstream):
    from django_lazyauth.models import UpstreamToken

    assert call("/upstream-tokens/acme").status_code == 401
    upstream.control(token_answers=["html", "invalid_grant"])
    assert call("/upstream-tokens/acme?refused_version=1", fetcher).status_code == 503
    assert call("/upstream-tokens/acme?refused_version=1", fetcher).status_code == 401
    UpstreamToken.objects.all().delete()
    assert call("/upstream-tokens/acme", fetcher).status_code == 403


def test_the_endpoint_renews_also_where_every_request_is_a_transaction(fetcher, monkeypatch):
    """Spec 3, I18: ``ATOMIC_REQUESTS`` is the host's choice; our own endpoint talks to the upstream outside of it."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    answer = call("/upstream-tokens/acme?refused_version=1", fetcher)
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
