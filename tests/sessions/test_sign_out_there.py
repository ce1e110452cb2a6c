"""OpenID Connect RP-Initiated Logout 1.0, as a client of a provider: who signs out here goes on to sign out there."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import jwt
import pytest
from django.conf import settings
from django.utils import timezone

from django_lazyauth.models import PendingAuthorization, ProviderKeySet, UpstreamToken
from django_lazyauth.openid.descriptor import DescriptorError, descriptor_from_settings
from django_lazyauth.openid.requests.logout import Logout
from django_lazyauth.providers.key_refresh import refresh_provider
from django_lazyauth.sessions.sign_out_there import URL_LIMIT, end_session_url
from tests.support.journey import get, make_browser, query_of, submit
from tests.web.site import soup_of

from .conftest import AFTER, signed_in_at
from .test_rp_logout import end_session, is_question, is_signed_in
from .test_upstream_logout import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

RETURN = "https://auth.example/logout/signed-out"


@pytest.fixture
def configure(upstream, lazyauth):
    def put(how="always", **keys):
        entry = upstream.config(
            display_name="Acme", upstream_logout=how, end_session_endpoint=f"{upstream.issuer}/bye", **keys
        )
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": entry})

    put()
    return put


@pytest.fixture
def person(upstream, configure, trail):
    """Somebody who signed in by the provider, and whose browser was here since."""
    person = sign_in(upstream, trail)
    get(person.browser, f"/authorize?{trail.authorize_query()}")
    assert is_signed_in(person.browser)
    return person


def goes_there(answer, upstream) -> dict[str, str]:
    """Check that the browser is sent to sign out there, and return what it brings."""
    assert answer.status_code == 303, answer.content.decode()
    assert answer.headers["Location"].startswith(f"{upstream.issuer}/bye?")
    return query_of(answer.headers["Location"])


def comes_back(browser, state):
    return get(browser, f"{urlsplit(RETURN).path}?{urlencode({'state': state})}")


def is_plain_page(answer) -> bool:
    page = soup_of(answer)
    return answer.status_code == 200 and page.h1.get_text() == "You are signed out" and not page.find_all("a")


# -- always -----------------------------------------------------------------------------------------------------------


def test_who_signs_out_here_is_sent_to_sign_out_there_and_then_to_the_client(person, upstream):
    """§2, §3."""
    answer = end_session(
        person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER, state="s t&"
    )
    sent = goes_there(answer, upstream)
    assert set(sent) == {"id_token_hint", "client_id", "state", "post_logout_redirect_uri"}
    assert (sent["client_id"], sent["post_logout_redirect_uri"]) == (upstream.client_id, RETURN)
    hint = jwt.decode(sent["id_token_hint"], options={"verify_signature": False})
    assert (hint["iss"], hint["sub"], hint["sid"]) == (upstream.issuer, "person-1", "s-1")
    assert not person.is_alive()
    assert not UpstreamToken.objects.exists()
    assert not is_signed_in(person.browser)
    back = comes_back(person.browser, sent["state"])
    assert back.status_code == 303
    assert back.headers["Location"].startswith(f"{AFTER}?")
    assert query_of(back.headers["Location"]) == {"state": "s t&"}


def test_i23_coming_back_twice_leads_to_the_same_place(person, upstream):
    answer = end_session(person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER)
    state = goes_there(answer, upstream)["state"]
    places = [comes_back(person.browser, state).headers["Location"] for _ in range(2)]
    assert places == [AFTER, AFTER]


def test_without_an_address_of_the_client_a_page_ends_it(person, upstream):
    sent = goes_there(end_session(person.browser, id_token_hint=person.id_token), upstream)
    assert is_plain_page(comes_back(person.browser, sent["state"]))


@pytest.mark.parametrize("state", ["", "another", "%00", "\ud800".encode("utf-8", "surrogatepass")])
def test_a_state_of_nobody_leads_to_the_page_and_nowhere_else(person, upstream, state):
    """It may be a stranger's link: it ends nothing and leads to no client."""
    answer = end_session(person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER)
    goes_there(answer, upstream)
    assert is_plain_page(comes_back(person.browser, state))
    assert is_plain_page(comes_back(make_browser(), state))


def test_the_state_is_of_no_use_in_another_browser(person, upstream):
    answer = end_session(person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER)
    assert is_plain_page(comes_back(make_browser(), goes_there(answer, upstream)["state"]))


def test_a_client_that_took_its_address_back_is_not_gone_to(person, upstream):
    from oauth2_provider.models import get_application_model

    answer = end_session(person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER)
    state = goes_there(answer, upstream)["state"]
    get_application_model().objects.update(post_logout_redirect_uris="")
    assert is_plain_page(comes_back(person.browser, state))


def test_our_own_page_leads_there_too(person, upstream):
    """Nobody but the browser's sign-in says who it is."""
    question = get(person.browser, "/logout")
    assert is_question(question)
    sent = goes_there(submit(person.browser, question, decision="leave"), upstream)
    assert sent["id_token_hint"]
    assert not is_signed_in(person.browser)


def test_a_session_that_the_browsers_sign_in_began_at_another_client_brings_the_same_id_token(
    person, upstream, maps
):
    elsewhere = signed_in_at(maps, browser=person.browser)
    sent = goes_there(end_session(person.browser, id_token_hint=elsewhere.id_token), upstream)
    assert jwt.decode(sent["id_token_hint"], options={"verify_signature": False})["sid"] == "s-1"


def test_i13_who_only_has_an_id_token_of_ours_gets_none_of_the_provider(person, upstream):
    """ID tokens stand in logs. A browser where nobody is signed in confirms, and learns nothing."""
    thief = make_browser()
    question = end_session(thief, id_token_hint=person.id_token)
    assert is_question(question)
    sent = goes_there(submit(thief, question, decision="leave"), upstream)
    assert "id_token_hint" not in sent


def test_an_id_token_that_no_key_opens_is_left_out(person, upstream):
    UpstreamToken.objects.update(id_token="v1.gone.AAAA")
    sent = goes_there(end_session(person.browser, id_token_hint=person.id_token), upstream)
    assert "id_token_hint" not in sent


def test_i23_a_second_press_of_the_button_goes_there_too(person, upstream):
    """The first one signed the person out here, and its answer was dropped by the browser."""
    question = get(person.browser, "/logout")
    cookies = {name: morsel.value for name, morsel in person.browser.cookies.items()}
    goes_there(submit(person.browser, question, decision="leave"), upstream)
    person.browser.cookies.load(cookies)
    goes_there(submit(person.browser, question, decision="leave"), upstream)


# -- ask --------------------------------------------------------------------------------------------------------------


def test_ask_offers_it_on_the_signed_out_page(person, upstream, configure):
    configure("ask")
    answer = end_session(person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER)
    assert answer.status_code == 200
    assert not person.is_alive()
    there, client = soup_of(answer).find_all("a")
    assert there.get_text() == "Sign out at Acme too"
    assert client["href"] == AFTER
    sent = query_of(there["href"])
    assert there["href"].startswith(f"{upstream.issuer}/bye?")
    assert sent["id_token_hint"]
    assert comes_back(person.browser, sent["state"]).headers["Location"] == AFTER


def test_never_is_the_default(upstream, trail):
    person = sign_in(upstream, trail)
    get(person.browser, f"/authorize?{trail.authorize_query()}")
    answer = end_session(person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER)
    assert answer.headers["Location"] == AFTER


# -- where there is nothing to go to ----------------------------------------------------------------------------------


def test_nobody_waits_for_a_provider_without_such_an_address(person, upstream, lazyauth):
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": upstream.config(upstream_logout="always")})
    answer = end_session(person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER)
    assert answer.headers["Location"] == AFTER


def test_a_published_address_is_used(person, upstream, lazyauth):
    upstream.control(metadata={"end_session_endpoint": f"{upstream.issuer}/bye?from=metadata"})
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": upstream.config(upstream_logout="always")})
    assert refresh_provider("acme", force=True).ok
    sent = goes_there(end_session(person.browser, id_token_hint=person.id_token), upstream)
    assert sent["from"] == "metadata"


@pytest.mark.parametrize("left", ["old", "believed no more", "nothing"])
@pytest.mark.parametrize("is_configured", [True, False])
def test_nobody_waits_for_the_metadata_of_a_provider_that_is_slow(
    person, upstream, lazyauth, left, is_configured
):
    """Nothing is fetched for a sign-out. An address in the settings needs no metadata."""
    upstream.control(metadata={"end_session_endpoint": f"{upstream.issuer}/bye"})
    entry = upstream.config(upstream_logout="always")
    if is_configured:
        entry["end_session_endpoint"] = f"{upstream.issuer}/bye"
    lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"acme": entry})
    assert refresh_provider("acme", force=True).ok
    then = timezone.now() - timedelta(hours=3 if left == "old" else 30)
    ProviderKeySet.objects.update(fetched_at=then, fresh_until=then, next_refresh_at=then)
    if left == "nothing":
        ProviderKeySet.objects.all().delete()
    before = len(upstream.requests())
    answer = end_session(person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER)
    assert len(upstream.requests()) == before
    if is_configured or left == "old":
        assert goes_there(answer, upstream)["id_token_hint"]
    else:
        assert answer.headers["Location"] == AFTER


@pytest.mark.parametrize("gone", ["disabled", "removed", "broken"])
def test_a_provider_that_is_gone_keeps_nobody_signed_in(person, upstream, lazyauth, gone):
    entry = upstream.config(upstream_logout="always", enabled=gone != "disabled")
    if gone == "broken":
        entry["scopes"] = 7
    lazyauth(PROVIDERS={} if gone == "removed" else {"acme": entry})
    answer = end_session(person.browser, id_token_hint=person.id_token, post_logout_redirect_uri=AFTER)
    assert answer.headers["Location"] == AFTER
    assert not is_signed_in(person.browser)


def test_who_signed_in_by_another_provider_is_not_sent_to_this_one(configure, ada):
    """``ada`` came by ``demo``."""
    answer = end_session(ada.browser, id_token_hint=ada.id_token, post_logout_redirect_uri=AFTER)
    assert answer.headers["Location"] == AFTER


def test_a_request_of_an_earlier_release_names_the_provider(person, upstream):
    PendingAuthorization.objects.update(identity_id=None)
    sent = goes_there(end_session(person.browser, id_token_hint=person.id_token), upstream)
    assert sent["id_token_hint"]


# -- the request ------------------------------------------------------------------------------------------------------


def url(logout=None, endpoint="https://idp.example/bye", id_token="a.b.c"):
    return end_session_url(
        logout or Logout(), endpoint, client_id="us", redirect_uri=RETURN, state="s", id_token=id_token
    )


def test_an_id_token_too_long_for_an_address_is_left_out():
    fits, too_long = url(id_token="x" * 5000), url(id_token="x" * URL_LIMIT)
    assert query_of(fits)["id_token_hint"] == "x" * 5000
    assert set(query_of(too_long)) == {"client_id", "state", "post_logout_redirect_uri"}
    assert max(len(fits), len(too_long)) <= URL_LIMIT


def test_a_parameter_of_its_own_stands_in_the_place_of_ours():
    """Amazon Cognito's ``logout_uri``."""
    logout = Logout(upstream_logout_params={"logout_uri": "{redirect_uri}", "lang": "de"})
    sent = query_of(url(logout, id_token=""))
    assert sent == {"client_id": "us", "state": "s", "logout_uri": RETURN, "lang": "de"}


def test_what_a_provider_publishes_is_never_filled():
    published = "https://idp.example/{client_id}"
    assert url(endpoint=published).startswith(f"{published}?")
    assert url(Logout(end_session_endpoint=published), published).startswith("https://idp.example/us?")


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        ({"upstream_logout": "sometimes"}, '"upstream_logout" must be one of'),
        ({"upstream_logout_params": {"state": "mine"}}, "must not hold state"),
        ({"upstream_logout_params": {"to": "{access_token}"}}, "may hold no placeholder but"),
        ({"upstream_logot": "ask"}, 'did you mean "upstream_logout"?'),
        ({"end_session_endpoint": "/bye"}, '"end_session_endpoint" must be'),
    ],
)
def test_the_check_names_the_key(keys, hint):
    with pytest.raises(DescriptorError, match=hint.replace("?", r"\?")):
        descriptor_from_settings(
            "acme", {"issuer": "https://idp.example", "client_id": "us", "client_secret": "s" * 32, **keys}
        )


def test_a_provider_without_metadata_needs_the_address(upstream):
    with pytest.raises(DescriptorError, match='needs "end_session_endpoint"'):
        descriptor_from_settings("acme", upstream.oauth2_config(upstream_logout="ask"))
    entry = upstream.oauth2_config(upstream_logout="ask", end_session_endpoint=f"{upstream.issuer}/bye")
    assert descriptor_from_settings("acme", entry).logout.upstream_logout == "ask"
