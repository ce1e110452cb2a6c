"""A person with a browser, and a client with a code verifier: the whole way over HTTP, page by page."""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit

from bs4 import BeautifulSoup
from django.test import Client as Browser

REDIRECT_URI = "https://client.example/cb"
ISSUER = "https://auth.example"


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@dataclass
class OAuthClient:
    """What a client keeps: its id, its verifier and state of one request."""

    client_id: str
    client_secret: str = ""
    redirect_uri: str = REDIRECT_URI
    scope: str = "openid profile email"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(8))

    @property
    def challenge(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")

    def authorize_query(self, **changes) -> str:
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "state": self.state,
            "nonce": "client-nonce",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            **changes,
        }
        return urlencode({name: value for name, value in parameters.items() if value is not None}, doseq=True)

    def token_form(self, code: str, **changes) -> dict[str, str]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self.verifier,
            **({"client_secret": self.client_secret} if self.client_secret else {}),
            **changes,
        }
        return {name: value for name, value in form.items() if value is not None}


def make_browser() -> Browser:
    """Return a browser on https; it follows nothing by itself."""
    return Browser(headers={"accept-language": "en"}, enforce_csrf_checks=True, SERVER_NAME="auth.example")


def get(browser, url, **kwargs):
    return browser.get(url, secure=True, **kwargs)


def post(browser, url, data, **kwargs):
    return browser.post(url, data, secure=True, **kwargs)


def post_form(browser, url, form: dict[str, str], **kwargs):
    """POST as clients do: a form-encoded body."""
    return browser.post(
        url,
        urlencode(form, doseq=True),
        content_type="application/x-www-form-urlencoded",
        secure=True,
        **kwargs,
    )


def form_of(response) -> tuple[str, dict[str, str]]:
    """Return where the page's form goes and its hidden fields."""
    form = BeautifulSoup(response.content, "html.parser").find("form")
    assert form is not None, response.content.decode()
    fields = {field["name"]: field.get("value", "") for field in form.find_all("input") if field.get("name")}
    return form.get("action", ""), fields


def submit(browser, response, **values):
    """Press a button of the page's form."""
    action, fields = form_of(response)
    return post(browser, action, fields | values)


def start(browser, client: OAuthClient, *, provider: str = "demo", **changes):
    """Go from the client's link to the upstream's door; return the redirect that leads there."""
    page = get(browser, f"/authorize?{client.authorize_query(**changes)}")
    assert page.status_code == 200, (page.status_code, page.headers.get("Location"))
    return submit(browser, page, provider=provider)


def come_back(browser, upstream_redirect, *, subject: str, provider: str = "demo"):
    """Return from the upstream as *subject*."""
    state = query_of(upstream_redirect.headers["Location"])["state"]
    return get(browser, f"/callback/{provider}?{urlencode({'state': state, 'code': subject})}")


def consent(browser, redirect_to_consent, decision: str = "allow"):
    page = get(browser, redirect_to_consent.headers["Location"])
    assert page.status_code == 200, page.status_code
    return submit(browser, page, decision=decision)


def sign_in(browser, client: OAuthClient, *, subject: str = "ada", **changes) -> str:
    """Do the whole way as a person; return the URL that the client gets."""
    answer = come_back(browser, start(browser, client, **changes), subject=subject)
    if not answer.headers["Location"].startswith(client.redirect_uri):
        answer = consent(browser, answer)
    return answer.headers["Location"]


def code_for(client: OAuthClient, *, subject: str = "ada", browser=None, **changes) -> str:
    location = sign_in(browser or make_browser(), client, subject=subject, **changes)
    query = query_of(location)
    assert query["state"] == client.state
    assert query["iss"] == ISSUER
    return query["code"]


def redeem(client: OAuthClient, code: str, *, browser=None, **changes):
    return post_form(browser or make_browser(), "/token", client.token_form(code, **changes))
