"""openid-client: as a web application, and as a command-line client on loopback."""

from __future__ import annotations

import httpx
import pytest
from oauth2_provider.models import Application

from tests.conftest import register

from .conftest import HARD_SECRET, REDIRECT_URI, Person

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.services]


@pytest.mark.parametrize(
    ("algorithm", "method"),
    [("oidc", "none"), ("oidc", "client_secret_basic"), ("oauth2", "client_secret_post")],
)
def test_a_web_application_runs_the_whole_flow(node, issuer, ada, algorithm, method):
    pages = []

    def answer(asked):
        if asked.get("refuse"):
            # Somebody new: who allowed this before is not asked again.
            with Person(issuer.origin, subject="grace", decision="deny") as grace:
                return grace.answer(asked["ask"])
        before = ada.pages
        came_back = ada.answer(asked["ask"])
        pages.append(ada.pages - before)
        return came_back

    said = node.run("openid_client.mjs", issuer.url, REDIRECT_URI, algorithm, method, answer=answer)
    assert said["issuer"] == issuer.url
    assert said["supportsPkce"]
    assert said["method"] == method
    # RFC 9207 §2.4, RFC 6749 §10.12: what does not come from us is refused by the client, and told apart from us.
    assert said["mixUp"]["code"] == said["withoutIssuer"]["code"] == said["otherState"]["code"]
    assert said["mixUp"]["code"] == "OAUTH_INVALID_RESPONSE"
    assert said["replay"]["error"] == "invalid_grant"
    assert said["denial"]["error"] == "access_denied"
    # OpenID Connect Core §11: offline_access is understood; each authorization is a session of its own.
    assert said["refreshable"]
    assert len(set(said["sessions"])) == 2
    assert said["authTime"][0] <= said["authTime"][1]
    # Choice and consent; sign-in again for max_age=0; nothing to ask once that is done.
    assert pages[0] == 2
    assert pages[1] >= 1
    assert pages[2] == 0
    assert set(said["userinfo"]) == {"sub", "email", "email_verified"}
    # RFC 6749 §6: a refresh narrows, never widens.
    assert said["narrowed"] == "openid"
    assert (said["wider"]["status"], said["wider"]["error"]) == (400, "invalid_scope")
    if method != "none":
        assert said["introspected"]["active"] is True
        assert said["introspected"]["scope"] == "openid"
    assert said["gone"]["status"] == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_command_line_client_listens_at_any_port(node, site, person, host):
    """RFC 8252 §7.3 and §8.4: the port of a loopback redirect URI is chosen at run time."""
    pages = []

    def visit(asked):
        before = person.pages
        arrived = httpx.get(person.answer(asked["ask"]), trust_env=False)
        pages.append(person.pages - before)
        return arrived.text

    said = node.run("native.mjs", site, host, answer=visit)
    client = Application.objects.get(client_id=said["clientId"])
    assert (client.client_type, client.registration_source) == ("public", "dcr")
    assert len(set(said["subjects"])) == 1
    assert len(set(said["sessions"])) == 2
    assert pages[0] == 2


def test_a_secret_is_taken_however_it_has_to_be_encoded(node, site):
    """RFC 6749 §2.3.1: form-encoded in the header, and once more in the body."""
    register(
        client_id="keeper of secrets",
        client_type="confidential",
        redirect_uris=REDIRECT_URI,
        client_secret=HARD_SECRET,
        hash_client_secret=True,
    )
    said = node.run("secrets.mjs", site, "keeper of secrets", HARD_SECRET, answer=str)
    assert said["basic"] == said["post"] == said["low"] == {"active": False}
    for wrong in (said["basic, wrong"], said["post, wrong"]):
        assert wrong["status"] == 401


def test_it_reads_an_answer_in_the_query_and_in_a_form(node, site, person):
    """OAuth 2.0 Form Post Response Mode; RFC 9207 §2.4: the client checks ``iss`` and ``state`` in both."""
    register(client_id="modes", redirect_uris=REDIRECT_URI)
    said = node.run(
        "openid_client_modes.mjs",
        site,
        "modes",
        REDIRECT_URI,
        answer=lambda asked: person.answer(asked["ask"]),
    )
    assert said["supported"] == ["query", "form_post"]
    assert said["got"]["query"]["sub"] == said["got"]["form_post"]["sub"]
    assert {told["denied"]["error"] for told in said["got"].values()} == {"invalid_scope"}


def test_it_sees_no_subject_that_another_sector_sees(node, site, person, lazyauth):
    """OpenID Connect Core §8.1: the same in each answer, and in that of another client of its host."""
    lazyauth(SUBJECT_TYPE="pairwise")
    uris = {
        "one": "https://one.example/cb",
        "two": "https://two.example/cb",
        "beside": "https://one.example/elsewhere",
    }
    found = {}
    for client_id, uri in uris.items():
        register(client_id=client_id, redirect_uris=uri)
        said = node.run(
            "openid_client_modes.mjs", site, client_id, uri, answer=lambda asked: person.answer(asked["ask"])
        )
        found[client_id] = said["got"]["query"]["sub"]
        assert found[client_id] == said["got"]["form_post"]["sub"]
    assert found["one"] == found["beside"] != found["two"]
