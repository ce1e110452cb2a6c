"""What people and clients do with a provider, tried with each of them: from our ``/authorize`` to our ``/token``."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model

from django_lazyauth.models import ProviderIdentity, UpstreamToken
from django_lazyauth.upstream.fresh_token import fresh_token
from django_lazyauth.vault import store
from tests.support.journey import consent, get, make_browser, query_of, redeem, start

from .software import NAME, SIGNED_OUT_URI

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
    leaving = start(browser, client, provider=NAME)
    back = urlsplit(person.answer(leaving.headers["Location"], agree=agree))
    assert back.path == f"/callback/{NAME}"
    return browser, get(browser, f"{back.path}?{back.query}")


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
    assert real.count("userinfo_endpoint") == (1 if real.software.asks_userinfo else 0)


def test_client_authentication(real, ada, client_):
    """Our entry names no method. Where metadata name none either, it is found by the first sign-in, and kept."""
    sign_in(ada, client_)
    assert real.count("token_endpoint") == (2 if real.software.hides_method else 1)
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
