"""A site that serves stock DOT and this app, and shows each the tokens of the other.

Run as ``python -W error -m tests.contracts.dot_ground <database file>``: a process of its own, so that the test
chooses which DOT it imports. Prints what every endpoint answered, as JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.site.dot_site import REDIRECT_URI, SECRET, VERIFIER, make_key

CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
FORM = "application/x-www-form-urlencoded"
BASIC = "Basic " + base64.b64encode(f"machine:{SECRET}".encode()).decode()
OURS, STOCK = "", "/dot"
#: The machine is the resource server of this site: it may introspect the tokens of every client.
LAZYAUTH = {"ISSUER": "https://auth.example", "INTROSPECTION_CLIENTS": {"machine": ["https://auth.example"]}}


def configure(database: str) -> None:
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="a-secret-key-of-a-site-with-two-authorization-servers-0123456789",
        ALLOWED_HOSTS=["auth.example"],
        USE_TZ=True,
        ROOT_URLCONF="tests.contracts.dot_ground_urls",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.staticfiles",
            "rest_framework",
            "oauth2_provider",
            "django_lazyauth",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        STATIC_URL="/static/",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": make_key(),
            "SCOPES": {"openid": "OpenID", "read": "Read", "introspection": "Introspect"},
            "DEFAULT_SCOPES": ["read"],
        },
        LAZYAUTH=LAZYAUTH,
    )
    django.setup()


class Visitor:
    """A signed-in person's browser, and what a client sends."""

    def __init__(self) -> None:
        from django.contrib.auth import get_user_model
        from django.test import Client

        self.browser = Client(SERVER_NAME="auth.example", raise_request_exception=True)
        self.browser.force_login(
            get_user_model().objects.create_user("ada", "ada@site.example", "a password")
        )

    def post(self, path: str, form: dict[str, str], **headers: str):
        return self.browser.post(path, urlencode(form), content_type=FORM, secure=True, **headers)

    def tokens(self, server: str, scope: str = "openid read") -> dict[str, str]:
        """Return the token response of an authorization code flow at *server*."""
        query = {
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": REDIRECT_URI,
            "scope": scope,
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        answer = self.browser.get(f"{server}/authorize/", query, secure=True)
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        form = {
            "grant_type": "authorization_code",
            "client_id": "app",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
        }
        return self.post(f"{server}/token/", form).json()

    def bearer(self, path: str, token: str) -> list[object]:
        answer = self.browser.get(path, secure=True, HTTP_AUTHORIZATION=f"Bearer {token}")
        body = json.loads(answer.content) if answer.headers["Content-Type"] == "application/json" else {}
        return [answer.status_code, body.get("user") or body.get("sub")]

    def introspect(self, server: str, token: str, authorization: str) -> dict[str, object]:
        answer = self.post(f"{server}/introspect/", {"token": token}, HTTP_AUTHORIZATION=authorization)
        body = answer.json() if answer.status_code == 200 else {"active": answer.status_code}
        return {name: body.get(name) for name in ("active", "client_id", "scope", "username") if name in body}

    def refresh(self, server: str, token: str) -> int:
        form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": token}
        return self.post(f"{server}/token/", form).status_code

    def revoke(self, server: str, token: str) -> int:
        return self.post(f"{server}/revoke_token/", {"client_id": "app", "token": token}).status_code


def our_tokens_at_dot(visitor: Visitor) -> dict[str, object]:
    tokens, narrow = visitor.tokens(OURS), visitor.tokens(OURS, scope="openid")
    token = tokens["access_token"]
    # DOT's introspection takes a bearer with this scope. It is a token of ours as well.
    reader = f"Bearer {visitor.tokens(OURS, scope='introspection')['access_token']}"
    seen: dict[str, object] = {
        "is_jwt": token.count(".") == 2,
        "OAuth2Authentication": visitor.bearer("/api/dot", token),
        "TokenHasScope": visitor.bearer("/api/scope", token),
        "TokenHasScope without the scope": visitor.bearer("/api/scope", narrow["access_token"])[0],
        "protected_resource": visitor.bearer("/api/protected", token),
        "protected_resource without the scope": visitor.bearer("/api/protected", narrow["access_token"])[0],
        "introspection": visitor.introspect(STOCK, token, reader),
        "introspection by a client whose secret was upgraded here": visitor.introspect(STOCK, token, BASIC),
    }
    visitor.revoke(OURS, tokens["refresh_token"])
    seen["after the end of the session"] = [
        visitor.bearer("/api/dot", token)[0],
        visitor.bearer("/api/protected", token)[0],
        visitor.introspect(STOCK, token, reader),
    ]
    return seen


def stock_tokens_here(visitor: Visitor) -> dict[str, object]:
    tokens = visitor.tokens(STOCK)
    token = tokens["access_token"]
    seen: dict[str, object] = {
        "bearer": visitor.bearer("/api/us", token),
        "userinfo": visitor.bearer("/userinfo/", token),
        "introspection": visitor.introspect(OURS, token, BASIC),
        "refresh": visitor.refresh(OURS, tokens["refresh_token"]),
        "the refresh token again": visitor.refresh(STOCK, tokens["refresh_token"]),
    }
    for name in ("access_token", "refresh_token"):
        tokens = visitor.tokens(STOCK)
        seen[f"revocation of the {name}"] = [
            visitor.revoke(OURS, tokens[name]),
            visitor.bearer("/api/dot", tokens["access_token"])[0],
            visitor.bearer("/api/us", tokens["access_token"])[0],
            visitor.refresh(STOCK, tokens["refresh_token"]),
            visitor.refresh(OURS, tokens["refresh_token"]),
        ]
    return seen


def stock_token_of_a_client(visitor: Visitor) -> dict[str, object]:
    """A token of client credentials belongs to no user and to no session."""
    form = {"grant_type": "client_credentials", "scope": "read"}
    token = visitor.post("/dot/token/", form, HTTP_AUTHORIZATION=BASIC).json()["access_token"]
    revoked = visitor.post("/revoke_token/", {"token": token}, HTTP_AUTHORIZATION=BASIC)
    return {"revocation": revoked.status_code, "after": visitor.introspect(OURS, token, BASIC)}


def main(database: str) -> None:
    configure(database)
    from django.core.management import call_command
    from django.test import override_settings
    from oauth2_provider import __file__ as dot
    from oauth2_provider.models import get_application_model

    call_command("migrate", verbosity=0)
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    clients = get_application_model().objects
    clients.create(
        client_id="app",
        client_type="public",
        authorization_grant_type="authorization-code",
        redirect_uris=REDIRECT_URI,
        skip_authorization=True,
        algorithm="RS256",
    )
    clients.create(
        client_id="machine",
        client_type="confidential",
        client_secret=SECRET,
        authorization_grant_type="client-credentials",
    )
    visitor, found = Visitor(), {"dot": dot}
    found["stock, of a client"] = stock_token_of_a_client(visitor)
    for token_format in ("jwt", "opaque"):
        with override_settings(LAZYAUTH=LAZYAUTH | {"ACCESS_TOKEN_FORMAT": token_format}):
            found[f"ours, {token_format}"] = our_tokens_at_dot(visitor)
    found["stock"] = stock_tokens_here(visitor)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
