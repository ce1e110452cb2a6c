"""Clients whose id is the URL of their metadata document: fetched when they show up, capped like all strangers."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from django.utils import timezone
from oauth2_provider.models import Application

from django_lazyauth.clients import operator_actions
from django_lazyauth.models import ClientRegistration, PendingAuthorization
from django_lazyauth.toolkit import clients
from django_lazyauth.toolkit.documents import DocumentFetcher, cimd
from django_lazyauth.upkeep.sweep import sweep
from tests.support.client_keys import ClientKey
from tests.support.clients_elsewhere import FiledClient, FileStore
from tests.support.journey import REDIRECT_URI, OAuthClient, code_for, get, make_browser, post_form, redeem
from tests.support.key_server import KeyServer
from tests.support.reader import blocks_of

pytestmark = pytest.mark.django_db


class Documents:
    """What the servers of the clients hold. The host's own fetcher reads it: DOT's seam for that."""

    held: dict[str, dict] = {}
    fetched: list[str] = []
    #: What happens while the document is on its way.
    meanwhile: list[Callable[[], object]] = []

    def fetch(self, client_id):
        self.fetched.append(client_id)
        for happen in self.meanwhile:
            happen()
        if client_id not in self.held:
            raise cimd.CIMDError("nothing there")
        return self.held[client_id], 300


class StoreOfUrls(FileStore):
    """A host's store with a client whose id is a URL, at which there is nothing."""

    URL = "https://elsewhere.example/oauth"

    def get_client(self, client_id):
        metadata = {"redirect_uris": [REDIRECT_URI], "token_endpoint_auth_method": "none"}
        known = FiledClient(self.URL, timezone.now(), metadata, secret_digest="", token_digest="")
        return known if client_id == self.URL else None


@pytest.fixture
def documents(settings):
    settings.OAUTH2_PROVIDER = {
        **getattr(settings, "OAUTH2_PROVIDER", {}),
        "CIMD_ENABLED": True,
        "CIMD_METADATA_FETCHER": f"{__name__}.Documents",
    }
    Documents.held, Documents.fetched, Documents.meanwhile = {}, [], []

    def add(number=0, **members):
        url = f"https://client-{number}.example/oauth"
        Documents.held[url] = {
            "client_id": url,
            "client_name": f"Client {number}",
            "redirect_uris": [REDIRECT_URI],
        } | members
        return OAuthClient(url)

    return add


def knock(client, *, network=1):
    return get(
        make_browser(),
        f"/authorize?{client.authorize_query()}",
        REMOTE_ADDR=f"10.{network // 256}.{network % 256}.7",
    )


def test_a_client_is_known_by_its_document_and_its_person_signs_in(documents):
    client = documents()
    page = knock(client)
    assert page.status_code == 200
    assert "Client 0" in page.content.decode()
    assert redeem(client, code_for(client)).status_code == 200
    assert Documents.fetched == [client.client_id]
    registration = ClientRegistration.objects.get()
    assert (registration.slot, registration.expires_at) == (None, None), "it is used: no cap touches it"


def test_the_document_of_the_how_to_page_signs_people_in_at_each_of_its_redirect_uris(documents):
    """``docs/how-to/metadata-document.md``; RFC 8252 §7.3 for the port."""
    [block] = [block for block in blocks_of("how-to/metadata-document.md") if block.language == "json"]
    shown = json.loads(block.text)
    Documents.held[shown["client_id"]] = shown
    for redirect_uri in (*shown["redirect_uris"], "http://127.0.0.1:54321/callback"):
        client = OAuthClient(shown["client_id"], redirect_uri=redirect_uri)
        page = knock(client)
        assert page.status_code == 200, page.content.decode()
        assert shown["client_name"] in page.content.decode()


def test_documents_of_strangers_never_exceed_the_cap(documents, lazyauth):
    """I16: every network is another one, so the cap alone holds."""
    lazyauth(MAX_UNUSED_CLIENTS=5)
    used = documents(999)
    redeem(used, code_for(used))
    for number in range(20):
        assert knock(documents(number), network=number).status_code == 200
        assert ClientRegistration.objects.unused().count() <= 5
        assert Application.objects.count() <= 6
    assert Application.objects.filter(client_id=used.client_id).exists()
    assert Application.objects.filter(client_id="https://client-19.example/oauth").exists()


def test_a_network_brings_no_more_documents_than_registrations(documents, lazyauth):
    """I16: each costs a fetch; one that stands already costs nothing."""
    lazyauth(REGISTRATIONS_PER_NETWORK=3)
    clients = [documents(number) for number in range(5)]
    assert [knock(client).status_code for client in clients] == [200, 200, 200, 400, 400]
    assert "Too many new clients" in knock(clients[4]).content.decode()
    assert len(Documents.fetched) == 3
    assert knock(clients[0]).status_code == 200
    assert knock(clients[4], network=500).status_code == 200


def test_the_token_endpoint_never_fetches(documents):
    """Client ids there come from anybody, and a transaction is open."""
    client = documents()
    answer = redeem(client, "no-code-of-ours")
    assert answer.status_code in {400, 401}
    assert Documents.fetched == []
    assert not Application.objects.exists()


def test_a_document_that_is_due_is_read_again_when_a_flow_begins(documents):
    client = documents()
    code = code_for(client)
    Application.objects.update(cimd_expires_at=timezone.now() - timedelta(seconds=1))
    documents(client_name="Renamed")
    assert redeem(client, code).status_code == 200
    assert len(Documents.fetched) == 1
    assert "Renamed" in knock(client).content.decode()
    assert len(Documents.fetched) == 2


def test_a_document_that_changed_is_no_longer_what_the_operator_verified(documents):
    """Threat model: look-alike names. What somebody looked at was another name and another redirect URI."""
    client = documents()
    knock(client)
    operator_actions.verify(Application.objects.values_list("pk", flat=True))
    stale = {"cimd_expires_at": timezone.now() - timedelta(seconds=1)}
    Application.objects.update(**stale)
    assert "unverified" not in knock(client).content.decode().lower()
    Application.objects.update(**stale)
    documents(client_name="Your Bank")
    assert "unverified" in knock(client).content.decode().lower()
    assert ClientRegistration.objects.get().verified_at is None


def test_while_its_server_is_away_the_last_document_stands(documents):
    client = documents()
    knock(client)
    Application.objects.update(cimd_expires_at=timezone.now() - timedelta(seconds=1))
    Documents.held = {}
    assert "Client 0" in knock(client).content.decode()


def test_one_that_waited_too_long_comes_back_and_waits_anew(documents):
    client = documents()
    knock(client)
    ClientRegistration.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert knock(client).status_code == 200


def test_a_disabled_one_does_not_come_back(documents):
    client = documents()
    knock(client)
    ClientRegistration.objects.update(disabled_at=timezone.now())
    assert knock(client).status_code == 400


def test_without_a_cache_no_document_is_fetched_and_known_clients_go_on(documents, settings):
    """Threat model: Redis down → sign-in works, limits fail closed."""
    known = documents(1)
    knock(known)
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        }
    }
    Application.objects.update(cimd_expires_at=timezone.now() - timedelta(seconds=1))
    assert knock(known).status_code == 200
    fetched = len(Documents.fetched)
    answer = knock(documents(2))
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert "cannot be read at the moment" in answer.content.decode()
    assert "client_id" not in answer.content.decode(), "nothing is known of the client"
    assert len(Documents.fetched) == fetched


def test_one_without_a_place_is_swept(documents):
    """The process that fetched it was killed before it took one."""
    client = documents()
    knock(client)
    ClientRegistration.objects.all().delete()
    list(sweep(now=timezone.now() + timedelta(minutes=59)))
    assert Application.objects.exists()
    list(sweep(now=timezone.now() + timedelta(minutes=61)))
    assert not Application.objects.exists()


def test_one_that_was_used_before_this_app_came_stays_with_its_tokens(documents, lazyauth):
    """Spec 4: active clients never go. An existing site has clients of documents that no row of ours speaks of."""
    client = documents()
    tokens = redeem(client, code_for(client)).json()
    ClientRegistration.objects.all().delete()
    PendingAuthorization.objects.all().delete()
    list(sweep(now=timezone.now() + timedelta(hours=2)))
    form = {"grant_type": "refresh_token", "client_id": client.client_id}
    answer = post_form(make_browser(), "/token", form | {"refresh_token": tokens["refresh_token"]})
    assert answer.status_code == 200, answer.content
    # Nor does it take a place among the unused, or lose what it has where there is none.
    lazyauth(MAX_UNUSED_CLIENTS=1)
    knock(documents(2))
    assert knock(client).status_code == 200
    registration = Application.objects.get(client_id=client.client_id).lazyauth_registration
    assert (registration.slot, registration.expires_at) == (None, None)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b:1::7f00:1]", "2130706433", "0x7f.1"],
)
def test_our_fetcher_connects_to_nothing_that_is_not_public(documents, settings, host):
    """I14: it is the default, and a server on this machine hears nothing of it."""
    settings.OAUTH2_PROVIDER = {"CIMD_ENABLED": True}
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        client = OAuthClient(f"https://{host}:{server.getsockname()[1]}/oauth")
        assert knock(client).status_code == 400
        with pytest.raises(TimeoutError):
            server.accept()
    with pytest.raises(cimd.CIMDError):
        DocumentFetcher().fetch(client.client_id)


# -- documents as clients publish them ---------------------------------------------------------------------------

CODE, REFRESH = "authorization_code", "refresh_token"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
#: Client id → its document, and a redirect URI as the client sends it.
PUBLISHED = {
    "https://claude.ai/oauth/mcp-oauth-client-metadata": (
        {
            "client_name": "Claude",
            "client_uri": "https://claude.ai",
            "logo_uri": "https://claude.ai/images/claude_app_icon.png",
            "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
            "grant_types": [CODE, REFRESH, JWT_BEARER],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        "https://claude.ai/api/mcp/auth_callback",
    ),
    "https://claude.ai/oauth/claude-code-client-metadata": (
        {
            "client_name": "Claude Code",
            "client_uri": "https://claude.ai",
            "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
            "grant_types": [CODE, REFRESH],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        },
        "http://localhost:54545/callback",
    ),
    "https://vscode.dev/oauth/client-metadata.json": (
        {
            "client_name": "Visual Studio Code",
            "client_uri": "https://vscode.dev/product",
            "grant_types": [CODE, REFRESH, DEVICE],
            "response_types": ["code"],
            "redirect_uris": ["http://127.0.0.1:33418/", "https://vscode.dev/redirect", "vscode://x/cb"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        },
        "http://127.0.0.1:33418/",
    ),
    "https://chatgpt.com/oauth/client.json": (
        {
            "client_name": None,
            "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
            "grant_types": [CODE, REFRESH],
            "response_types": ["code"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg": "RS256",
            "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
        },
        "https://chatgpt.com/connector_platform_oauth_redirect",
    ),
    "https://opencode.ai/oauth/client.json": (
        {
            "client_name": "opencode",
            "redirect_uris": ["http://127.0.0.1:19876/mcp/oauth/callback"],
            "grant_types": [CODE, REFRESH],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "token_endpoint_auth_methods_supported": ["none"],
        },
        "http://127.0.0.1:19876/mcp/oauth/callback",
    ),
}


def publish(url, document):
    Documents.held[url] = {"client_id": url} | document


@pytest.mark.parametrize("url", PUBLISHED)
def test_a_document_as_it_is_published_signs_in_and_refreshes(documents, url):
    """OAuth Client ID Metadata Document §4: what both sides know is served, the rest is ignored."""
    document, redirect_uri = PUBLISHED[url]
    publish(url, document)
    client = OAuthClient(url, redirect_uri=redirect_uri)
    answer = redeem(client, code_for(client))
    assert answer.status_code == 200, answer.content
    form = {"grant_type": REFRESH, "refresh_token": answer.json()["refresh_token"], "client_id": url}
    assert post_form(make_browser(), "/token", form).status_code == 200
    said = ClientRegistration.objects.get().metadata
    assert said["grant_types"] == [CODE, REFRESH]
    methods = said.get("token_endpoint_auth_methods_supported", [said["token_endpoint_auth_method"]])
    stated = [document["token_endpoint_auth_method"]]
    assert set(methods) == {*stated, *document.get("token_endpoint_auth_methods_supported", [])}
    assert methods[0] == said["token_endpoint_auth_method"] == stated[0]


def test_chatgpt_signs_in_and_refreshes_with_its_key(documents, lazyauth):
    """Spec 8.1: its document names ``none`` too, and it sends an assertion. Others cannot use what it got."""
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    key, url = ClientKey("RS256"), "https://chatgpt.com/oauth/client.json"
    server = KeyServer(key)
    try:
        document, redirect_uri = PUBLISHED[url]
        publish(url, document | {"jwks_uri": server.url()})
        client = OAuthClient(url, redirect_uri=redirect_uri)
        answer = redeem(client, code_for(client), **key.form(url))
        assert answer.status_code == 200, answer.content
        form = {"grant_type": REFRESH, "refresh_token": answer.json()["refresh_token"], "client_id": url}
        assert post_form(make_browser(), "/token", form).status_code == 401
        assert post_form(make_browser(), "/token", form | key.form(url)).status_code == 200
        assert server.asked == 1
    finally:
        server.close()


def test_a_document_may_name_a_key_as_its_only_method(documents):
    """OAuth Client ID Metadata Document §6.2. The client is confidential then."""
    key = ClientKey("ES256")
    client = documents(token_endpoint_auth_method="private_key_jwt", jwks=key.key_set)
    code = code_for(client)
    assert redeem(client, code).status_code == 401
    assert redeem(client, code, **key.form(client.client_id)).status_code == 200


def test_a_document_that_changes_its_method_asks_nobody_again(documents):
    """Spec 8.1: a new method counts at the next request, and the consent stands."""
    client = documents()
    redeem(client, code_for(client))
    before = clients.metadata_digest(clients.load_client(client.client_id))
    key = ClientKey("ES256")
    documents(token_endpoint_auth_method="private_key_jwt", jwks=key.key_set)
    Application.objects.update(cimd_expires_at=timezone.now() - timedelta(seconds=1))
    code = code_for(client)
    assert clients.metadata_digest(clients.load_client(client.client_id)) == before
    assert redeem(client, code).status_code == 401
    assert redeem(client, code, **key.form(client.client_id)).status_code == 200


def test_unknown_members_and_values_of_a_document_are_ignored(documents):
    client = documents(
        client_name="\x00",
        software_id=7,
        logo_uri="nope",
        contacts="nobody",
        subject_type="pairwise",
        dpop_bound_access_tokens="yes",
        default_max_age=True,
        default_acr_values=["urn:example:mfa", 1],
        jwks="x",
        policy_uri=["https://client-0.example/"],
        redirect_uris=[REDIRECT_URI, "http://not-loopback.example/", "javascript:alert(1)", None, 7],
        response_types=["code", "token"],
        post_logout_redirect_uris=5,
        unheard_of={"a": 1},
    )
    assert redeem(client, code_for(client)).status_code == 200
    said = ClientRegistration.objects.get().metadata
    assert said == {
        "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "none",
        "grant_types": [CODE, REFRESH],
        "response_types": ["code"],
    }


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"token_endpoint_auth_method": "client_secret_basic"}, "token_endpoint_auth_method"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "token_endpoint_auth_method"),
        ({"client_secret": "s3cret"}, "client_secret"),
        ({"client_secret_expires_at": 0}, "client_secret"),
        ({"grant_types": ["client_credentials"]}, "grant_types"),
        ({"grant_types": [JWT_BEARER]}, "grant_types"),
        ({"response_types": ["token"]}, "response_types"),
        ({"redirect_uris": ["http://evil.example/cb"]}, "http://evil.example/cb"),
        ({"redirect_uris": []}, "redirect_uris"),
        ({"client_id": "https://another.example/oauth"}, "client_id"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_document_that_cannot_be_served_is_refused_on_a_page_that_says_why(documents, members, named):
    """Nothing is redirected: who asks is not known. The second look does not fetch, and says the same."""
    client = documents(**members)
    for _ in range(2):
        page = knock(client)
        assert page.status_code == 400
        assert named in page.content.decode()
        assert "s3cret" not in page.content.decode()
    assert len(Documents.fetched) == 1
    assert not Application.objects.exists()


def test_whoever_makes_a_client_is_told_that_its_document_cannot_be_fetched(documents):
    """At the page and at an endpoint. What failed in this site's network is for its operator alone (I14)."""
    client = OAuthClient("https://nowhere.example/oauth")
    for _ in range(2):
        page = knock(client)
        assert page.status_code == 400
        assert "cannot be fetched" in page.content.decode()
        assert "nothing there" not in page.content.decode()
    answer = post_form(make_browser(), "/par", dict(parse_qsl(client.authorize_query())))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert "cannot be fetched" in answer.json()["error_description"]
    assert len(Documents.fetched) == 1


def test_a_client_of_the_hosts_store_needs_no_document_at_its_id(documents, lazyauth):
    """The host's store knows it, and nothing answers at its id."""
    lazyauth(REGISTRATION_STORE=f"{__name__}.StoreOfUrls")
    assert knock(OAuthClient(StoreOfUrls.URL)).status_code == 200


def test_a_page_that_refuses_a_document_quotes_it_as_text(documents):
    """Threat model: the document is a stranger's, and the page stands on our own host."""
    page = knock(documents(redirect_uris=["http://evil.example/<script>alert(1)</script>"])).content.decode()
    assert "&lt;script&gt;" in page
    assert "<script" not in page


def test_the_scope_of_a_document_binds_as_that_of_a_registration(documents):
    """RFC 7591 §2: a client that named its scopes asks for no other."""
    client = documents(scope="openid no-such-scope")
    asked = get(make_browser(), f"/authorize?{client.authorize_query(scope='openid email')}")
    assert "error=invalid_scope" in asked.headers["Location"]
    answer = redeem(client, code_for(client, scope="openid"))
    assert answer.json()["scope"] == "openid"


def test_a_document_without_a_scope_bounds_none(documents, lazyauth):
    lazyauth(SCOPES={"files:read": "Read your files"})
    client = documents()
    assert redeem(client, code_for(client, scope="files:read")).json()["scope"] == "files:read"


def test_a_document_that_declares_no_refresh_grant_gets_no_refresh_token(documents):
    client = documents(grant_types=[CODE])
    assert "refresh_token" not in redeem(client, code_for(client)).json()


def test_what_people_do_not_see_of_a_document_may_change_without_a_question(documents):
    """A rotated key or a new grant asks nobody again, and the operator's word stands. A new scope does neither."""
    client = documents(scope="openid")
    redeem(client, code_for(client, scope="openid"))
    operator_actions.verify(Application.objects.values_list("pk", flat=True))
    before = clients.metadata_digest(clients.load_client(client.client_id))

    def read_again(**members):
        documents(**members)
        Application.objects.update(cimd_expires_at=timezone.now() - timedelta(seconds=1))
        knock(client)
        return clients.metadata_digest(clients.load_client(client.client_id))

    changes = {"jwks_uri": "https://client-0.example/jwks", "grant_types": [CODE, REFRESH, DEVICE]}
    assert read_again(scope="openid", **changes) == before
    assert ClientRegistration.objects.get().verified_at is not None
    assert ClientRegistration.objects.get().metadata["jwks_uri"] == changes["jwks_uri"]
    assert read_again(scope="openid email") != before
    assert ClientRegistration.objects.get().verified_at is None


def test_a_document_that_becomes_unusable_leaves_the_last_one(documents):
    client = documents()
    knock(client)
    documents(grant_types=["client_credentials"])
    Application.objects.update(cimd_expires_at=timezone.now() - timedelta(seconds=1))
    assert "Client 0" in knock(client).content.decode()


def test_no_document_takes_over_a_client_of_an_operator(documents, application):
    client = documents()
    Application.objects.filter(pk=application.pk).update(client_id=client.client_id, name="Operator's")
    assert "Client 0" not in knock(client).content.decode()
    assert Application.objects.get().registration_source == "manual"


def test_a_document_takes_over_no_client_that_an_operator_made_meanwhile(documents, application):
    """The operator saved the client while its document was on its way."""
    client = documents()
    named = Application.objects.filter(pk=application.pk)
    Documents.meanwhile.append(lambda: named.update(client_id=client.client_id, name="Operator's"))
    knock(client)
    assert Documents.fetched == [client.client_id]
    assert (named.get().name, named.get().registration_source) == ("Operator's", "manual")


@pytest.mark.parametrize(
    ("ours", "of_the_toolkit", "policy", "expected"),
    [
        (None, None, "open", True),
        (None, None, "token", False),
        (None, None, "closed", False),
        (None, True, "closed", True),
        (None, False, "open", False),
        (True, False, "closed", True),
        (False, True, "open", False),
    ],
)
def test_documents_are_read_where_registration_is_open_unless_a_setting_differs(
    settings, lazyauth, ours, of_the_toolkit, policy, expected
):
    """MCP 2026-07-28 puts documents first. The metadata tells what is on."""
    settings.OAUTH2_PROVIDER = {} if of_the_toolkit is None else {"CIMD_ENABLED": of_the_toolkit}
    lazyauth(CIMD=ours, REGISTRATION_POLICY=policy)
    told = get(make_browser(), "/.well-known/oauth-authorization-server").json()
    assert told["client_id_metadata_document_supported"] is expected
    assert "none" in told["token_endpoint_auth_methods_supported"]
