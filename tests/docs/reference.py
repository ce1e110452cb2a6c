"""The reference pages of ``docs/``: what stands between marks that name it comes from the code.

``python -m tests.docs.reference`` writes them anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

from django_lazyauth.conf.delegation import ExchangePolicy, IdJagAudience
from django_lazyauth.conf.kinds import in_words
from django_lazyauth.conf.nested import (
    Chain,
    DeviceFlow,
    DpopSettings,
    ProtectedResource,
    ResourceServerSettings,
    SsoDocument,
    SwapSettings,
    Table,
)
from django_lazyauth.conf.pages import BrandSettings, ScopeSettings
from django_lazyauth.conf.setting import Setting
from django_lazyauth.conf.table import ROWS
from django_lazyauth.openid.presets import PRESETS
from django_lazyauth.openid.provider_kinds import REQUIRED, Key
from django_lazyauth.openid.provider_settings import KEYS, TYPES
from tests.docs import listings

NESTED: dict[str, type[Table]] = {
    table.setting: table
    for table in (
        BrandSettings,
        Chain,
        DeviceFlow,
        DpopSettings,
        ExchangePolicy,
        IdJagAudience,
        ProtectedResource,
        ResourceServerSettings,
        ScopeSettings,
        SsoDocument,
        SwapSettings,
    )
}
_DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = tuple(
    _DOCS / name for name in ("settings.md", "providers.md", "reference/commands.md", "reference/models.md")
)
_BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


_LISTINGS = {"COMMANDS": listings.commands, "MODELS": listings.models}


def render(page: str) -> str:
    """Return *page* with its tables as the rows say now."""
    return _BLOCK.sub(lambda found: found[1] + "\n".join(_table(found[2])) + "\n" + found[3], page)


def _table(name: str) -> Iterator[str]:
    if name == "PROVIDERS":
        yield from _providers()
        return
    if name == "PRESETS":
        yield from _presets()
        return
    if name in _LISTINGS:
        yield from _LISTINGS[name]()
        return
    yield "| name | must be | default | |"
    yield "|---|---|---|---|"
    if name == "LAZYAUTH":
        for row in ROWS.values():
            yield f"| `{row.name}` | {_code(row.kind.words)} | {_default(row)} | {row.text}{_limit(row)} |"
    else:
        for field in fields(NESTED[name]):
            words, text = field.metadata["kind"].words, field.metadata["text"]
            yield f"| `{field.name}` | {_code(words)} | {_nested_default(field)} | {text} |"


def _providers() -> Iterator[str]:
    yield "| key | for | must be | default | |"
    yield "|---|---|---|---|---|"
    for key in KEYS:
        yield _key(key, key.name)
        for member in key.members:
            yield _key(member, f"{key.name}.{member.name}")


def _presets() -> Iterator[str]:
    titles = ("preset", "type", "to be given", "scopes", "asked for refresh tokens by")
    yield f"| {' | '.join(titles)} | an address counts as verified | checked | |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, preset in sorted(PRESETS.items()):
        entry = preset.entry
        kind = entry.get("type", "oidc")
        given = "client" if kind == "oauth2" or "issuer" in entry else "client, `issuer`"
        scopes = " ".join(f"`{scope}`" for scope in entry.get("scopes", ())) or "none"
        offline = _offline(entry, kind)
        verified = "if it says so" if entry.get("states_email_verified", True) else "never"
        cells = (f"`{name}`", f"`{kind}`", given, scopes, offline, verified, preset.checked, preset.note)
        yield f"| {' | '.join(cells)} |"


def _offline(entry: Mapping[str, Any], kind: str) -> str:
    if entry.get("offline") == "never":
        return "nothing: it has none"
    [key] = [key for key in KEYS if key.name == "offline_scopes"]
    words = [*entry.get("offline_scopes", key.default_for(kind))]
    words += [f"{name}={value}" for name, value in entry.get("offline_params", {}).items()]
    asked = " ".join(f"`{word}`" for word in words) or "nothing"
    return f"{asked}, always with consent" if entry.get("offline_prompt") == "always" else asked


def _key(key: Key, name: str) -> str:
    types = "all" if key.types == TYPES else ", ".join(f"`{one}`" for one in key.types)
    return f"| `{name}` | {types} | {key.kind.words} | {_key_default(key)} | {key.text} |"


def _key_default(key: Key) -> str:
    if key.default_text:
        return key.default_text
    whole = {kind: key.default_for(kind) for kind in key.types}
    shown = {kind: _shown_key(value) for kind, value in whole.items()}
    if len(set(shown.values())) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{text} for `{kind}`" for kind, text in shown.items())


def _shown_key(value: object) -> str:
    if value is REQUIRED:
        return "required"
    if isinstance(value, tuple):
        value = list(value)
    return _shown(value) if value or value is False else "none"


def _code(words: str) -> str:
    """Set what stands in quotes as code, so that ``<`` is no markup."""
    return re.sub(r'"[^"]*"', r"`\g<0>`", words)


def _default(row: Setting[Any]) -> str:
    if row.is_required:
        return "none, required"
    if row.default_as:
        return f"as `{row.default_as.upper()}`"
    default = row.raw_default() if callable(row.raw_default) else row.raw_default
    return row.default_text or _shown(default)


def _nested_default(field: Field[Any]) -> str:
    if field.metadata["default_text"]:
        return str(field.metadata["default_text"])
    if field.default_factory is not NO_DEFAULT:
        return _shown(field.default_factory())
    return "none" if field.default in (NO_DEFAULT, None, ()) else _shown(field.default)


def _shown(value: object) -> str:
    if isinstance(value, timedelta):
        return in_words(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"`{value!r}`".replace("'", '"')


def _limit(row: Setting[Any]) -> str:
    if row.deploy is None:
        return ""
    limit = row.deploy.at_most
    at_most = in_words(limit) if isinstance(limit, timedelta) else f"{limit:,}"
    return f" `check --deploy` refuses more than {at_most}."


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    for page in PAGES:
        page.write_text(render(page.read_text()))
