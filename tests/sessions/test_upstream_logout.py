"""OpenID Connect Back-Channel Logout 1.0, as a client of a provider: what a logout token ends here."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from uuid import UUID

import jwt
import pytest
from django.utils import timezone

from django_lazyauth.models import (
    DeferredRegistration,
    LogoutDelivery,
    PendingAuthorization,
    ProviderIdentity,
    UpstreamToken,
    UsedLogoutToken,
)
from django_lazyauth.sessions import upstream_logout
from django_lazyauth.upkeep.sweep import sweep
from tests.support.journey import come_back, consent, get, make_browser, post_form, query_of, redeem, start
from tests.support.processes import together
from tests.upstream.conftest import go_upstream

from .conftest import SignedIn, signed_in_at, wants_to_hear

pytestmark = pytest.mark.django_db(transaction=True)


def code_of(upstream, client, browser, *, sid="s-1", sub="person-1", provider="acme"):
    """Sign in at the provider and return the code that the client gets."""
    upstream.control(claims={"sid": sid}, sub=sub)
    answer = go_upstream(upstream, browser, start(browser, client, provider=provider))
    if not answer.headers["Location"].startswith(client.redirect_uri):
        answer = consent(browser, answer)
    upstream.control(claims={})
    return query_of(answer.headers["Location"])["code"]


def sign_in(upstream, client, browser=None, **there) -> SignedIn:
    browser = browser or make_browser()
    answer = redeem(client, code_of(upstream, client, browser, **there))
    assert answer.status_code == 200, answer.content
    return SignedIn(browser, client, answer.json())


def send(token, provider="acme", **headers):
    return post_form(make_browser(), f"/upstream-logout/{provider}", {"logout_token": token}, **headers)


def is_taken(answer) -> bool:
    assert answer.headers["Cache-Control"] == "no-store"
    if answer.status_code == 200:
        return True
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), answer.content
    return False


# -- what ends --------------------------------------------------------------------------------------------------


def test_the_session_of_a_sid_ends_and_no_other(upstream, trail):
    """§2.7."""
    ada, elsewhere = sign_in(upstream, trail, sid="s-1"), sign_in(upstream, trail, sid="s-2")
    # Both in the same second, as ``auth_time`` tells it.
    PendingAuthorization.objects.update(auth_time=timezone.now())
    assert is_taken(send(upstream.logout_token(sid="s-1", sub="person-1")))
    assert (ada.is_alive(), elsewhere.is_alive()) == (False, True)
    assert UpstreamToken.objects.get().upstream_sid == "s-2"


def test_all_sessions_of_a_person_end_by_their_subject(upstream, trail, maps):
    first, second = sign_in(upstream, trail, sid="s-1"), sign_in(upstream, maps, sid="s-2")
    somebody = sign_in(upstream, trail, sid="s-3", sub="person-2")
    assert is_taken(send(upstream.logout_token(sub="person-1")))
    assert (first.is_alive(), second.is_alive(), somebody.is_alive()) == (False, False, True)


def test_what_the_browser_signed_in_to_without_asking_the_provider_again_ends_too(upstream, trail, maps):
    ada = sign_in(upstream, trail, sid="s-1")
    get(ada.browser, "/account/sessions")  # the next visit: the browser is signed in on this site
    beside = signed_in_at(maps, browser=ada.browser)
    assert len(upstream.requests("/authorize")) == 1
    assert is_taken(send(upstream.logout_token(sid="s-1")))
    assert (ada.is_alive(), beside.is_alive()) == (False, False)


@pytest.mark.parametrize("named", [{"sid": "s-1"}, {"sub": "person-1"}])
def test_i21_the_browser_is_signed_out_here_and_can_sign_in_again(upstream, trail, maps, named):
    """Otherwise the next client would get a session without anybody asking the provider."""
    ada = sign_in(upstream, trail)
    bob = sign_in(upstream, trail, sid="s-2", sub="person-2")
    for one in (ada, bob):
        get(one.browser, "/account/sessions")
        assert "_auth_user_id" in one.browser.session
    send(upstream.logout_token(**named))
    for one in (ada, bob):
        get(one.browser, f"/authorize?{maps.authorize_query()}")
    assert "_auth_user_id" not in ada.browser.session
    assert "_auth_user_id" in bob.browser.session
    again = sign_in(upstream, maps, ada.browser, sid="s-3")
    get(ada.browser, "/account/sessions")
    assert "_auth_user_id" in ada.browser.session
    assert again.is_alive()


def test_our_client_is_told(upstream, trail):
    wants_to_hear(trail, "https://client.example/hear")
    ada = sign_in(upstream, trail)
    send(upstream.logout_token(sid="s-1"))
    assert LogoutDelivery.objects.get().session_id == UUID(ada.sid)


@pytest.mark.parametrize("named", [{"sid": "s-1"}, {"sub": "person-1"}])
def test_i21_a_code_that_waits_is_good_for_nothing_any_more(upstream, trail, named):
    """The person signed out there before the client redeemed the code."""
    code = code_of(upstream, trail, make_browser())
    assert DeferredRegistration.objects.get().upstream_sid == "s-1"
    assert is_taken(send(upstream.logout_token(**named)))
    assert redeem(trail, code).status_code == 400
    assert not ProviderIdentity.objects.exists()


@pytest.mark.parametrize("named", [{"sid": "s-1"}, {"sub": "person-1"}])
def test_of_an_account_that_was_only_connected_the_tokens_go(upstream, trail, lazyauth, named):
    lazyauth(CHAINS=[{"client": trail.client_id, "providers": ["demo", "acme"]}])
    upstream.control(claims={"sid": "s-1"})
    browser = make_browser()
    answer = come_back(browser, get(browser, f"/authorize?{trail.authorize_query()}"), subject="ada")
    if answer.headers["Location"].startswith("/"):
        answer = consent(browser, answer)
    answer = go_upstream(upstream, browser, answer)
    if not answer.headers["Location"].startswith(trail.redirect_uri):
        answer = consent(browser, answer)
    code = query_of(answer.headers["Location"])["code"]
    ada = SignedIn(browser, trail, redeem(trail, code).json())
    assert UpstreamToken.objects.filter(provider="acme", upstream_sid="s-1").exists()
    assert is_taken(send(upstream.logout_token(**named)))
    assert not UpstreamToken.objects.filter(provider="acme").exists()
    assert ada.is_alive()


def test_who_is_signed_out_already_is_no_error(upstream):
    """§2.7: the provider need not try again."""
    assert is_taken(send(upstream.logout_token(sid="unknown")))
    assert is_taken(send(upstream.logout_token(sub="unknown")))


def test_a_token_may_be_for_an_app_of_the_site(upstream, trail, lazyauth, settings):
    config = upstream.config(audiences=["ios"])
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": config})
    ada = sign_in(upstream, trail)
    assert is_taken(send(upstream.logout_token(sub="person-1", aud="ios")))
    assert not ada.is_alive()


@pytest.mark.parametrize("header", [{"typ": "logout+jwt"}, {"typ": "JWT"}, {"typ": None}])
def test_the_types_of_a_logout_token(upstream, trail, header):
    ada = sign_in(upstream, trail)
    assert is_taken(send(upstream.logout_token(sid="s-1", header=header)))
    assert not ada.is_alive()


def test_a_token_of_64_kib_is_taken(upstream, trail):
    """The limit is that of the ID tokens of a configured provider."""
    ada = sign_in(upstream, trail)
    token = upstream.logout_token(sub="person-1", groups=["g" * 100] * 460)
    assert 60 * 1024 < len(token) <= 64 * 1024
    assert is_taken(send(token))
    assert not ada.is_alive()


def test_a_provider_that_changed_its_keys_is_heard(upstream, trail):
    """I15: the keys are fetched once, in that request."""
    ada = sign_in(upstream, trail)
    upstream.control(rotate_keys=True)
    assert is_taken(send(upstream.logout_token(sid="s-1")))
    assert not ada.is_alive()


@pytest.mark.parametrize("named", [{"sid": "s-1"}, {"sub": "person-1"}])
def test_a_provider_whose_accounts_are_kept_under_another_name_ends_them(
    upstream, trail, lazyauth, settings, named
):
    second = upstream.config(accounts_of="acme")
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": upstream.config(), "second": second})
    code = code_of(upstream, trail, make_browser(), provider="second")
    assert is_taken(send(upstream.logout_token(**named), "second"))
    assert redeem(trail, code).status_code == 400
    ada = sign_in(upstream, trail, provider="second")
    assert ProviderIdentity.objects.get().provider == "acme"
    assert is_taken(send(upstream.logout_token(**named), "second"))
    assert not ada.is_alive()


# -- what ends nothing ------------------------------------------------------------------------------------------


def unsigned(token: str) -> str:
    _header, payload, _ = token.split(".")
    none = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    return f"{none}.{payload}."


def hashed(token: str) -> str:
    claims = jwt.decode(token, options={"verify_signature": False})
    return jwt.encode(claims, "a-key-that-everybody-knows-by-now-of-32", algorithm="HS256")


def ago(seconds: int) -> int:
    """Return the time then, as the test runs: a module may be imported long before."""
    return int(time.time()) - seconds


WRONG = {
    "a nonce": lambda upstream: upstream.logout_token(sid="s-1", nonce="n"),
    "an ID token": lambda upstream: upstream.id_token(nonce=None),
    "no event": lambda upstream: upstream.logout_token(sid="s-1", events={}),
    "events that are a list": lambda upstream: upstream.logout_token(
        sid="s-1", events=["backchannel-logout"]
    ),
    "another audience": lambda upstream: upstream.logout_token(sid="s-1", aud="somebody-else"),
    "another issuer": lambda upstream: upstream.logout_token(sid="s-1", iss="https://evil.example"),
    "alg none": lambda upstream: unsigned(upstream.logout_token(sid="s-1")),
    "a hash": lambda upstream: hashed(upstream.logout_token(sid="s-1")),
    "another type": lambda upstream: upstream.logout_token(sid="s-1", header={"typ": "at+jwt"}),
    "too old": lambda upstream: upstream.logout_token(sid="s-1", iat=ago(700), exp=ago(-300)),
    "expired": lambda upstream: upstream.logout_token(sid="s-1", iat=ago(300), exp=ago(100)),
    "no exp": lambda upstream: upstream.logout_token(sid="s-1", exp=None),
    "no jti": lambda upstream: upstream.logout_token(sid="s-1", jti=None),
    "an odd jti": lambda upstream: upstream.logout_token(sid="s-1", jti="\ud800"),
    "nobody": lambda upstream: upstream.logout_token(),
    "an odd sid": lambda upstream: upstream.logout_token(sid=["s-1"], sub="person-1"),
    "a sid that no database holds": lambda upstream: upstream.logout_token(sid="s-1\0"),
    "rubbish": lambda upstream: "rubbish",
    "a long one": lambda upstream: "x" * 70_000,
}


@pytest.mark.parametrize("name", WRONG)
def test_i25_a_token_that_is_wrong_in_one_respect_ends_nothing(upstream, trail, name):
    """§2.6."""
    ada = sign_in(upstream, trail)
    assert not is_taken(send(WRONG[name](upstream)))
    assert ada.is_alive()
    assert not UsedLogoutToken.objects.exists()


def test_i25_a_token_is_good_once(upstream, trail):
    token = upstream.logout_token(sub="person-1")
    assert is_taken(send(token))
    again = sign_in(upstream, trail)
    assert not is_taken(send(token))
    assert again.is_alive()
    assert UsedLogoutToken.objects.get().jti_digest not in token


def test_i25_of_the_same_token_at_once_one_is_taken(upstream, trail):
    ada, token = sign_in(upstream, trail), upstream.logout_token(sid="s-1")
    answers = together(*[lambda: send(token).status_code] * 4)
    assert sorted(answers) == [200, 400, 400, 400]
    assert not ada.is_alive()


def test_tokens_of_one_person_at_once_end_all(upstream, trail, maps):
    held = [sign_in(upstream, client, sid=f"s-{n}") for n, client in enumerate((trail, maps, trail, maps))]
    tokens = [upstream.logout_token(sid=f"s-{n}") for n in range(4)] + [upstream.logout_token(sub="person-1")]
    answers = together(*[lambda token=token: send(token).status_code for token in tokens])
    assert set(answers) == {200}
    assert not any(one.is_alive() for one in held)


def test_i19_the_session_of_another_provider_does_not_end(upstream, trail, lazyauth, settings):
    """Its own session of the same name is none of this provider's."""
    config = upstream.config(issuer_aliases=["https://alias.example"])
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": upstream.config(), "second": config})
    ada = sign_in(upstream, trail, sid="s-1", provider="second")
    assert not is_taken(send(upstream.logout_token(sid="s-1")))
    assert ada.is_alive()
    assert is_taken(send(upstream.logout_token(sid="s-1"), "second"))
    assert not ada.is_alive()


def test_a_token_that_nobody_could_act_on_can_be_sent_again(upstream, trail, monkeypatch):
    """What ends and the token that was spent for it are written together."""
    ada, token = sign_in(upstream, trail), upstream.logout_token(sid="s-1")
    with monkeypatch.context() as patch:
        patch.setattr(upstream_logout.end, "end_flow", lambda _: 1 / 0)
        assert send(token).status_code == 500
    assert ada.is_alive()
    assert is_taken(send(token))
    assert not ada.is_alive()


def test_a_provider_may_be_kept_from_it(upstream, trail, lazyauth, settings):
    config = upstream.config(backchannel_logout=False)
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": config})
    ada = sign_in(upstream, trail)
    assert not is_taken(send(upstream.logout_token(sid="s-1")))
    assert ada.is_alive()


@pytest.mark.parametrize("name", ["unknown", "demo", "sso:corp.example"])
def test_who_is_no_such_provider_is_refused(db, name):
    assert not is_taken(send("x.y.z", name))


def test_a_provider_that_is_down_is_asked_to_come_again(upstream):
    upstream.control(down=True)
    answer = send("x.y.z")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (503, "no-store")
    assert int(answer.headers["Retry-After"]) > 0


def test_get_is_not_taken(upstream):
    answer = get(make_browser(), f"/upstream-logout/acme?logout_token={upstream.logout_token(sid='s-1')}")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_it_is_bounded_by_network_and_provider(upstream, settings):
    answers = [send("x.y.z").status_code for _ in range(61)]
    assert answers == [400] * 60 + [429]
    assert send("x.y.z", "demo").status_code == 400


# -- what is kept -------------------------------------------------------------------------------------------------


def test_used_tokens_are_swept_after_their_end(upstream):
    send(upstream.logout_token(sub="person-1", exp=int(time.time()) + 10**9))
    kept = UsedLogoutToken.objects.get()
    assert timedelta(minutes=11) < kept.expires_at - timezone.now() < timedelta(minutes=13)
    list(sweep(now=timezone.now() + timedelta(minutes=11)))
    assert UsedLogoutToken.objects.exists()
    list(sweep(now=timezone.now() + timedelta(minutes=13)))
    assert not UsedLogoutToken.objects.exists()


def test_a_provider_cannot_fill_the_table(upstream, trail, monkeypatch):
    """The bound is of one provider, and what has expired makes room without a sweep."""
    monkeypatch.setattr(upstream_logout, "LIMIT", 2)
    tokens = [upstream.logout_token(sub="person-1") for _ in range(3)]
    assert [send(token).status_code for token in tokens] == [200, 200, 503]
    UsedLogoutToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert is_taken(send(tokens[2]))
    assert UsedLogoutToken.objects.count() == 1


@pytest.mark.parametrize("sid", [["s-1"], "s\0", "s" * 256, 7, {}])
def test_an_odd_sid_of_an_id_token_refuses_nobody(upstream, trail, sid):
    ada = sign_in(upstream, trail, sid=sid)
    assert ada.is_alive()
    assert UpstreamToken.objects.get().upstream_sid is None


def test_i13_a_refused_token_is_in_no_log(upstream, trail, caplog):
    token = upstream.logout_token(sid="s-1", nonce="n")
    send(token)
    assert "a logout token of acme was refused: nonce" in caplog.text
    assert token.split(".")[2] not in caplog.text
    assert not PendingAuthorization.objects.exists()
