"""What people and clients do with a provider, tried with each of them: from our ``/authorize`` to our ``/token``."""

from __future__ import annotations

import time
from contextlib import ExitStack
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from django_lazyauth.errors import RefreshExpired
from django_lazyauth.models import GrantState, ProviderIdentity, UpstreamGrant, UpstreamToken
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sessions import end
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault import leave, store
from tests.support.journey import consent, get, make_browser, post_form, query_of, redeem, start
from tests.support.racers import racer

from .software import CLIENT_ID, NAME, SIGNED_OUT_URI

# The first test of all installs the packages.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services, pytest.mark.timeout(600)]


@pytest.fixture
def ada(real):
    """Somebody whom the provider knows and we do not."""
    sub = f"ada-{uuid4().hex[:12]}"
    real.knows(sub, email=f"{sub}@people.example", email_verified=True, name="Ada Lovelace")
    with real.person(sub) as person:
        person.sub = sub
        yield person


def go(person, client, *, agree=True):
    """Leave for the provider and come back; return browser and answer."""
    browser = make_browser()
    answer = start(browser, client, provider=NAME)
    while answer.headers.get("Location", "").startswith("http://127.0.0.1:"):
        # The second time for consent.
        back = urlsplit(person.answer(answer.headers["Location"], agree=agree))
        assert back.path == f"/callback/{NAME}"
        answer = get(browser, f"{back.path}?{back.query}")
    return browser, answer


def sign_in(person, client):
    browser, answer = go(person, client)
    assert "Location" in answer.headers, answer.content.decode()
    if not answer.headers["Location"].startswith(client.redirect_uri):
        answer = consent(browser, answer)
    tokens = redeem(client, query_of(answer.headers["Location"])["code"])
    assert tokens.status_code == 200, tokens.content
    return tokens.json()


def held(row=None):
    row = row or UpstreamToken.objects.get(provider=NAME)
    return store.get(row.session_id, NAME, user_id=row.user_id, client_id=row.client_id)


def renewed(row=None):
    row = row or UpstreamToken.objects.get(provider=NAME)
    fresh_token(row.session_id, NAME, user_id=row.user_id, client_id=row.client_id, force=True)
    return held(row)


def test_sign_in(real, ada, client_):
    tokens = sign_in(ada, client_)
    assert tokens["id_token"]
    identity = ProviderIdentity.objects.get()
    assert (identity.issuer, identity.name) == (real.issuer, "Ada Lovelace")
    assert identity.email == f"{ada.sub}@people.example"
    assert identity.email_verified is real.software.verifies_email
    # An address that nobody verified is not the user's.
    assert identity.user.email == (identity.email if identity.email_verified else "")
    assert held().access_token


def test_again_with_changed_claims(real, ada, client_):
    """Who has another name and address is the same user, whose identity says so."""
    sign_in(ada, client_)
    real.knows(ada.sub, email=f"new-{ada.sub}@people.example", email_verified=True, name="Ada King")
    sign_in(ada, client_)
    assert get_user_model().objects.count() == 1
    identity = ProviderIdentity.objects.get()
    assert (identity.email, identity.name) == (f"new-{ada.sub}@people.example", "Ada King")
    assert identity.email_verified is real.software.verifies_email
    user, said = identity.user, (identity.name, identity.email)
    assert ((user.first_name, user.email) == said) is real.software.updates_users
    assert UpstreamToken.objects.filter(provider=NAME).count() == 2


def test_refresh(real, ada, client_):
    """The provider is asked each time. Access tokens that it gave within one second may be the same token."""
    sign_in(ada, client_)
    real.count("token_endpoint")
    versions = [held().version, renewed().version, renewed().version]
    assert versions == sorted(set(versions))
    assert real.count("token_endpoint") == 2


def test_rotation(real, ada, client_):
    """Each refresh is done with the token that the last one gave (RFC 9700 §4.14.2)."""
    sign_in(ada, client_)
    tokens = [held().refresh_token, renewed().refresh_token, renewed().refresh_token]
    assert len(set(tokens)) == 3


def test_two_sessions(real, ada, client_):
    """Both renew in turn, and none uses a refresh token that the other has used."""
    sign_in(ada, client_)
    sign_in(ada, client_)
    rows = list(UpstreamToken.objects.filter(provider=NAME))
    assert len(rows) == 2
    for row in rows * 3:
        before = held(row).version
        assert renewed(row).version > before


def two_sessions(person, client):
    sign_in(person, client)
    sign_in(person, client)
    rows = list(UpstreamToken.objects.filter(provider=NAME).order_by("pk"))
    assert len(rows) == 2
    return rows


def test_sessions_of_four_processes(real, ada, client_):
    """Two sessions of one browser renew 50 times, and none uses a refresh token that another has used."""
    first, second = two_sessions(ada, client_)
    real.count("token_endpoint")
    with ExitStack() as stack:
        racers = [
            stack.enter_context(
                racer(
                    work="refresh",
                    threads=1,
                    times=50,
                    provider=NAME,
                    sessions=[first.session_id, second.session_id],
                    user_id=first.user_id,
                    client_id=first.client_id,
                )
            )
            for _ in range(4)
        ]
        for one in racers:
            one.go()
        results = [result for one in racers for result in one.result()]
    assert len(results) == 200
    assert [result for result in results if "error" in result] == []
    assert real.count("token_endpoint") >= 50
    for row in (first, second):
        assert renewed(row).access_token


def test_one_question(real, ada, client_):
    """Spec 9: who has to consent for a refresh token is asked once, also for a second session."""
    asked = []
    browser = make_browser()
    for _ in range(2):
        answer, prompts = start(browser, client_, provider=NAME), []
        while answer.headers.get("Location", "").startswith(real.issuer):
            prompts.append(query_of(answer.headers["Location"]).get("prompt"))
            back = urlsplit(ada.answer(answer.headers["Location"]))
            answer = get(browser, f"{back.path}?{back.query}")
        asked.append(prompts)
        if not answer.headers["Location"].startswith(client_.redirect_uri):
            answer = consent(browser, answer)
        assert redeem(client_, query_of(answer.headers["Location"])["code"]).status_code == 200
        browser = make_browser()
    assert asked == [[None, "consent"], [None]]
    assert UpstreamGrant.objects.count() == 1
    for row in UpstreamToken.objects.filter(provider=NAME):
        assert renewed(row).refresh_token


def test_one_session_ends(real, ada, client_):
    leaver, stayer = two_sessions(ada, client_)
    end.end_session(leaver.session_id)
    assert renewed(stayer).access_token


def left():
    """Wait until nothing is to be revoked any more."""
    give_up = time.monotonic() + 20
    while UpstreamGrant.objects.filter(state=GrantState.LEAVING).exists():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def configure(real, lazyauth, settings, **keys):
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {NAME: real.entry() | keys})


def test_revocation(real, ada, client_, lazyauth, settings):
    """RFC 7009: the last session of a family takes its refresh token along, and no other."""
    configure(real, lazyauth, settings, revocation="token")
    leaver, stayer = two_sessions(ada, client_)
    families = UpstreamGrant.objects.count()
    real.count("revocation_endpoint")
    end.end_session(leaver.session_id)
    left()
    bundle = renewed(stayer)
    end.end_session(stayer.session_id)
    left()
    assert real.count("revocation_endpoint") == families
    with pytest.raises(RefreshExpired):
        get_provider(NAME).refresh(bundle)


def test_two_families(real, ada, client_, lazyauth, settings):
    """A revocation may end all that a person allowed there. So it waits for the last session of all families."""
    configure(real, lazyauth, settings, offline_prompt="always")
    leaver, stayer = two_sessions(ada, client_)
    assert UpstreamGrant.objects.count() == 2
    real.count("revocation_endpoint")
    leave.delete(leaver.session_id, withdrawn=True)
    left()
    assert real.count("revocation_endpoint") == 0
    assert renewed(stayer).access_token
    leave.delete(stayer.session_id, withdrawn=True)
    left()
    assert real.count("revocation_endpoint") == 1


def test_cancel(real, ada, client_):
    _, page = go(ada, client_, agree=False)
    assert page.status_code == 200
    assert "You did not sign in with Real." in page.content.decode()
    assert 'value="demo"' in page.content.decode()
    assert not get_user_model().objects.exists()


@pytest.fixture
def signs_in_after(real, ada, client_):
    """A sign-in after which the provider changes its key, and one more that succeeds at once."""

    def both(*, same_kid):
        sign_in(ada, client_)
        real.change_key(same_kid=same_kid)
        sign_in(ada, client_)
        assert ProviderIdentity.objects.count() == 1

    return both


def test_new_key(signs_in_after):
    signs_in_after(same_kid=False)


def test_new_key_with_the_old_id(signs_in_after):
    signs_in_after(same_kid=True)


def test_userinfo(real, ada, client_):
    """It is asked once, and only where the ID token does not say what was asked for (OpenID Connect Core §5.4)."""
    sign_in(ada, client_)
    answers = 2 if real.software.asks_consent else 1
    assert real.count("userinfo_endpoint") == (answers if real.software.asks_userinfo else 0)


def test_client_authentication(real, ada, client_):
    """Our entry names no method. Where metadata name none either, it is found by the first sign-in, and kept."""
    sign_in(ada, client_)
    assert real.count("token_endpoint") == (
        2 if real.software.hides_method or real.software.asks_consent else 1
    )
    sign_in(ada, client_)
    assert real.count("token_endpoint") == 1


def test_sign_out(real, ada, client_, lazyauth, settings):
    """RP-Initiated Logout 1.0: who signs out here goes on there, and is asked the next time."""
    entry = real.entry() | {"upstream_logout": "always"}
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {NAME: entry})
    browser, answer = go(ada, client_)
    code = query_of(consent(browser, answer).headers["Location"])["code"]
    id_token = redeem(client_, code).json()["id_token"]
    go(ada, client_)
    assert ada.logins == 1, "the provider knows the browser"
    get(browser, f"/authorize?{client_.authorize_query()}")
    leaving = get(browser, f"/logout?id_token_hint={id_token}")
    assert leaving.headers["Location"].startswith(real.metadata["end_session_endpoint"])
    back = urlsplit(ada.sign_out(leaving.headers["Location"]))
    assert f"{back.scheme}://{back.netloc}{back.path}" == SIGNED_OUT_URI
    assert "You are signed out" in get(browser, f"{back.path}?{back.query}").content.decode()
    go(ada, client_)
    assert ada.logins == 2


def test_sign_out_there(real, ada, client_):
    """OpenID Connect Back-Channel Logout 1.0: who signs out there is signed out here, and nobody else."""
    sign_in(ada, client_)
    ended = UpstreamToken.objects.get(provider=NAME)
    real.knows("grace", email="grace@people.example", email_verified=True, name="Grace Hopper")
    with real.person("grace") as grace:
        sign_in(grace, client_)
    real.told()
    query = urlencode({"client_id": CLIENT_ID, "post_logout_redirect_uri": SIGNED_OUT_URI})
    ada.sign_out(f"{real.metadata['end_session_endpoint']}?{query}")
    [form] = real.told()
    assert post_form(make_browser(), f"/upstream-logout/{NAME}", form).status_code == 200
    [stayed] = UpstreamToken.objects.filter(provider=NAME)
    assert stayed.session_id != ended.session_id
    assert renewed(stayed).access_token
    assert post_form(make_browser(), f"/upstream-logout/{NAME}", form).status_code == 400
