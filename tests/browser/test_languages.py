"""The pages speak the language that the client, else the browser, asks for."""

from __future__ import annotations

import secrets

from .looks import faults_of, overflow_of
from .person import ADA, UPSTREAM, Somebody
from .site import Site, words_of


def language(person: Somebody) -> str:
    lang: str = person.page.locator("html").get_attribute("lang") or ""
    return lang


def test_ui_locales_asks_for_german_up_to_the_consent(site: Site, person: Somebody):
    """OpenID Connect Core §3.1.2.1, though the browser itself prefers English."""
    person.open(site.client(), ui_locales="tlh de-AT en")
    assert language(person) == "de"
    assert person.heading == "Anmelden"
    person.press(f"Weiter mit {UPSTREAM}")
    person.sign_in_upstream(ADA)
    assert language(person) == "de"
    assert person.heading == "Zugriff erlauben?"
    assert "Ihren Namen sehen" in person.text
    assert person.button("Nicht erlauben").is_visible()


def test_ui_locales_asks_for_german_on_the_password_pages_and_in_the_mail(site: Site, person: Somebody):
    """Also what the provider itself says: rules for passwords, refusals, mails."""
    address = f"ada-{secrets.token_hex(4)}@mail.example"
    person.open(site.client(), ui_locales="de")
    person.press("Weiter mit E-Mail und Passwort")
    person.fill(email=address, password="not-this-one")
    person.press("Anmelden")
    assert "Prüfen Sie Name und Passwort" in person.page.get_by_role("alert").inner_text()
    person.follow("Registrieren")
    assert "Das Passwort muss mindestens 8 Zeichen enthalten." in person.text
    person.fill(email=address, password="seven-quiet-otters")
    person.press("Registrieren")
    assert language(person) == "de"
    mail = site.mails_to(address)[-1]
    assert mail["Subject"].startswith("Ihr Code für ")
    assert "Geben Sie ihn niemandem" in words_of(mail)


def test_without_ui_locales_the_browser_chooses(site: Site, somebody):
    """RFC 9110 §12.5.4."""
    person = somebody(locale="fr-CA")
    person.open(site.client())
    assert language(person) == "fr"
    assert person.heading == "Se connecter"
    person.open(site.client(), redirect_uri=f"{site.redirect_uri}/elsewhere")
    assert person.heading == "L’application ne fonctionne pas ici"
    person.excuse_status(400)


def test_a_language_that_nobody_speaks_here_is_passed_over(site: Site, person: Somebody):
    person.open(site.client(), ui_locales="tlh")
    assert language(person) == "en"
    assert person.heading == "Sign in"


def test_longer_words_fit_a_small_phone(site: Site, somebody):
    """French; the walk sees four other languages."""
    person = somebody(locale="fr", viewport={"width": 320, "height": 560})
    person.open(site.client())
    assert overflow_of(person.page) == faults_of(person.page) == []
    person.press("Continuer avec E-mail et mot de passe")
    assert overflow_of(person.page) == faults_of(person.page) == []
    person.follow("S’inscrire")
    assert overflow_of(person.page) == faults_of(person.page) == []
