"""Spec 9: a provider like Google, which gives a refresh token with a consent only, through our pages to the vault."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from django_lazyauth.models import UpstreamGrant, UpstreamToken
from django_lazyauth.sessions import end
from django_lazyauth.upstream.fresh_token import fresh_token
from tests.support.journey import consent, make_browser, query_of, redeem, start
from tests.support.processes import together

from .conftest import go_upstream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def google(upstream, lazyauth, settings):
    """The preset, at a provider that answers as Google does. The site swaps its tokens."""
    entry = {
        "preset": "google",
        "issuer": upstream.issuer,
        "issuer_aliases": [],
        "client_id": upstream.client_id,
        "client_secret": upstream.client_secret,
    }
    lazyauth(
        PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"google": entry},
        UPSTREAM_SWAP={"paths": {"/tools/": "google"}},
    )
    upstream.control(consented=[])
    return upstream


class Session:
    """One sign-in with a browser of its own."""

    def __init__(self, upstream, client_):
        self.prompts = []
        browser = make_browser()
        answer = start(browser, client_, provider="google")
        while answer.headers["Location"].startswith(upstream.issuer):
            query = query_of(answer.headers["Location"])
            assert query["access_type"] == "offline"
            assert query["scope"] == "openid profile email"
            self.prompts.append(query.get("prompt"))
            answer = go_upstream(upstream, browser, answer)
        if not answer.headers["Location"].startswith(client_.redirect_uri):
            answer = consent(browser, answer)
        tokens = redeem(client_, query_of(answer.headers["Location"])["code"])
        assert tokens.status_code == 200, tokens.content
        self.row = UpstreamToken.objects.latest("pk")

    def renew(self):
        row = self.row
        return fresh_token(row.session_id, "google", user_id=row.user_id, client_id=row.client_id)

    def end(self):
        end.end_session(self.row.session_id)


def expire():
    UpstreamGrant.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def refreshes(upstream):
    return [one for one in upstream.requests("/token") if one["form"].get("grant_type") == "refresh_token"]


def test_nobody_is_asked_twice_at_their_first_consent(google, client_):
    assert Session(google, client_).prompts == [None]


def test_who_consented_before_is_asked_once_and_not_for_the_next_session(google, client_):
    google.control(consented=["person-1"])
    sessions = [Session(google, client_) for _ in range(3)]
    assert [session.prompts for session in sessions] == [[None, "consent"], [None], [None]]
    assert UpstreamGrant.objects.count() == 1


@pytest.mark.parametrize("consented", [[], ["person-1"]])
def test_a_second_session_without_a_refresh_token_of_its_own_renews_as_the_first_does(
    google, client_, consented
):
    google.control(consented=consented)
    first, second = Session(google, client_), Session(google, client_)
    for session, other in ((second, first), (first, second), (second, first)):
        expire()
        renewed = session.renew()
        assert other.renew() == renewed
    assert len(refreshes(google)) == 3


def test_two_sessions_that_refresh_at_once_cause_one_request(google, client_):
    first, second = Session(google, client_), Session(google, client_)
    expire()
    google.control(delay=0.2)
    renewed = together(*([first.renew, second.renew] * 5))
    assert {one.version for one in renewed} == {renewed[0].version}
    assert len(refreshes(google)) == 1


@pytest.mark.parametrize("leaver", [0, 1])
def test_a_sign_out_of_one_session_never_hurts_the_other(google, client_, leaver):
    sessions = [Session(google, client_), Session(google, client_)]
    sessions.pop(leaver).end()
    expire()
    assert sessions[0].renew().access_token
    sessions[0].end()
    assert not UpstreamGrant.objects.exists()
    # A revocation would end all that the person allowed this site there.
    assert google.requests("/revoke") == []
