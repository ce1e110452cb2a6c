"""Every page of a sign-in, and how somebody gets there."""

from __future__ import annotations

import secrets
from collections.abc import Callable

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


def password_refused(person: Somebody, client: OAuthClient) -> None:
    """The register page after a password that the site's rules do not allow."""
    password_register(person, client)
    person.fill(email="ada@mail.example", password="12345")
    person.press("Register")


def password_code(person: Somebody, client: OAuthClient, email: str = "") -> None:
    password_register(person, client)
    person.fill(email=email or f"{secrets.token_hex(4)}@mail.example", password=NEW_PASSWORD)
    person.press("Register")


def password_change(person: Somebody, client: OAuthClient) -> None:
    password_sign_in(person, client)
    person.follow("Change or replace a password")


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


def account_delete(person: Somebody, client: OAuthClient) -> None:
    """With a wrong name typed."""
    account(person, client)
    person.page.goto(f"{client.issuer}/account/sessions#data")
    person.press("Delete your account")
    person.fill(typed="somebody else")
    person.press("Delete for ever")


def account_deleted(person: Somebody, client: OAuthClient) -> None:
    account_delete(person, client)
    person.fill(typed=ADA.email)
    person.press("Delete for ever")


def sign_out(person: Somebody, client: OAuthClient) -> None:
    account(person, client)
    person.follow("Sign out")


def signed_out(person: Somebody, client: OAuthClient) -> None:
    sign_out(person, client)
    person.press("Sign out")


PAGES: dict[str, Callable[[Somebody, OAuthClient], None]] = {
    page.__name__.replace("_", "-"): page
    for page in (
        choice,
        consent,
        password_sign_in,
        password_wrong,
        password_register,
        password_refused,
        password_code,
        password_change,
        error,
        account,
        account_question,
        account_delete,
        account_deleted,
        sign_out,
        signed_out,
    )
}
