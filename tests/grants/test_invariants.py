"""What the threat model promises, I1 to I9, on the pages and endpoints as a browser and a client see them.

Each test is named after its invariant. ``docs/invariants.md`` tells which line of the product each of them
depends on; ``tests/races`` shows the same under parallel requests and dying processes.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import ClassVar
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from oauth2_provider.models import RefreshToken

from django_lazyauth.errors import ProviderUnavailable, RegistrationRefused
from django_lazyauth.models import (
    Consent,
    DeferredRegistration,
    PendingAuthorization,
    ProviderIdentity,
    Status,
    UpstreamToken,
)
from django_lazyauth.users import UserResolver
from tests.conftest import register
from tests.races.rows import NOTHING, assert_nothing_lives, each, rows
from tests.support.journey import (
    OAuthClient,
    code_for,
    come_back,
    consent,
    form_of,
    get,
    make_browser,
    post,
    post_form,
    query_of,
    redeem,
    sign_in,
    start,
    submit,
)
from tests.support.processes import PATIENCE, together
from tests.support.providers import BelievingProvider

pytestmark = pytest.mark.django_db

User = get_user_model()


def assert_invalid_grant(answer):
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def refresh(client, refresh_token):
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client.client_id}
    return post_form(make_browser(), "/token", form)


def subject_of(body):
    """Return whom the access token is about."""
    info = get(make_browser(), "/userinfo", headers={"authorization": f"Bearer {body['access_token']}"})
    assert info.status_code == 200
    return info.json()["sub"]


def assert_no_code(answer):
    """The answer is a page of ours, and nobody got a code."""
    assert answer.status_code == 400
    assert not PendingAuthorization.objects.filter(code_digest__isnull=False).exists()


# -- I1: at most one successful response and one token family exist per authorization code ---------------------


def test_i1_a_code_is_redeemed_once(client_):
    code = code_for(client_)
    assert redeem(client_, code).status_code == 200
    for _ in range(3):
        assert_invalid_grant(redeem(client_, code))
    assert RefreshToken.objects.count() == 1
    assert len(BelievingProvider.finalized) == 1


@pytest.mark.django_db(transaction=True)
def test_i1_of_redemptions_at_once_one_is_answered(client_):
    """On every database; SQLite lets one writer in at a time."""
    code = code_for(client_)
    answers = together(*[partial(redeem, client_, code)] * 8)
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert RefreshToken.objects.values_list("token_family").distinct().count() == 1
    assert len(BelievingProvider.finalized) == 1


# -- I2: a replayed code leaves no live token that came from it -------------------------------------------------


def test_i2_a_replay_ends_what_came_of_the_code(client_):
    code = code_for(client_)
    body = redeem(client_, code).json()
    pending = PendingAuthorization.objects.get()
    assert UpstreamToken.objects.filter(session_id=pending.pk).exists()
    assert_invalid_grant(redeem(client_, code))
    assert_nothing_lives(pending.pk)
    bearer = {"authorization": f"Bearer {body['access_token']}"}
    assert get(make_browser(), "/userinfo", headers=bearer).status_code == 401
    assert_invalid_grant(refresh(client_, body["refresh_token"]))


def test_i2_a_replay_ends_the_successors_of_refreshed_tokens(client_):
    code = code_for(client_)
    body = redeem(client_, code).json()
    for _ in range(2):
        body = refresh(client_, body["refresh_token"]).json()
    subject_of(body)
    assert_invalid_grant(redeem(client_, code))
    assert_nothing_lives(PendingAuthorization.objects.get().pk)
    assert_invalid_grant(refresh(client_, body["refresh_token"]))


def test_i2_a_replay_with_a_wrong_verifier_shows_a_copy_too(client_):
    code = code_for(client_)
    redeem(client_, code)
    assert_invalid_grant(redeem(client_, code, code_verifier="x" * 64))
    assert_nothing_lives(PendingAuthorization.objects.get().pk)


def test_i2_a_replay_leaves_other_sessions_of_the_person_alone(client_):
    code, other = code_for(client_), code_for(client_)
    redeem(client_, code)
    body = redeem(client_, other).json()
    assert_invalid_grant(redeem(client_, code))
    subject_of(body)
    assert refresh(client_, body["refresh_token"]).status_code == 200
    assert UpstreamToken.objects.count() == 1


# -- I3: no committed state holds a lazily created user without its identity, or tokens without both ------------


@pytest.mark.django_db(transaction=True)
def test_i3_a_failing_finalize_leaves_no_user_without_tokens(client_):
    def fail():
        raise RuntimeError

    code = code_for(client_)
    BelievingProvider.before_finalize.append(fail)
    assert redeem(client_, code).status_code == 500
    assert rows() == NOTHING
    BelievingProvider.before_finalize.clear()
    assert redeem(client_, code).status_code == 200
    assert rows() == each(1)


@pytest.mark.django_db(transaction=True)
def test_i3_a_token_that_cannot_be_signed_leaves_no_user(client_, lazyauth, settings):
    """After the user, the identity, the consent and the upstream tokens were written."""
    code, keys = code_for(client_), settings.LAZYAUTH["SIGNING_KEYS"]
    lazyauth(SIGNING_KEYS=[])
    assert redeem(client_, code).status_code == 500
    assert len(BelievingProvider.finalized) == 1
    assert rows() == NOTHING
    lazyauth(SIGNING_KEYS=keys)
    assert redeem(client_, code).status_code == 200
    assert rows() == each(1)


@pytest.mark.django_db(transaction=True)
def test_i3_an_error_answer_after_the_user_was_written_leaves_no_user(client_):
    """oauthlib answers an error instead of raising it: the transaction is rolled back all the same."""
    written = []

    def refuse():
        written.append(rows()["users"])
        raise RegistrationRefused("Not today.")

    BelievingProvider.before_finalize.append(refuse)
    answer = redeem(client_, code_for(client_))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert written == [1]
    assert rows() == NOTHING


# -- I4: a flow whose code was never redeemed created no user, identity or vault row ----------------------------


def test_i4_a_flow_writes_nothing_of_the_person_before_the_exchange(client_):
    browser = make_browser()
    upstream = start(browser, client_)
    assert rows() == NOTHING
    answer = come_back(browser, upstream, subject="ada")
    assert rows() == NOTHING
    consent(browser, answer)
    assert rows() == NOTHING
    assert PendingAuthorization.objects.get().status == Status.CODE_ISSUED


def test_i4_a_flow_of_somebody_known_stores_no_upstream_tokens_before_the_exchange(client_):
    """The user is written; what this sign-in brought is not."""
    assert redeem(client_, code_for(client_)).status_code == 200
    code = code_for(client_)
    assert rows() == each(1)
    assert redeem(client_, code).status_code == 200
    assert UpstreamToken.objects.count() == 2


def test_i4_a_code_that_expired_creates_nobody(client_):
    code = code_for(client_)
    PendingAuthorization.objects.update(code_expires_at=timezone.now() - timedelta(seconds=1))
    assert_invalid_grant(redeem(client_, code))
    assert rows() == NOTHING


def test_i4_a_denied_consent_creates_nobody(client_):
    browser = make_browser()
    answer = consent(browser, come_back(browser, start(browser, client_), subject="ada"), decision="deny")
    assert query_of(answer.headers["Location"])["error"] == "access_denied"
    assert rows() == NOTHING
    assert not DeferredRegistration.objects.exists()


# -- I5: a (provider, subject) belongs to at most one user, ever ------------------------------------------------


class RandomNames(UserResolver):
    """Names that never collide, so that only (provider, subject) can."""

    def fields(self, identity):
        return super().fields(identity) | {User.USERNAME_FIELD: PendingAuthorization().pk.hex}


@pytest.fixture
def _random_names(lazyauth):
    lazyauth(USER_RESOLVER=f"{__name__}.RandomNames")


@pytest.mark.usefixtures("_random_names")
@pytest.mark.parametrize("mode", ["lazy", "immediate"])
def test_i5_somebody_who_comes_again_is_the_same_user(client_, lazyauth, mode):
    lazyauth(REGISTRATION=mode)
    subjects = {subject_of(redeem(client_, code_for(client_)).json()) for _ in range(3)}
    assert subjects == {str(User.objects.get().pk)}
    assert ProviderIdentity.objects.count() == 1
    assert not DeferredRegistration.objects.exists()


@pytest.mark.usefixtures("_random_names")
def test_i5_two_codes_of_one_new_person_make_one_user_with_two_sessions(client_):
    codes = [code_for(client_), code_for(client_)]
    assert rows() == NOTHING
    subjects = {subject_of(redeem(client_, code).json()) for code in codes}
    assert len(subjects) == 1
    assert rows() == each(2, users=1, identities=1, consents=1)
    assert DeferredRegistration.objects.count() == 0


def test_i5_the_database_refuses_a_second_owner(client_):
    redeem(client_, code_for(client_))
    other = User.objects.create(username="other")
    with pytest.raises(IntegrityError), transaction.atomic():
        ProviderIdentity.objects.create(user=other, provider="demo", subject="ada")


def test_i5_the_same_subject_elsewhere_is_somebody_else(client_):
    assert redeem(client_, code_for(client_)).status_code == 200
    assert redeem(client_, code_at("other", client_)).status_code == 200
    assert ProviderIdentity.objects.values("user").distinct().count() == 2


def code_at(provider, client, *, subject="ada"):
    browser = make_browser()
    answer = come_back(browser, start(browser, client, provider=provider), subject=subject, provider=provider)
    return query_of(consent(browser, answer).headers["Location"])["code"]


# -- I6: equal e-mail addresses alone never link or sign in -----------------------------------------------------


@pytest.mark.parametrize("mode", ["lazy", "immediate"])
def test_i6_equal_addresses_alone_never_link(client_, lazyauth, mode):
    """A local user, and the same verified address at two providers: three people."""
    lazyauth(REGISTRATION=mode)
    local = User.objects.create_user("local", email="ada@people.example", password="p" * 20)
    subjects = [
        subject_of(redeem(client_, code_at(provider, client_)).json()) for provider in ("demo", "other")
    ]
    assert len({*subjects, str(local.pk)}) == 3
    assert User.objects.filter(email="ada@people.example").count() == 3
    assert not ProviderIdentity.objects.filter(user=local).exists()


@pytest.mark.parametrize("mode", ["lazy", "immediate"])
def test_i6_equal_addresses_alone_never_sign_in(client_, lazyauth, mode):
    """The browser of somebody with a local user's address is not that user's browser."""
    lazyauth(REGISTRATION=mode)
    local = User.objects.create_user("local", email="ada@people.example", password="p" * 20)
    browser = make_browser()
    redeem(client_, code_for(client_, browser=browser))
    get(browser, f"/authorize?{client_.authorize_query()}")
    assert browser.session["_auth_user_id"] != str(local.pk)


# -- I7: for every code, the first request, the callback and the consent carried one browser-bound secret -------


@pytest.fixture
def victim():
    return make_browser()


def test_i7_a_page_of_another_browser_cannot_be_posted(client_, victim):
    """The attacker opens the first page and has the victim post it."""
    page = get(make_browser(), f"/authorize?{client_.authorize_query()}")
    assert submit(victim, page, provider="demo").status_code == 400
    assert not PendingAuthorization.objects.exists()


def test_i7_a_page_that_this_browser_got_for_another_flow_cannot_be_posted(client_, victim):
    """The victim has a binding of its own; the attacker's signed request is not of that flow."""
    _, own = form_of(get(victim, f"/authorize?{client_.authorize_query()}"))
    attacker = make_browser()
    action, theirs = form_of(get(attacker, f"/authorize?{client_.authorize_query()}"))
    for fields in (theirs, theirs | {"form_token": own["form_token"]}):
        assert post(victim, action, fields | {"provider": "demo"}).status_code == 400
    # Not even under the name of the attacker's flow: the request was signed with the digest of its secret.
    victim.cookies[binding_of(attacker)] = victim.cookies[binding_of(victim)].value
    stolen = theirs | {"form_token": own["form_token"], "provider": "demo"}
    assert post(victim, action, stolen).status_code == 400
    assert not PendingAuthorization.objects.exists()


def binding_of(browser):
    return next(name for name in browser.cookies if "lazyauth" in name)


@pytest.mark.parametrize("token", ["", "0" * 64, "of another form"])
def test_i7_a_form_without_its_token_is_refused(client_, token):
    """Another origin of the same site can post with our cookies; it cannot know what is derived from them."""
    browser = make_browser()
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    _, fields = form_of(page)
    another = fields["form_token"] if token == "of another form" else token
    if token != "of another form":
        assert submit(browser, page, provider="demo", form_token=token).status_code == 400
        assert not PendingAuthorization.objects.exists()
    answer = come_back(browser, submit(browser, page, provider="demo"), subject="ada")
    page = get(browser, answer.headers["Location"])
    assert_no_code(submit(browser, page, decision="allow", form_token=another))


def test_i7_a_callback_in_another_browser_is_refused_and_spends_nothing(client_, victim):
    """The attacker goes to the upstream and sends the victim the way back."""
    attacker = make_browser()
    upstream = start(attacker, client_)
    assert_no_code(come_back(victim, upstream, subject="victim"))
    pending = PendingAuthorization.objects.get()
    assert pending.status == Status.SENT_UPSTREAM
    assert not DeferredRegistration.objects.exists()
    assert come_back(attacker, upstream, subject="attacker").status_code == 303


def test_i7_a_callback_in_a_browser_with_a_flow_of_its_own_is_refused(client_, victim):
    start(victim, client_)
    upstream = start(make_browser(), client_)
    assert_no_code(come_back(victim, upstream, subject="victim"))


def test_i7_a_consent_in_another_browser_is_refused(client_, victim):
    """The attacker signed in, and has the victim look at or answer the consent page."""
    attacker = make_browser()
    answer = come_back(attacker, start(attacker, client_), subject="attacker")
    start(victim, client_)
    assert_no_code(get(victim, answer.headers["Location"]))
    page = get(attacker, answer.headers["Location"])
    assert_no_code(submit(victim, page, decision="allow"))


def test_i7_a_stolen_cookie_of_one_flow_does_not_answer_another(client_, victim):
    """One secret per flow: the cookie's name says which, its value says whose."""
    attacker = make_browser()
    answer = come_back(attacker, start(attacker, client_), subject="attacker")
    start(victim, client_)
    victim.cookies[binding_of(attacker)] = victim.cookies[binding_of(victim)].value
    assert_no_code(get(victim, answer.headers["Location"]))
    assert_no_code(submit(victim, get(attacker, answer.headers["Location"]), decision="allow"))


def test_i7_a_consent_page_of_somebody_signed_in_cannot_be_posted_by_another(client_, victim):
    attacker = make_browser()
    for browser, name in ((attacker, "attacker"), (victim, "victim")):
        browser.force_login(User.objects.create(username=name))
    page = get(attacker, f"/authorize?{client_.authorize_query()}")
    assert_no_code(submit(victim, page, decision="allow"))
    assert not Consent.objects.exists()


def test_i7_a_consent_page_does_not_speak_for_somebody_who_signed_in_since(client_):
    """The page named one account; in the same browser another one is signed in when it is answered."""
    browser = make_browser()
    browser.force_login(User.objects.create(username="first"))
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    kept = browser.cookies[binding_of(browser)].value
    name = binding_of(browser)
    browser.force_login(User.objects.create(username="second"))
    browser.cookies[name] = kept
    assert_no_code(submit(browser, page, decision="allow"))


# -- I8: every code has a consent for exactly its client, redirect URI, scopes and resources --------------------


def needs_consent(browser, client, **changes):
    """Say whether somebody who is signed in on this site is asked."""
    page = get(browser, f"/authorize?{client.authorize_query(**changes)}")
    assert page.status_code in {200, 303}
    return page.status_code == 200


@pytest.fixture
def ada():
    """A browser in which Ada, who has an account, is signed in."""
    browser = make_browser()
    browser.force_login(User.objects.create(username="ada"))
    return browser


@pytest.fixture
def allowed(ada, client_):
    """What Ada allowed: ``openid profile`` of the client, on one resource."""
    page = get(
        ada, f"/authorize?{client_.authorize_query(scope='openid profile', resource='https://a.example')}"
    )
    assert page.status_code == 200
    assert submit(ada, page, decision="allow").status_code == 303
    return {"scope": "openid profile", "resource": "https://a.example"}


def test_i8_nobody_gets_a_code_without_consent(client_):
    browser = make_browser()
    answer = come_back(browser, start(browser, client_), subject="ada")
    assert answer.headers["Location"].startswith("/authorize/")
    page = get(browser, answer.headers["Location"])
    for decision in ("", "maybe"):
        assert_no_code(submit(browser, page, decision=decision))


def test_i8_what_was_allowed_is_not_asked_again(ada, client_, allowed):
    assert not needs_consent(ada, client_, **allowed)
    assert not needs_consent(ada, client_, **allowed | {"scope": "openid"})


WIDER = {
    "another scope": {"scope": "openid profile email"},
    "another resource": {"resource": "https://b.example"},
    "no resource, which means any": {"resource": None},
    "one resource more": {"resource": ["https://a.example", "https://b.example"]},
    "asked to ask": {"prompt": "consent"},
}


@pytest.mark.parametrize("wider", WIDER)
def test_i8_what_was_not_allowed_is_asked(ada, client_, allowed, wider):
    assert needs_consent(ada, client_, **allowed | WIDER[wider])
    assert PendingAuthorization.objects.count() == 1


def test_i8_the_consent_of_one_client_is_not_anothers(ada, allowed):
    register(client_id="other-client")
    assert needs_consent(ada, OAuthClient("other-client"), **allowed)


def test_i8_the_consent_of_one_person_is_not_anothers(client_, allowed):
    bob = make_browser()
    bob.force_login(User.objects.create(username="bob"))
    assert needs_consent(bob, client_, **allowed)


@pytest.mark.parametrize(
    "changed",
    [{"name": "Another name"}, {"redirect_uris": "https://client.example/cb https://evil.example/cb"}],
)
def test_i8_a_client_that_changed_is_asked_for_again(ada, application, client_, allowed, changed):
    type(application).objects.update(**changed)
    assert needs_consent(ada, client_, **allowed)


def test_i8_a_client_that_registered_itself_is_always_asked_for(ada, application, client_):
    """Whatever an operator's flag says."""
    type(application).objects.update(skip_authorization=True)
    assert not needs_consent(ada, client_)
    type(application).objects.update(registration_source="dcr")
    Consent.objects.all().delete()
    assert needs_consent(ada, client_)


def test_i8_the_token_has_the_scopes_and_resources_of_the_consent(client_):
    code = code_for(client_, scope="openid email", resource="https://a.example")
    body = redeem(client_, code, scope="openid profile email").json()
    assert set(body["scope"].split()) == {"openid", "email"}
    remembered = Consent.objects.get()
    assert set(remembered.scope.split()) == {"openid", "email"}
    assert remembered.resources == ["https://a.example"]
    assert remembered.client.client_id == client_.client_id
    assert RefreshToken.objects.get().resource == ["https://a.example"]


@pytest.mark.django_db(transaction=True)
def test_i8_a_code_is_good_for_its_own_redirect_uri_client_and_resources_only(application, client_):
    type(application).objects.update(redirect_uris="https://client.example/cb https://client.example/cb2")
    register(client_id="other-client")
    code = code_for(client_, resource="https://a.example")
    for changes in (
        {"redirect_uri": "https://client.example/cb2"},
        {"client_id": "other-client"},
        {"resource": "https://b.example"},
    ):
        assert redeem(client_, code, **changes).status_code == 400
    assert redeem(client_, code).status_code == 200


def test_i8_the_database_refuses_a_code_without_consent(client_):
    code_for(client_)
    with pytest.raises(IntegrityError), transaction.atomic():
        PendingAuthorization.objects.update(consented_at=None)


# -- I9: each callback uses state, nonce and PKCE minted for that provider, consumed once -----------------------


def test_i9_a_state_is_good_for_one_callback(client_):
    """RFC 6749 §10.12."""
    browser = make_browser()
    upstream = start(browser, client_)
    assert come_back(browser, upstream, subject="ada").status_code == 303
    assert come_back(browser, upstream, subject="bob").status_code == 400
    assert DeferredRegistration.objects.get().subject == "ada"


def test_i9_a_state_is_spent_before_the_upstream_is_asked(client_, monkeypatch):
    """The second callback comes while the first waits for the upstream."""
    browser = make_browser()
    upstream = start(browser, client_)
    complete, asked = BelievingProvider.complete, []

    def complete_slowly(*args):
        monkeypatch.setattr(BelievingProvider, "complete", complete)
        asked.append(come_back(same_browser(browser), upstream, subject="bob").status_code)
        return complete(*args)

    monkeypatch.setattr(BelievingProvider, "complete", complete_slowly)
    assert come_back(browser, upstream, subject="ada").status_code == 303
    assert asked == [400]
    assert DeferredRegistration.objects.get().subject == "ada"


@pytest.mark.django_db(transaction=True)
def test_i9_of_two_callbacks_that_read_the_same_state_one_asks_the_upstream(client_, monkeypatch):
    """Both found the state unspent; only then does either of them spend it."""
    browser = make_browser()
    upstream = start(browser, client_)
    gate, asked = threading.Barrier(2, timeout=PATIENCE), []
    complete = BelievingProvider.complete
    table = connection.ops.quote_name(PendingAuthorization._meta.db_table)

    def complete_and_count(*args):
        asked.append(args)
        return complete(*args)

    def come_back_together(subject):
        met = []

        def meet(execute, sql, params, many, context):
            if sql.startswith(f"UPDATE {table}") and not met:
                met.append(gate.wait())
            return execute(sql, params, many, context)

        with connection.execute_wrapper(meet):
            answer = come_back(same_browser(browser), upstream, subject=subject)
        assert met
        return answer

    monkeypatch.setattr(BelievingProvider, "complete", complete_and_count)
    answers = together(*[partial(come_back_together, person) for person in ("ada", "bob")])
    assert sorted(answer.status_code for answer in answers) == [303, 400]
    assert len(asked) == 1


@pytest.mark.parametrize("outcome", ["succeeds", "fails"])
def test_i9_an_answer_to_a_leg_that_was_replaced_leaves_the_new_leg_alone(client_, monkeypatch, outcome):
    """The person went back and chose again while the first provider was still being asked."""
    browser = make_browser()
    first = start(browser, client_)
    flow = f"/authorize/{PendingAuthorization.objects.get().pk}"
    complete, second = BelievingProvider.complete, []

    def choose_again_meanwhile(*args):
        monkeypatch.setattr(BelievingProvider, "complete", complete)
        second.append(submit(same_browser(browser), get(browser, flow), provider="other"))
        return complete(*args) if outcome == "succeeds" else fail_upstream()

    monkeypatch.setattr(BelievingProvider, "complete", choose_again_meanwhile)
    assert come_back(browser, first, subject="ada").status_code < 500
    assert not DeferredRegistration.objects.exists()
    assert come_back(browser, second[0], subject="bob", provider="other").status_code == 303
    assert DeferredRegistration.objects.get().subject == "bob"
    assert PendingAuthorization.objects.get().provider == "other"


def same_browser(browser):
    """Return a second connection of the same browser: the same cookies."""
    twin = make_browser()
    twin.cookies = copy.deepcopy(browser.cookies)
    return twin


def test_i9_a_state_is_spent_by_a_callback_that_fails(client_, monkeypatch):
    """The same callback again leads to where the flow stands. Nobody is asked a second time."""
    browser = make_browser()
    upstream = start(browser, client_)
    with monkeypatch.context() as patch:
        patch.setattr(BelievingProvider, "complete", fail_upstream)
        assert come_back(browser, upstream, subject="ada").status_code < 500
    again = come_back(browser, upstream, subject="ada")
    assert again.status_code == 303
    assert again["Location"].startswith("/authorize/")
    assert not DeferredRegistration.objects.exists()
    pending = PendingAuthorization.objects.get()
    assert (pending.status, pending.provider, pending.private) == (Status.REQUESTED, "", "")


def fail_upstream(*args):
    raise ProviderUnavailable("timeout")


def test_i9_a_state_at_another_providers_callback_is_a_mix_up(client_):
    """RFC 9700 §4.4: the client is told, with its state; no provider is asked."""
    browser = make_browser()
    state = query_of(start(browser, client_).headers["Location"])["state"]
    answer = get(browser, f"/callback/other?{urlencode({'state': state, 'code': 'ada'})}")
    assert answer.headers["Location"].startswith(client_.redirect_uri)
    told = query_of(answer.headers["Location"])
    assert (told["error"], told["state"]) == ("server_error", client_.state)
    assert not DeferredRegistration.objects.exists()
    assert PendingAuthorization.objects.get().status == Status.FAILED


def test_i9_a_new_leg_has_a_new_state_and_the_old_one_is_over(client_):
    browser = make_browser()
    first = start(browser, client_)
    flow = f"/authorize/{PendingAuthorization.objects.get().pk}"
    kept = PendingAuthorization.objects.get().private
    second = submit(browser, get(browser, flow), provider="demo")
    assert PendingAuthorization.objects.get().private != kept
    assert come_back(browser, first, subject="ada").status_code == 400
    assert come_back(browser, second, subject="ada").status_code == 303


def test_i9_what_was_minted_for_one_provider_is_not_opened_for_another(client_):
    """Nonce and verifier are sealed for their provider (I12)."""
    browser = make_browser()
    upstream = start(browser, client_)
    PendingAuthorization.objects.update(provider="other")
    assert come_back(browser, upstream, subject="ada", provider="other").status_code == 400
    assert not DeferredRegistration.objects.exists()


def test_i9_an_expired_state_is_refused(client_):
    browser = make_browser()
    upstream = start(browser, client_)
    PendingAuthorization.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert come_back(browser, upstream, subject="ada").status_code == 400
    assert not DeferredRegistration.objects.exists()


def test_i9_no_state_is_no_callback(client_):
    browser = make_browser()
    start(browser, client_)
    for query in ({"code": "ada"}, {"code": "ada", "state": ""}, {"code": "ada", "state": "guessed"}):
        assert get(browser, f"/callback/demo?{urlencode(query)}").status_code == 400
    assert sign_in(make_browser(), client_)


class DomainProvider(BelievingProvider):
    """The provider of a domain; who vouches for it may change."""

    issuer: ClassVar[str] = "https://first.example"

    def complete(self, request, pending, private):
        success = super().complete(request, pending, private)
        of_domain = replace(success.identity, issuer=self.issuer, sso_domain="corp.example")
        return replace(success, identity=of_domain)


def test_i19_a_code_of_a_domains_new_provider_is_not_a_person_of_its_old_one(client_, lazyauth, monkeypatch):
    """I19: the same subject at another issuer is somebody else, also where both waited to be written."""
    lazyauth(
        PROVIDERS={
            "demo": {"class": f"{__name__}.DomainProvider"},
            "other": {"class": f"{__name__}.DomainProvider"},
        }
    )
    before = code_for(client_)
    monkeypatch.setattr(DomainProvider, "issuer", "https://second.example")
    after = code_for(client_)
    assert redeem(client_, before).status_code == 200
    answer = redeem(client_, after)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert ProviderIdentity.objects.get().issuer == "https://first.example"
    assert RefreshToken.objects.count() == 1
