"""The running site, seen from outside: its address, its clients, its database and the mails it sent."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from example_project.servers import Stage

from .client import OAuthClient

CLIENT_NAME = "Trail Journal"
OPERATORS_PASSWORD = "an operator's password"
#: Tables that a test finds empty. Clients and what Django and the key cache keep stay.
EMPTIED = re.compile(
    r"auth_user|django_session|oauth2_provider_(?!application$)|lazyauth_(?!providerkey|clientregistration)"
)


def words_of(mail: EmailMessage) -> str:
    """Return the text of a mail that has it as HTML too."""
    plain = mail.get_body(("plain",))
    assert plain is not None
    text: str = plain.get_content()
    return text


class Site:
    """The example site and its upstream.

    Attributes:
        redirect_uri: Where the test's client listens.
        directory: Where the site keeps its key and its database.
    """

    def __init__(self, stage: Stage, redirect_uri: str) -> None:
        self._stage = stage
        self.redirect_uri = redirect_uri
        self.url, self.upstream_url = stage.site_url, stage.upstream_url
        self.directory = stage.directory

    def register(self, client_id: str, *, name: str = CLIENT_NAME, redirect_uri: str = "") -> None:
        """Enter a public client, as an operator does."""
        self._stage.manage(
            "createapplication",
            "public",
            "authorization-code",
            f"--name={name}",
            f"--client-id={client_id}",
            f"--redirect-uris={redirect_uri or self.redirect_uri}",
        )

    def client(self, client_id: str = "trail-journal", redirect_uri: str = "") -> OAuthClient:
        """Return a new request of a registered client."""
        return OAuthClient(f"{self.url}/", client_id, redirect_uri or self.redirect_uri)

    # -- the database ------------------------------------------------------------------------------------

    def execute(self, statement: str, *values: object) -> list[tuple]:
        """Run SQL from outside the site."""
        with closing(sqlite3.connect(self._stage.database, timeout=20)) as connection, connection:
            return connection.execute(statement, values).fetchall()

    def count(self, table: str) -> int:
        return self.execute(f"SELECT count(*) FROM {table}")[0][0]

    def forget_everybody(self) -> None:
        """Empty what people and their flows leave behind."""
        for (table,) in self.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            if EMPTIED.match(table):
                self.execute(f"DELETE FROM {table}")

    def make_operator(self) -> None:
        """Write a superuser. The command that does this takes five seconds."""
        password = PBKDF2PasswordHasher().encode(OPERATORS_PASSWORD, "salt", iterations=1)
        self.execute(
            "INSERT INTO auth_user (username, password, email, is_superuser, is_staff, is_active, first_name,"
            " last_name, date_joined) VALUES ('operator', ?, 'operator@site.example', 1, 1, 1, '', '', '2026-01-01')",
            password,
        )

    # -- mails -------------------------------------------------------------------------------------------

    def mails_to(self, address: str) -> list[EmailMessage]:
        """Return the mails to *address*, oldest first."""
        files = sorted(
            Path(self._stage.directory, "mail").glob("*"), key=lambda file: file.stat().st_mtime_ns
        )
        # Django's file backend ends each mail with a line of hyphens.
        raw = (part for file in files for part in re.split(rb"^-{79}\n", file.read_bytes(), flags=re.M))
        mails = (message_from_bytes(part, policy=policy.default) for part in raw if part.strip())
        return [mail for mail in mails if mail["To"] == address]

    def code_for(self, address: str) -> str:
        """Return the code in the last mail to *address*."""
        text = words_of(self.mails_to(address)[-1])
        found = re.search(r"^\s+([0-9A-Z]{4}-[0-9A-Z]{4})\s*$", text, flags=re.M)
        assert found, text
        return found[1]
