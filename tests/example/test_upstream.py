"""The demo's upstream is an ordinary OpenID provider: a stock client gets all it needs from it."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from bs4 import BeautifulSoup

from example_project.servers import UPSTREAM, Process, Server, free_port
from example_project.upstream.people import PEOPLE

CLIENT_ID, CLIENT_SECRET = "a-client", "a-secret-of-the-client"
REDIRECT_URI = "http://127.0.0.1:9/callback/demo"
ADA, GRACE, ALAN = PEOPLE


def prepare(env: dict[str, str], directory: Path) -> None:
    arguments = [
        f"--redirect-uri={REDIRECT_URI}",
        f"--client-id={CLIENT_ID}",
        f"--client-secret={CLIENT_SECRET}",
    ]
    with Process(
        *UPSTREAM, "prepare_upstream", *arguments, env=env, log=directory / "prepare.log"
    ) as command:
        command.finish()


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running upstream, prepared twice: the second time must change nothing that matters."""
    directory, port = tmp_path_factory.mktemp("upstream"), free_port()
    env = {"UPSTREAM_VAR_DIR": str(directory), "UPSTREAM_ISSUER": f"http://127.0.0.1:{port}"}
    prepare(env, directory)
    prepare(env, directory)
    with Server(*UPSTREAM, port=port, env=env, log=directory / "log") as server:
        server.wait_until_ready()
        yield server.url


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def configuration(upstream: str) -> dict:
    response = httpx.get(f"{upstream}/.well-known/openid-configuration", trust_env=False)
    return response.json()


class Flow:
    """One authorization request, with the secrets that a client makes for it."""

    def __init__(
        self, configuration: dict, browser: httpx.Client, scope="openid profile email offline_access"
    ):
        self.configuration, self.browser, self.scope = configuration, browser, scope
        self.state, self.nonce = secrets.token_urlsafe(), secrets.token_urlsafe()
        self.verifier = secrets.token_urlsafe(48)

    def authorize(self, **changed: str) -> httpx.Response:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest())
        parameters = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": REDIRECT_URI,
            "scope": self.scope,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge.rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **changed,
        }
        given = {name: value for name, value in parameters.items() if value}
        return self.follow(self.browser.get(self.configuration["authorization_endpoint"], params=given))

    def follow(self, response: httpx.Response) -> httpx.Response:
        """Follow redirects as a browser does, up to the client's address."""
        while response.is_redirect and not response.headers["location"].startswith(REDIRECT_URI):
            assert response.next_request is not None
            response = self.browser.send(response.next_request)
        return response

    def sign_in(self, page: httpx.Response, person) -> httpx.Response:
        """Press the person's button on the sign-in page."""
        form = next(
            form
            for form in BeautifulSoup(page.text, "html.parser").find_all("form")
            if person.name in form.text
        )
        data = {field["name"]: field["value"] for field in form.find_all("input")}
        return self.follow(self.browser.post(page.url, data=data))

    def code(self, response: httpx.Response) -> str:
        answer = parse_qs(urlsplit(response.headers["location"]).query)
        assert answer["state"] == [self.state]
        assert answer["iss"] == [self.configuration["issuer"]]
        return answer["code"][0]

    def token(self, **form: str) -> httpx.Response:
        return self.browser.post(
            self.configuration["token_endpoint"], data=form, auth=(CLIENT_ID, CLIENT_SECRET)
        )

    def exchange(self, code: str) -> httpx.Response:
        return self.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=REDIRECT_URI,
            code_verifier=self.verifier,
        )

    def tokens_of(self, person) -> dict:
        response = self.exchange(self.code(self.sign_in(self.authorize(), person)))
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
def flow(configuration: dict, browser: httpx.Client) -> Flow:
    return Flow(configuration, browser)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_configuration_is_that_of_its_issuer(upstream, configuration):
    """OpenID Connect Discovery §4.3."""
    assert configuration["issuer"] == upstream
    assert configuration["response_types_supported"] == ["code"]
    assert configuration["code_challenge_methods_supported"] == ["S256"]
    assert configuration["authorization_response_iss_parameter_supported"] is True
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert configuration[name].startswith(f"{upstream}/")


def test_both_discovery_documents_agree(upstream, configuration, browser):
    """RFC 8414 §3; the OAuth document adds where to revoke."""
    document = browser.get(f"{upstream}/.well-known/oauth-authorization-server").json()
    for name in ("issuer", "authorization_endpoint", "token_endpoint"):
        assert document[name] == configuration[name]
    assert document["revocation_endpoint"].startswith(f"{upstream}/")


def test_the_sign_in_page_offers_each_person_without_a_script(flow):
    page = flow.authorize()
    soup = BeautifulSoup(page.text, "html.parser")
    assert page.status_code == 200
    assert soup.find("script") is None
    buttons = [button.get_text(" ", strip=True) for button in soup.select("ul.people button[type=submit]")]
    assert buttons == [f"{person.name} {person.email}" for person in PEOPLE]


def test_the_button_needs_the_form_of_the_page(flow):
    """A cross-site form cannot sign anybody in."""
    page = flow.authorize()
    forged = flow.browser.post(page.url, data={"username": ADA.username, "password": ADA.password})
    assert forged.status_code == 403


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.username)
def test_a_person_signs_in_and_the_id_token_says_who_it_is(flow, configuration, person):
    """OpenID Connect Core §2, §3.1.3.7, §5.1."""
    tokens = flow.tokens_of(person)
    keys = jwt.PyJWKSet.from_dict(flow.browser.get(configuration["jwks_uri"]).json())
    key_id = jwt.get_unverified_header(tokens["id_token"])["kid"]
    claims = jwt.decode(
        tokens["id_token"],
        keys[key_id].key,
        algorithms=["RS256"],
        audience=CLIENT_ID,
        issuer=configuration["issuer"],
    )
    assert claims["nonce"] == flow.nonce
    assert claims["sub"]
    said = {
        name: claims[name] for name in ("name", "given_name", "family_name", "preferred_username", "email")
    }
    assert said == {
        "name": person.name,
        "given_name": person.given_name,
        "family_name": person.family_name,
        "preferred_username": person.username,
        "email": person.email,
    }
    assert claims["email_verified"] is True


def test_userinfo_names_the_same_person_within_the_scope(configuration, browser):
    """OpenID Connect Core §5.3, §5.4."""
    flow = Flow(configuration, browser, scope="openid email")
    tokens = flow.tokens_of(GRACE)
    claims = browser.get(configuration["userinfo_endpoint"], headers=bearer(tokens["access_token"])).json()
    said = jwt.decode(tokens["id_token"], options={"verify_signature": False})
    assert claims["sub"] == said["sub"]
    assert claims["email"] == GRACE.email
    assert "name" not in claims


def test_a_wrong_verifier_gets_nothing(flow):
    """RFC 7636 §4.6."""
    code = flow.code(flow.sign_in(flow.authorize(), ADA))
    flow.verifier = secrets.token_urlsafe(48)
    response = flow.exchange(code)
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_grant"


def test_a_request_without_pkce_is_refused(flow):
    """RFC 9700 §2.1.1."""
    response = flow.authorize(code_challenge="", code_challenge_method="")
    if response.status_code == 200:
        response = flow.sign_in(response, ADA)
    assert parse_qs(urlsplit(response.headers["location"]).query)["error"] == ["invalid_request"]


def test_refresh_tokens_rotate_and_the_replay_of_one_ends_the_family(flow):
    """RFC 9700 §4.14.2."""
    first = flow.tokens_of(ALAN)
    second = flow.token(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    replayed = flow.token(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert replayed.json()["error"] == "invalid_grant"
    after = flow.token(grant_type="refresh_token", refresh_token=second["refresh_token"])
    assert after.json()["error"] == "invalid_grant"


def test_a_revoked_token_opens_nothing(upstream, flow):
    """RFC 7009 §2."""
    tokens = flow.tokens_of(ADA)
    document = flow.browser.get(f"{upstream}/.well-known/oauth-authorization-server").json()
    notes = f"{upstream}/api/notes"
    assert flow.browser.get(notes, headers=bearer(tokens["access_token"])).status_code == 200
    revoked = flow.browser.post(
        document["revocation_endpoint"],
        data={"token": tokens["access_token"]},
        auth=(CLIENT_ID, CLIENT_SECRET),
    )
    assert revoked.status_code == 200
    assert flow.browser.get(notes, headers=bearer(tokens["access_token"])).status_code == 401


def test_the_api_returns_the_notes_of_the_bearer(upstream, flow):
    tokens = flow.tokens_of(GRACE)
    response = flow.browser.get(f"{upstream}/api/notes", headers=bearer(tokens["access_token"]))
    assert response.json() == {"owner": "grace", "notes": list(GRACE.notes)}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}])
def test_the_api_returns_nothing_to_a_stranger(upstream, browser, headers):
    """RFC 6750 §3."""
    response = browser.get(f"{upstream}/api/notes", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_nobody_registers_a_client_here(upstream, browser):
    """The toolkit's pages for that are not mounted."""
    for path in ("/applications/", "/applications/register/", "/register/"):
        assert browser.get(f"{upstream}{path}").status_code == 404


def test_its_cookies_leave_those_of_the_site_beside_it_alone(flow):
    """Cookies belong to a host whatever its port (RFC 6265 §8.5): both run on 127.0.0.1."""
    flow.sign_in(flow.authorize(), ADA)
    assert set(flow.browser.cookies) == {"upstream_sessionid", "upstream_csrftoken"}
