"""The settings of the pages that people see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy

from . import kinds
from .hierarchy import scope
from .nested import Table, from_dict, row
from .setting import Kind, Refused, Setting

Weight = Literal["normal", "sensitive"]

STANDARD_SCOPES = {
    "openid": gettext_lazy("Know who you are"),
    "profile": gettext_lazy("See your name"),
    "email": gettext_lazy("See your e-mail address"),
    "offline_access": gettext_lazy("Stay connected while you are away"),
}

#: The darkest light and the lightest dark that a link stands on, as in ``static/django_lazyauth/style.css``.
LIGHT_GROUND: Final = "#eef1f6"
DARK_GROUND: Final = "#222835"
#: WCAG 2.2 §1.4.3.
LEAST_CONTRAST: Final = 4.5


def luminance(colour: str) -> float:
    """Return the relative luminance of ``#rrggbb``, from 0 for black to 1 for white (WCAG 2.2)."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours ``#rrggbb``, from 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _colour_on(ground: str) -> Kind[str]:
    def read_colour(value: Any) -> str:
        colour = kinds.text(value, pattern=r"#[0-9A-Fa-f]{6}").lower()
        if (found := contrast(colour, ground)) < LEAST_CONTRAST:
            raise Refused(hint=f"Its contrast with {ground} is {found:.1f}.")
        return colour

    words = f'a colour such as "#2556c4" with a contrast of at least {LEAST_CONTRAST} to {ground}'
    return Kind(words, read_colour)


def _link(value: Any) -> str:
    found = kinds.text(value, pattern=kinds.UNBROKEN)
    if not found.startswith("mailto:"):
        kinds.absolute_url(found)
    return found


def _picture(value: Any) -> str:
    found = kinds.text(value, pattern=kinds.UNBROKEN)
    parts = urlsplit(found)
    if parts.scheme or parts.netloc:
        # A policy cannot name a host with quotes or semicolons in it, and takes an asterisk for many hosts.
        kinds.wanted(kinds.absolute_url(found).scheme == "https" and not set(parts.netloc) & set("'\";,@*"))
    return found


_LINK: Kind[str] = Kind("an http(s) or mailto URL", _link)


@dataclass(frozen=True, slots=True)
class BrandSettings(Table):
    """What pages and mails say of the site that one signs in to. Everything may be left out."""

    setting = "BRAND"

    name: str = row(
        Kind("a text", kinds.shown_text),
        "The name of the site. It may be a lazy translation.",
        default="",
        default_text="the host of `ISSUER`",
    )
    logo: str = row(
        Kind("a path below STATIC_URL, or an https URL", _picture),
        "A picture beside the name. The host of a URL sees who signs in here, so a static file is better.",
        default="",
        default_text="none",
    )
    support_url: str = row(
        _LINK,
        "Where people get help. Pages that report an error link there.",
        default="",
        default_text="none",
    )
    terms_url: str = row(_LINK, "The terms of use.", default="", default_text="none")
    privacy_url: str = row(_LINK, "The privacy policy.", default="", default_text="none")
    accent: str = row(
        _colour_on(LIGHT_GROUND),
        "The colour of buttons and links on light pages.",
        default="",
        default_text="blue",
    )
    accent_dark: str = row(
        _colour_on(DARK_GROUND), "The same on dark pages.", default="", default_text="light blue"
    )


@dataclass(frozen=True, slots=True)
class ScopeSettings(Table):
    """What a scope allows, and how the consent page shows it."""

    setting = "SCOPES"

    text: str = row(Kind("a text", kinds.shown_text), "What the scope allows, in the words of a person.")
    weight: Weight = row(  # noqa: RUF009 - row() makes a field of the dataclass.
        kinds.choice("normal", "sensitive"),
        "What is sensitive stands first, and is marked.",
        default="normal",
    )
    group: str = row(
        Kind("a text", kinds.shown_text), "The heading that it stands below.", default="", default_text="none"
    )


_scope_of_dict = from_dict(ScopeSettings)


def _scope(value: Any) -> ScopeSettings:
    return _scope_of_dict(value) if kinds.is_a(value, Mapping) else ScopeSettings(kinds.shown_text(value))


_SCOPES = kinds.pairs(
    "a dict of scopes without blanks (RFC 6749 §3.3) to texts, or to dicts", _scope, key=scope
)
_STANDARD = {name: _scope(text) for name, text in STANDARD_SCOPES.items()}


def _resource(value: Any) -> str:
    """Return a path of this site, or a resource indicator (RFC 8707 §2): an absolute URI with a host."""
    found = kinds.text(value, pattern=r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#@\x00-\x20]+)?(/[^#\x00-\x20]*)?")
    kinds.wanted(found)
    _ = urlsplit(found).port
    return found


class PageSettings:
    """The rows of the pages; :class:`.table.LazyAuthSettings` has them."""

    brand = Setting(
        Kind("a dict", from_dict(BrandSettings)),
        "How pages and mails name the site, and their colours. See below and [theming](theming.md).",
        default=dict,
    )
    scopes = Setting(
        Kind(_SCOPES.words, lambda value: {**_STANDARD, **_SCOPES.read(value)}),
        "Scope → what it allows, in the words of the consent page, or a dict as below. The scopes of OpenID Connect "
        "are always there.",
        default={},
    )
    resource_names = Setting(
        kinds.pairs("a dict of paths or resource indicators to texts", kinds.shown_text, key=_resource),
        "A resource → what people know it by: on the consent page and the account page, and `resource_name` of its "
        "metadata. See [below](#resource_names).",
        default={},
    )
    identifier_first = Setting(
        kinds.FLAG,
        "Whether the page that offers the ways to sign in begins with one field for an e-mail address or a user name. "
        "It leads to the provider of the address's domain, or else to the password.",
        default=False,
    )
    ask_name = Setting(
        kinds.FLAG,
        "Whether the page that registers somebody with a password asks for their name too. It may be left empty, and "
        "becomes the `name` of their identity.",
        default=False,
    )
    account_export = Setting(
        kinds.optional(kinds.CODE),
        "A function of a user that returns what else this site holds about them, as values that JSON has. It stands in "
        "the export of an account under `site`. See [people's data](extending.md#peoples-data).",
        default=None,
        default_text="nothing",
    )
    account_delete = Setting(
        kinds.optional(kinds.CODE),
        "A function of a user that is called in place of `user.delete()` where an account is deleted, in its "
        "transaction.",
        default=None,
        default_text="`user.delete()`",
    )
