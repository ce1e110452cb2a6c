"""The two parties of the demo: a person with a browser, and a client with its secrets. Both use HTTP only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urljoin, urlsplit

import jwt
import requests
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from bs4 import BeautifulSoup, Tag

TIMEOUT_SECONDS = 20
MAX_REDIRECTS = 10


@dataclass(frozen=True, slots=True)
class PageSeen:
    """A page that the person sees."""

    url: str
    status: int
    soup: BeautifulSoup

    @property
    def heading(self) -> str:
        found = self.soup.find("h1")
        return found.get_text(" ", strip=True) if found else ""

    @property
    def text(self) -> str:
        return self.soup.get_text(" ", strip=True)

    @property
    def buttons(self) -> list[str]:
        return [button.get_text(" ", strip=True) for button in self.soup.find_all("button")]


class Browser:
    """Keeps cookies, follows redirects, presses buttons; stops where the client takes over.

    Attributes:
        http: The session behind it, for what no page asks for.
    """

    def __init__(self, *, stop_at: str) -> None:
        self._stop_at = stop_at
        self.http = requests.Session()
        self.http.trust_env = False  # No proxy stands between this process and loopback.

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def open(self, url: str) -> PageSeen | str:
        """Go to *url*; return the page, or the address of the client that the browser was sent to."""
        return self._arrive(self._send("GET", url))

    def press(self, page: PageSeen, label: str, **typed: str) -> PageSeen | str:
        """Press the button whose text holds *label*, with the fields of its form and what is *typed* into them."""
        button = next(
            found for found in page.soup.find_all("button") if label in found.get_text(" ", strip=True)
        )
        form = button.find_parent("form")
        if not isinstance(form, Tag):
            raise LookupError(f"The button {label!r} belongs to no form.")
        fields = {
            str(field["name"]): str(field.get("value", ""))
            for field in form.find_all("input")
            if field.get("name")
        } | typed
        if button.get("name"):
            fields[str(button["name"])] = str(button.get("value", ""))
        action = urljoin(page.url, str(form.get("action") or page.url))
        return self._arrive(self._send("POST", action, fields))

    def _send(self, method: str, url: str, form: dict[str, str] | None = None) -> requests.Response:
        return self.http.request(method, url, data=form, allow_redirects=False, timeout=TIMEOUT_SECONDS)

    def _arrive(self, response: requests.Response) -> PageSeen | str:
        for _ in range(MAX_REDIRECTS):
            location = response.headers.get("location")
            if not response.is_redirect or location is None:
                soup = BeautifulSoup(response.text, "html.parser")
                return PageSeen(response.url, response.status_code, soup)
            if location.startswith(self._stop_at):
                return location
            response = self._send("GET", urljoin(response.url, location))
        raise LookupError(f"More than {MAX_REDIRECTS} redirects.")


@dataclass
class Client:
    """A public client: discovers the server, keeps state, nonce and PKCE verifier, redeems, refreshes.

    Attributes:
        issuer: The server it was configured with; everything else is discovered.
    """

    client_id: str
    redirect_uri: str
    issuer: str
    metadata: dict[str, Any] = field(default_factory=dict)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    verifier: str = field(default_factory=lambda: generate_token(48))
    state: str = ""

    def __post_init__(self) -> None:
        self._http = requests.Session()
        self._oauth = OAuth2Session(
            client_id=self.client_id,
            token_endpoint_auth_method="none",
            scope="openid profile email offline_access",
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            default_timeout=TIMEOUT_SECONDS,
        )
        self._http.trust_env = self._oauth.trust_env = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._oauth.close()
        self._http.close()

    @property
    def site(self) -> str:
        """The issuer without a slash at its end; paths are appended to it (RFC 8414 §3.1)."""
        return self.issuer.rstrip("/")

    def discover(self) -> None:
        url = f"{self.site}/.well-known/oauth-authorization-server"
        self.metadata = self._document(url)

    def authorization_url(self) -> str:
        url, self.state = self._oauth.create_authorization_url(
            self.metadata["authorization_endpoint"], code_verifier=self.verifier, nonce=self.nonce
        )
        return str(url)

    def answer(self, url: str) -> dict[str, str]:
        """Return the parameters of an authorization response."""
        return dict(parse_qsl(urlsplit(url).query))

    def redeem(self, url: str) -> dict[str, Any]:
        """Exchange the code in the authorization response *url* (RFC 6749 §4.1.3).

        Raises:
            requests.HTTPError: The server failed.
            authlib.integrations.base_client.OAuthError: The server refused.
        """
        return dict(
            self._oauth.fetch_token(
                self.metadata["token_endpoint"],
                authorization_response=url,
                state=self.state,
                code_verifier=self.verifier,
            )
        )

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """Exchange a refresh token (RFC 6749 §6); raises as :meth:`redeem`."""
        return dict(self._oauth.refresh_token(self.metadata["token_endpoint"], refresh_token=refresh_token))

    def userinfo(self, access_token: str) -> requests.Response:
        """Ask who the bearer of *access_token* is (OpenID Connect Core §5.3)."""
        return self.call(self.metadata["userinfo_endpoint"], access_token)

    def call(self, url: str, access_token: str) -> requests.Response:
        """Call an API with the access token in the header (RFC 6750 §2.1)."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return self._http.get(url, headers=headers, timeout=TIMEOUT_SECONDS)

    def call_tool(self, url: str, name: str, access_token: str) -> requests.Response:
        """Call a tool of an MCP server (JSON-RPC 2.0)."""
        return self._http.post(
            url,
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}},
            headers={"Authorization": f"Bearer {access_token}"},
            timeout=TIMEOUT_SECONDS,
        )

    def verify(self, id_token: str) -> dict[str, Any]:
        """Return the claims of an ID token that passes every check (OpenID Connect Core §3.1.3.7).

        Raises:
            jwt.InvalidTokenError: It does not.
        """
        key_set = jwt.PyJWKSet.from_dict(self._document(self.metadata["jwks_uri"]))
        key = key_set[jwt.get_unverified_header(id_token)["kid"]]
        claims: dict[str, Any] = jwt.decode(
            id_token, key.key, algorithms=["RS256"], audience=self.client_id, issuer=self.issuer
        )
        if claims.get("nonce") != self.nonce:
            raise jwt.InvalidTokenError("The nonce is another request's.")
        return claims

    def _document(self, url: str) -> dict[str, Any]:
        response = self._http.get(url, timeout=TIMEOUT_SECONDS)
        response.raise_for_status()
        return dict(response.json())
