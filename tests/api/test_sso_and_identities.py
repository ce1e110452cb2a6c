"""The endpoints: discovery that tells strangers nothing, ID tokens of apps, identities of a person."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from urllib.parse import urlencode, urlsplit

import pytest
from bs4 import BeautifulSoup
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from django_lazyauth.errors import ProviderUnavailable
from django_lazyauth.models import PendingAuthorization, ProviderIdentity, Status, UpstreamToken
from django_lazyauth.providers.openid import OpenIDProvider
from django_lazyauth.sessions.browser import SESSION_KEY
from tests.support.journey import get, make_browser, post, query_of, redeem, submit

pytestmark = pytest.mark.django_db(transaction=True)


def send(browser, url, body=None, *, method="post", **headers):
    raw = body if isinstance(body, (str, bytes)) else json.dumps(body)
    return getattr(browser, method)(
        url, raw, content_type="application/json", secure=True, headers=headers or None
    )


def until_settled(ask):
    """Ask again as long as the answer is 202."""
    for _ in range(200):
        answer = ask()
        if answer.status_code != 202:
            return answer
        assert answer.headers["Retry-After"] == "1"
        assert answer.json() == {"state": "pending"}
        time.sleep(0.02)
    raise AssertionError("still pending")


class TestDiscovery:
    def test_discover_drives_and_get_tells(self, sso):
        browser = make_browser()
        assert get(browser, "/sso/acme.example").status_code == 202
        assert sso.requests() == []
        driven = send(browser, "/sso/acme.example/discover")
        assert (driven.status_code, driven.json()) == (202, {"state": "pending"})
        answer = until_settled(lambda: get(browser, "/sso/acme.example"))
        assert (answer.status_code, answer.json()) == (
            200,
            {
                "state": "resolved",
                "domain": "acme.example",
                "name": "Acme Corporation",
                "issuer": sso.issuer,
                "client_id": sso.client_id,
                "scopes": ["openid", "profile", "email"],
            },
        )

    def test_a_domain_that_may_not_gets_the_same_202_and_no_fetch(self, sso):
        """Spec 2: the same 202."""
        allowed = send(make_browser(), "/sso/acme.example/discover")
        other = send(make_browser(), "/sso/evil.example/discover")
        assert (other.status_code, other.content, dict(other.headers)) == (
            allowed.status_code,
            allowed.content,
            dict(allowed.headers),
        )
        answer = get(make_browser(), "/sso/evil.example")
        assert (answer.status_code, answer.json()) == (403, {"state": "not_allowed"})

    @pytest.mark.parametrize(
        "name", ["a", "127.0.0.1", "%00", "x" * 5000, "u@acme.example", "acme.example:1"]
    )
    def test_what_is_no_domain_is_not_allowed(self, sso, name):
        assert get(make_browser(), f"/sso/{name}").status_code == 403
        assert send(make_browser(), f"/sso/{name}/discover").status_code == 202

    def test_a_failure_is_told_with_its_reason(self, sso):
        sso.control(sso={"client_id": None})
        browser = make_browser()
        send(browser, "/sso/acme.example/discover")
        answer = until_settled(lambda: get(browser, "/sso/acme.example"))
        assert (answer.status_code, answer.json()) == (424, {"state": "failed", "reason": "client_id"})
        assert 55 <= int(answer.headers["Retry-After"]) <= 60

    def test_a_network_that_drives_too_much_is_told_to_wait(self, sso):
        """Threat model: a flood → 429 per network."""
        codes = [send(make_browser(), "/sso/evil.example/discover").status_code for _ in range(31)]
        assert codes == [202] * 30 + [429]

    def test_while_nobody_counts_nothing_is_driven(self, sso, settings, caplog):
        """Threat model: Redis down → sign-in works, this fails closed, and says why."""
        settings.CACHES = {
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": "redis://127.0.0.1:1/0",
            }
        }
        answer = send(make_browser(), "/sso/acme.example/discover")
        assert (answer.status_code, answer.json()) == (503, {"error": "temporarily_unavailable"})
        assert 0 < int(answer.headers["Retry-After"]) <= 10


@pytest.fixture
def flow(client_, db):
    """A flow that has a row: the person chose a provider once, in this browser."""
    browser = make_browser()
    page = get(browser, f"/authorize?{client_.authorize_query()}")
    form = BeautifulSoup(page.content, "html.parser").find("form")
    fields = {field["name"]: field.get("value", "") for field in form.find_all("input")}
    post(browser, form["action"], fields | {"provider": "demo"})
    pending = PendingAuthorization.objects.get()
    browser.url = f"/authorizations/{pending.pk}/id-token"
    return browser


def token_for(upstream, nonce, *, sub="ada", **levers):
    """Get an ID token as an app does that talks to the provider itself."""
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "client_id": upstream.client_id,
        "redirect_uri": "app:/back",
        "response_type": "code",
        "scope": "openid",
        "state": "s",
        "nonce": nonce,
        "code_challenge": challenge,
    }
    url = upstream.authorize(f"{upstream.issuer}/authorize?{urlencode(query)}", sub=sub, **levers)
    form = {
        "grant_type": "authorization_code",
        "code": query_of(url)["code"],
        "redirect_uri": "app:/back",
        "client_id": upstream.client_id,
        "client_secret": upstream.client_secret,
        "code_verifier": verifier,
    }
    status, _, body = upstream._request("POST", "/token", urlencode(form))
    assert status == 200, body
    return json.loads(body)["id_token"]


def nonce_of(browser):
    answer = get(browser, browser.url)
    assert answer.status_code == 200
    return answer.json()["nonce"]


class InAppsOnly(OpenIDProvider):
    """A host's provider that only apps sign in with: nobody can be sent there."""

    def begin(self, pending, *, state, callback_uri):
        raise ProviderUnavailable("apps_only")


class TestIdToken:
    def test_a_configured_providers_token_signs_in(self, upstream, flow, client_):
        body = {"id_token": token_for(upstream, nonce_of(flow))}
        answer = until_settled(lambda: send(flow, flow.url, body))
        assert answer.json()["state"] == "authenticated"
        consent_page = get(flow, answer.json()["location"])
        form = BeautifulSoup(consent_page.content, "html.parser").find("form")
        fields = {field["name"]: field.get("value", "") for field in form.find_all("input")}
        location = post(flow, form["action"], fields | {"decision": "allow"}).headers["Location"]
        assert redeem(client_, query_of(location)["code"]).status_code == 200
        identity = ProviderIdentity.objects.get()
        assert (identity.provider, identity.subject) == ("acme", "ada")

    def test_a_domains_token_is_pending_while_it_is_cold_and_when_evicted(self, sso, flow, lazyauth):
        """Spec 2: 202 with Retry-After, then the same request succeeds."""
        lazyauth(PROVIDERS={"demo": {"class": "tests.support.providers.BelievingProvider"}})
        body = {"id_token": token_for(sso, nonce_of(flow)), "discovery_domain": "acme.example"}
        sso.control(hold_documents=True)
        assert [send(flow, flow.url, body).status_code for _ in range(2)] == [202, 202]
        sso.control(hold_documents=False)
        wrong = body | {"id_token": body["id_token"][:-6] + "AAAAAA"}
        assert until_settled(lambda: send(flow, flow.url, wrong)).json()["reason"] == "signature"
        cache.clear()
        assert send(flow, flow.url, body).status_code == 202
        assert until_settled(lambda: send(flow, flow.url, body)).status_code == 200
        assert PendingAuthorization.objects.get().status == Status.AUTHENTICATED

    def test_the_token_of_another_flow_is_refused(self, upstream, flow):
        """I9: the nonce is bound to the pending row."""
        body = {"id_token": token_for(upstream, "nonce of another flow")}
        answer = until_settled(lambda: send(flow, flow.url, body))
        assert (answer.status_code, answer.json()["reason"]) == (400, "nonce")
        assert PendingAuthorization.objects.get().status == Status.SENT_UPSTREAM

    def test_a_token_is_good_once(self, upstream, flow):
        body = {"id_token": token_for(upstream, nonce_of(flow))}
        assert send(flow, flow.url, body).status_code == 200
        assert send(flow, flow.url, body).status_code == 404

    def test_a_chain_whose_next_provider_fails_leads_to_the_choices(self, upstream, flow, client_, lazyauth):
        """I18: the next leg cannot begin, which is a page for the person and no fault of ours."""
        lazyauth(
            CHAINS=[{"client": client_.client_id, "providers": ["acme"]}],
            PROVIDERS={"acme": upstream.config(**{"class": f"{__name__}.InAppsOnly"})},
        )
        answer = send(flow, flow.url, {"id_token": token_for(upstream, nonce_of(flow))})
        assert answer.status_code == 200, answer.content
        assert get(flow, answer.json()["location"]).status_code == 200

    def test_a_client_that_changed_meanwhile_gets_no_code(self, upstream, flow, application):
        """I8, I18: nobody is asked for consent, and the redirect URI is not the client's any more."""
        application.skip_authorization = True
        application.redirect_uris = "https://elsewhere.example/cb"
        application.save()
        answer = send(flow, flow.url, {"id_token": token_for(upstream, nonce_of(flow))})
        assert (answer.status_code, answer.json()["reason"]) == (404, "invalid_grant")

    def test_with_a_chain_only_the_first_leg_says_who_it_is(self, upstream, flow, client_, lazyauth):
        """Spec 3: the first leg is the identity, however it is gone."""
        lazyauth(CHAINS=[{"client": client_.client_id, "providers": ["demo", "acme"]}])
        answer = send(flow, flow.url, {"id_token": token_for(upstream, nonce_of(flow))})
        assert (answer.status_code, answer.json()["reason"]) == (400, "not_a_way_in")
        assert PendingAuthorization.objects.get().user is None

    def test_nobody_becomes_somebody_else_between_two_legs(self, upstream, flow, client_, lazyauth):
        """Spec 3: what a chain stored belongs to the person of its first leg."""
        lazyauth(
            REGISTRATION="immediate",
            CHAINS=[{"client": client_.client_id, "providers": ["acme", "other"]}],
        )
        nonce = nonce_of(flow)
        pending = PendingAuthorization.objects.get()
        first = get(flow, f"/authorize/{pending.pk}")
        callback = urlsplit(
            upstream.authorize(submit(flow, first, provider="acme").headers["Location"], sub="ada")
        )
        second = get(flow, f"{callback.path}?{callback.query}")
        assert second.headers["Location"].startswith("https://upstream.example/")
        answer = send(flow, flow.url, {"id_token": token_for(upstream, nonce, sub="grace")})
        assert (answer.status_code, answer.json()["reason"]) == (404, "invalid_grant")
        row = UpstreamToken.objects.get()
        assert row.user_id == PendingAuthorization.objects.get().user_id

    def test_another_browser_has_no_say(self, upstream, flow):
        """I7."""
        body = {"id_token": token_for(upstream, nonce_of(flow))}
        assert send(make_browser(), flow.url, body).status_code == 404
        assert get(make_browser(), flow.url).status_code == 404

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({}, 400),
            ({"id_token": ""}, 400),
            ({"id_token": 7}, 400),
            ({"id_token": ["x"]}, 400),
            ({"id_token": "a.b.c"}, 400),
            ({"id_token": "a\0b"}, 400),
            ({"id_token": "\ud800"}, 400),
            ({"id_token": "x" * 20_000}, 400),
            ({"id_token": "a.b.c", "discovery_domain": "evil.example"}, 400),
            ({"id_token": "a.b.c", "discovery_domain": "\ud800.example"}, 400),
            ([], 400),
            (None, 400),
            ("[" * 20_000, 400),
            ("{" + " " * 40_000 + "}", 400),
            (b"\xff\xfe", 400),
        ],
    )
    def test_whatever_comes_is_a_4xx(self, upstream, flow, body, status):
        """I18."""
        assert send(flow, flow.url, body).status_code == status

    def test_only_json_is_read(self, upstream, flow):
        """A form of another site never gets here."""
        assert post(flow, flow.url, {"id_token": "a.b.c"}).status_code == 415

    def test_a_token_of_nobody_we_know_is_refused(self, upstream, flow, lazyauth):
        lazyauth(PROVIDERS={"acme": upstream.config(client_id="another")})
        answer = send(flow, flow.url, {"id_token": token_for(upstream, nonce_of(flow))})
        assert (answer.status_code, answer.json()["reason"]) == (400, "unknown_issuer")


@pytest.fixture
def ada(django_user_model):
    user = django_user_model.objects.create_user("ada")
    ProviderIdentity.objects.create(user=user, provider="demo", subject="ada")
    return user


@pytest.fixture
def signed_in(ada):
    return sign_in(ada)


def sign_in(user, *, age=0):
    browser = Client(enforce_csrf_checks=True, SERVER_NAME="auth.example")
    browser.force_login(user)
    session = browser.session
    session[SESSION_KEY] = {"auth_time": timezone.now().timestamp() - age, "amr": [], "acr": ""}
    session.save()
    # Any page with a Django form sets this cookie; ours has none.
    browser.cookies["csrftoken"] = "c" * 32
    return browser


CSRF = {"X-CSRFToken": "c" * 32, "Referer": "https://auth.example/"}


def listed(browser):
    answer = get(browser, "/identities")
    assert answer.status_code == 200
    return answer.json()


class TestIdentities:
    def test_they_are_listed_with_a_nonce(self, signed_in):
        answer = listed(signed_in)
        assert [(row["provider"], row["subject"]) for row in answer["identities"]] == [("demo", "ada")]
        assert len(answer["nonce"]) == 64

    def test_nobody_else_has_any(self, ada):
        assert get(make_browser(), "/identities").status_code in {401, 403}

    def test_an_access_token_is_no_session(self, ada, client_):
        """No client may add a way in."""
        answer = make_browser().get("/identities", secure=True, headers={"Authorization": "Bearer something"})
        assert answer.status_code in {401, 403}

    def test_a_token_links_its_person(self, upstream, signed_in, ada):
        body = {"id_token": token_for(upstream, listed(signed_in)["nonce"], sub="ada-at-acme")}
        answer = send(signed_in, "/identities", body, **CSRF)
        assert answer.status_code == 201, answer.content
        assert (answer.json()["provider"], answer.json()["subject"]) == ("acme", "ada-at-acme")
        assert ProviderIdentity.objects.filter(user=ada).count() == 2
        assert send(signed_in, "/identities", body, **CSRF).status_code == 200

    def test_linking_a_cold_domain_is_pending_then_works(self, sso, signed_in, lazyauth):
        """Spec 2: Pending everywhere it can arise."""
        body = {
            "id_token": token_for(sso, listed(signed_in)["nonce"]),
            "discovery_domain": "acme.example",
        }
        first = send(signed_in, "/identities", body, **CSRF)
        assert (first.status_code, first.headers["Retry-After"]) == (202, "1")
        answer = until_settled(lambda: send(signed_in, "/identities", body, **CSRF))
        assert (answer.status_code, answer.json()["sso_domain"]) == (201, "acme.example")
        cache.clear()
        assert send(signed_in, "/identities", body, **CSRF).status_code == 202
        assert until_settled(lambda: send(signed_in, "/identities", body, **CSRF)).status_code == 200

    def test_somebody_elses_is_taken(self, upstream, signed_in, django_user_model):
        """I5."""
        other = django_user_model.objects.create_user("other")
        ProviderIdentity.objects.create(user=other, provider="acme", subject="x", issuer=upstream.issuer)
        body = {"id_token": token_for(upstream, listed(signed_in)["nonce"], sub="x")}
        answer = send(signed_in, "/identities", body, **CSRF)
        assert (answer.status_code, answer.json()["reason"]) == (409, "taken")
        assert ProviderIdentity.objects.get(provider="acme").user == other

    def test_a_token_for_another_session_is_refused(self, upstream, signed_in, django_user_model):
        nonce = listed(sign_in(django_user_model.objects.create_user("mallory")))["nonce"]
        answer = send(signed_in, "/identities", {"id_token": token_for(upstream, nonce)}, **CSRF)
        assert (answer.status_code, answer.json()["reason"]) == (400, "nonce")

    def test_an_older_sign_in_has_to_be_renewed(self, upstream, ada):
        """Threat model: linking needs a signed-in user who re-authenticated."""
        browser = sign_in(ada, age=601)
        body = {"id_token": token_for(upstream, listed(browser)["nonce"])}
        pk = ProviderIdentity.objects.get().pk
        for answer in (
            send(browser, "/identities", body, **CSRF),
            send(browser, f"/identities/{pk}", method="delete", **CSRF),
        ):
            assert (answer.status_code, answer.json()["reason"]) == (403, "reauthentication_required")

    def test_another_sites_form_is_refused(self, upstream, signed_in):
        body = {"id_token": token_for(upstream, listed(signed_in)["nonce"])}
        assert send(signed_in, "/identities", body).status_code == 403
        assert ProviderIdentity.objects.count() == 1

    def test_the_last_way_in_stays(self, signed_in, ada):
        pk = ProviderIdentity.objects.get().pk
        answer = send(signed_in, f"/identities/{pk}", method="delete", **CSRF)
        assert (answer.status_code, answer.json()["reason"]) == (409, "last_way_in")
        # One of a provider that is not configured any more lets nobody in.
        ProviderIdentity.objects.create(user=ada, provider="gone", subject="ada")
        assert send(signed_in, f"/identities/{pk}", method="delete", **CSRF).status_code == 409

    def test_a_password_is_no_way_in_where_passwords_are_off(self, signed_in, ada, lazyauth, settings):
        """Spec 2: never the last way in, as the site is configured now."""
        ada.set_password("a password of hers")
        ada.save()
        signed_in = sign_in(ada)
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"local": {"type": "password", "enabled": False}})
        pk = ProviderIdentity.objects.get().pk
        answer = send(signed_in, f"/identities/{pk}", method="delete", **CSRF)
        assert (answer.status_code, answer.json()["reason"]) == (409, "last_way_in")
        lazyauth(PROVIDERS=settings.LAZYAUTH["PROVIDERS"] | {"local": {"type": "password"}})
        assert send(signed_in, f"/identities/{pk}", method="delete", **CSRF).status_code == 204

    def test_the_nonce_outlives_a_session_that_is_saved_on_each_request(self, upstream, ada, settings):
        """The key of a session in signed cookies is the session: it changes whenever anything in it does."""
        settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
        settings.SESSION_SAVE_EVERY_REQUEST = True
        browser = sign_in(ada)
        nonce = listed(browser)["nonce"]
        time.sleep(1.1)  # The signature of such a session holds its second.
        assert listed(browser)["nonce"] == nonce
        body = {"id_token": token_for(upstream, nonce, sub="ada-at-acme")}
        assert send(browser, "/identities", body, **CSRF).status_code == 201

    def test_another_way_in_may_go_with_what_it_gave(self, signed_in, ada, application, lazyauth):
        row = ProviderIdentity.objects.create(user=ada, provider="other", subject="ada")
        UpstreamToken.objects.create(
            session_id="0190a0a0-0000-7000-8000-000000000000",
            provider="other",
            user=ada,
            client=application,
            subject="ada",
            retain_until=timezone.now(),
        )
        assert send(signed_in, f"/identities/{row.pk}", method="delete", **CSRF).status_code == 204
        assert ProviderIdentity.objects.filter(user=ada).count() == 1
        assert not UpstreamToken.objects.exists()

    def test_a_password_is_a_way_in_where_it_is_offered(self, signed_in, ada, settings, lazyauth):
        ada.set_password("a long password")
        ada.save()
        signed_in = sign_in(ada)
        pk = ProviderIdentity.objects.get().pk
        assert send(signed_in, f"/identities/{pk}", method="delete", **CSRF).status_code == 409
        lazyauth(PROVIDERS={**settings.LAZYAUTH["PROVIDERS"], "password": {"type": "password"}})
        assert send(signed_in, f"/identities/{pk}", method="delete", **CSRF).status_code == 204

    def test_somebody_elses_cannot_be_removed(self, signed_in, django_user_model):
        other = django_user_model.objects.create_user("other")
        row = ProviderIdentity.objects.create(user=other, provider="other", subject="x")
        assert send(signed_in, f"/identities/{row.pk}", method="delete", **CSRF).status_code == 404
        assert send(signed_in, f"/identities/{10**30}", method="delete", **CSRF).status_code == 404


def test_the_schema_describes_them_all():
    """OpenAPI 3, without a complaint of its maker."""
    from django_lazyauth.api import openapi  # noqa: F401 - describes the views

    with GENERATOR_STATS.silence():
        schema = SchemaGenerator().get_schema(request=None, public=True)
        assert not GENERATOR_STATS
    validate_schema(schema)
    described = {(path, method) for path, item in schema["paths"].items() for method in item}
    assert described >= {
        ("/sso/{domain}/discover", "post"),
        ("/sso/{domain}", "get"),
        ("/authorizations/{session_id}/id-token", "get"),
        ("/authorizations/{session_id}/id-token", "post"),
        ("/identities", "get"),
        ("/identities", "post"),
        ("/identities/{id}", "delete"),
    }
