"""The providers, one value each, and the process that each of them runs in."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from . import packages
from .person import Person

#: The entry of ``PROVIDERS`` that the running provider is.
NAME = "real"
CLIENT_ID = "lazyauth-at-real"
#: Form-encoding changes some of it (RFC 6749 §2.3.1).
CLIENT_SECRET = "a-secret/of+forty%characters-or-more-0123"
REDIRECT_URI = f"https://auth.example/callback/{NAME}"
SIGNED_OUT_URI = "https://auth.example/logout/signed-out"


#: Name of the test → what the table calls it.
SCENARIOS = {
    "test_sign_in": "sign-in",
    "test_again_with_changed_claims": "changed claims",
    "test_refresh": "refresh",
    "test_rotation": "rotation",
    "test_two_sessions": "two sessions",
    "test_sessions_of_four_processes": "in four processes",
    "test_one_question": "one question",
    "test_one_session_ends": "one ends",
    "test_revocation": "revocation",
    "test_two_families": "two families",
    "test_cancel": "cancel",
    "test_new_key": "new key",
    "test_new_key_with_the_old_id": "new key, old id",
    "test_userinfo": "UserInfo",
    "test_client_authentication": "client authentication",
    "test_sign_out": "sign-out",
    "test_sign_out_there": "sign-out there",
}


#: Keys of an entry whose users follow.
UPDATES = {
    "sync": "update",
    "sync_fields": ["first_name", "email"],
    "user_fields": {"first_name": "name"},
}


@dataclass(frozen=True)
class Software:
    """One provider, set up in one way.

    Attributes:
        name: In the table of the documentation.
        version: Of its package, on npm or PyPI.
        command: Installs it and returns what starts it.
        fields: What people type into its pages; ``SUBJECT`` stands for who they are.
        agree, refuse, leave: What they press there; see :class:`.Person`.
        config: Keys of our entry beside issuer, client id and secret.
        verifies_email: It says that addresses are verified.
        asks_userinfo: Its ID tokens lack what we asked for.
        asks_consent: It gives a refresh token to those only whom it asked (OpenID Connect Core §11).
        hides_method: Nothing says that the client has to use ``client_secret_post``.
        updates_users: Its users follow (key ``sync``).
        cannot: Name of a test → why this software cannot do it.
    """

    name: str
    version: str
    command: Callable[[], list[str]]
    fields: Mapping[str, str]
    agree: str = ""
    refuse: str = ""
    leave: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    verifies_email: bool = True
    asks_userinfo: bool = False
    asks_consent: bool = False
    hides_method: bool = False
    updates_users: bool = False
    cannot: Mapping[str, str] = field(default_factory=dict)


class Running:
    """A provider that runs."""

    def __init__(self, software: Software) -> None:
        self.software = software
        self.process = subprocess.Popen(
            software.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        try:
            self.issuer = f"http://127.0.0.1:{self._read()['port']}"
            document = httpx.get(f"{self.issuer}/.well-known/openid-configuration", trust_env=False)
            self.metadata: dict[str, Any] = document.json()
        except BaseException:
            self.close()
            raise

    def _read(self) -> Any:
        line = self.process.stdout.readline()
        assert line, f"{self.software.name} ended"
        return json.loads(line)

    def _order(self, do: str, **order: Any) -> Any:
        self.process.stdin.write(json.dumps({"do": do, **order}) + "\n")
        self.process.stdin.flush()
        return self._read()

    def knows(self, sub: str, **claims: Any) -> None:
        """Let *claims* be what it says of a person from now on."""
        self._order("person", sub=sub, claims=claims)

    def change_key(self, *, same_kid: bool) -> None:
        """Sign with another key from now on, and publish no other."""
        self._order("new_key", same_kid=same_kid)

    def told(self) -> list[dict[str, str]]:
        """Return the forms that it posted to its client since this was last called."""
        return self._order("told")

    def count(self, endpoint: str) -> int:
        """Return how often *endpoint*, as its metadata call it, was asked since this was last called."""
        path = urlsplit(self.metadata.get(endpoint, "")).path
        return [request["path"] for request in self._order("requests")].count(path)

    def person(self, sub: str) -> Person:
        software = self.software
        return Person(
            sub,
            fields=dict(software.fields),
            agree=software.agree,
            refuse=software.refuse,
            leave=software.leave,
        )

    def entry(self) -> dict[str, Any]:
        """Return what stands in ``LAZYAUTH["PROVIDERS"]``."""
        return {
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "display_name": "Real",
            **self.software.config,
            **(UPDATES if self.software.updates_users else {}),
        }

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)
        self.process.stdout.close()


def _node(script: str, *more: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        folder: Path = packages.install_from_npm()
        return [
            "node",
            str(folder / script),
            CLIENT_ID,
            CLIENT_SECRET,
            REDIRECT_URI,
            SIGNED_OUT_URI,
            *more,
        ]

    return command


def _python(script: str, *more: str) -> Callable[[], list[str]]:
    def command() -> list[str]:
        python = packages.install_from_pypi()
        return [
            str(python),
            str(packages.HERE / "servers" / script),
            CLIENT_ID,
            CLIENT_SECRET,
            REDIRECT_URI,
            SIGNED_OUT_URI,
            *more,
        ]

    return command


def _oidc_provider(*, conform: bool) -> Software:
    word = "true" if conform else "false"
    return Software(
        name=f"oidc-provider, `conformIdTokenClaims: {word}`",
        version=packages.NPM["oidc-provider"],
        command=_node("oidc_provider.mjs", word),
        fields={"login": "SUBJECT", "password": "any"},
        refuse="/abort",
        leave="logout=yes",
        asks_userinfo=conform,
        updates_users=conform,
        asks_consent=True,
        config={"offline": "always"},
    )


ASKS_EACH_TIME = "It keeps nobody signed in."
GIVES_EACH_TIME = {"test_one_question": "It gives a refresh token with each sign-in."}
TELLS_NOBODY = {"test_sign_out_there": "It sends no logout tokens."}
REVOKES_NOTHING = dict.fromkeys(("test_revocation", "test_two_families"), "It has no revocation endpoint.")

OAUTH2_MOCK_SERVER = Software(
    name="oauth2-mock-server",
    version=packages.NPM["oauth2-mock-server"],
    command=_node("oauth2_mock_server.mjs"),
    fields={},
    cannot={
        "test_cancel": "It has no page: it signs people in at once, and nobody can refuse.",
        "test_revocation": "It takes a token that was revoked.",
        "test_sign_out": ASKS_EACH_TIME,
        **GIVES_EACH_TIME,
        **TELLS_NOBODY,
    },
)

OIDC_PROVIDER_MOCK = Software(
    name="oidc-provider-mock",
    version=packages.PYPI["oidc-provider-mock"],
    command=_python("oidc_provider_mock_site.py"),
    fields={"sub": "SUBJECT"},
    refuse="action=deny",
    cannot={
        "test_cancel": "It leaves `state` out of its refusal (RFC 6749 §4.1.2.1): nothing says whose sign-in it was.",
        "test_rotation": "It keeps the refresh token.",
        "test_sign_out": ASKS_EACH_TIME,
        **GIVES_EACH_TIME,
        **REVOKES_NOTHING,
        **TELLS_NOBODY,
        "test_new_key_with_the_old_id": "Its key ids are digests of the keys.",
    },
)

AUTHLIB = Software(
    name="Authlib, `client_secret_post` only",
    version=packages.PYPI["authlib"],
    command=_python("authlib_site.py"),
    fields={"login": "SUBJECT"},
    refuse="action=cancel",
    hides_method=True,
    cannot={"test_sign_out": ASKS_EACH_TIME, **GIVES_EACH_TIME, **REVOKES_NOTHING, **TELLS_NOBODY},
)

CANAILLE = Software(
    name="Canaille",
    version=packages.PYPI["canaille"],
    command=_python("canaille_site.py"),
    fields={"login": "SUBJECT", "password": "a password of canaille"},
    agree="answer=accept",
    verifies_email=False,
    cannot={
        "test_cancel": "Its database in memory takes the consent of one person for that of everybody: "
        "only the first is asked.",
        **GIVES_EACH_TIME,
        **TELLS_NOBODY,
    },
)

ALLAUTH = Software(
    name="django-allauth, `idp.oidc`",
    version=packages.PYPI["django-allauth"],
    command=_python("allauth_site.py"),
    fields={"login": "SUBJECT", "password": "a password of allauth"},
    agree="action=grant",
    refuse="action=cancel",
    leave="action=logout",
    # It does not decode what RFC 6749 §2.3.1 lets clients encode.
    config={"basic_encoding": "raw"},
    cannot={
        "test_new_key_with_the_old_id": "Its key ids are digests of the keys.",
        **GIVES_EACH_TIME,
        **TELLS_NOBODY,
    },
)

SOFTWARE = [
    _oidc_provider(conform=True),
    _oidc_provider(conform=False),
    OAUTH2_MOCK_SERVER,
    OIDC_PROVIDER_MOCK,
    AUTHLIB,
    CANAILLE,
    ALLAUTH,
]
