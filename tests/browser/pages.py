"""Pages of a sign-in, and how somebody gets there. All of them, one after the other: :mod:`.walk`."""

from __future__ import annotations

import secrets

from .client import OAuthClient
from .person import ADA, PASSWORD, UPSTREAM, Somebody

NEW_PASSWORD = "seven-quiet-otters"


def choice(person: Somebody, client: OAuthClient) -> None:
    person.open(client)


def consent(person: Somebody, client: OAuthClient) -> None:
    person.open(client)
    person.choose(UPSTREAM)
    person.sign_in_upstream(ADA)


def password_sign_in(person: Somebody, client: OAuthClient) -> None:
    person.open(client)
    person.choose(PASSWORD)


def password_wrong(person: Somebody, client: OAuthClient) -> None:
    password_sign_in(person, client)
    person.fill(email=f"{secrets.token_hex(4)}@mail.example", password="not-this-one")
    person.press("Sign in")


def password_register(person: Somebody, client: OAuthClient) -> None:
    password_sign_in(person, client)
    person.follow("Register")


def password_code(person: Somebody, client: OAuthClient, email: str = "") -> None:
    password_register(person, client)
    person.fill(email=email or f"{secrets.token_hex(4)}@mail.example", password=NEW_PASSWORD)
    person.press("Register")


def error(person: Somebody, client: OAuthClient) -> None:
    person.open(client, redirect_uri=f"{client.redirect_uri}/elsewhere")
    person.excuse_status(400)


def account(person: Somebody, client: OAuthClient) -> None:
    """With a session and a consent on it."""
    consent(person, client)
    person.press("Allow")
    client.redeem(person.page.url)
    person.page.goto(f"{client.issuer}/account/sessions")


def account_question(person: Somebody, client: OAuthClient) -> None:
    """What is asked before something ends."""
    account(person, client)
    person.press("Sign out of all applications")
