"""What a new site needs: its block of settings, its environment, and what to register at each provider.

Pure functions of the answers. Not here: the questions (``lazyauth_init``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.urls import NoReverseMatch, reverse

from django_lazyauth.conf.issuer import origin
from django_lazyauth.kit.crypto.new_keys import OF_A_NEW_SITE, in_one_line, new_pem, new_vault_key
from django_lazyauth.openid.presets import PRESETS

PASSWORD: Final = "password"
#: Whether there are clients already → why people are called so, and the setting.
SUBJECTS: Final = {
    False: ("Clients call people by random texts, and not by their primary keys.", "opaque"),
    True: ("The clients that are here call people by their primary keys. See keep_subjects.", "public"),
}


@dataclass(frozen=True, slots=True)
class NewSite:
    """
    Attributes:
        providers: Name → issuer of a provider without a preset, or of a preset that needs one; else empty.
        has_clients: Whether clients are registered already, which know people by their primary keys.
    """

    issuer: str
    providers: Mapping[str, str]
    has_clients: bool = False


def needs_issuer(provider: str) -> bool:
    """Say whether somebody must say where the provider is."""
    if provider == PASSWORD:
        return False
    preset = PRESETS.get(provider)
    return preset is None or (preset.entry.get("type", "oidc") == "oidc" and "issuer" not in preset.entry)


def settings_block(site: NewSite) -> str:
    """Return Python for the end of the settings module. It holds no secret, and works without an environment."""
    entries = "\n".join(f"        {_entry(name, issuer)}," for name, issuer in site.providers.items())
    is_local = any(issuer.startswith("http://") for issuer in site.providers.values())
    loopback = (
        "    # A provider on this machine, without TLS.\n" + '    "ALLOW_LOOPBACK_UPSTREAMS": True,\n'
        if is_local
        else ""
    )
    return f"""\
import os

LAZYAUTH = {{
    "ISSUER": os.environ.get("LAZYAUTH_ISSUER", "{site.issuer}"),
    # Users are written when a client redeems its code.
    "REGISTRATION": "lazy",
    # {SUBJECTS[site.has_clients][0]}
    "SUBJECT_TYPE": "{SUBJECTS[site.has_clients][1]}",
    # In development, empty lists mean keys of this machine.
    "SIGNING_KEYS": [key for key in os.environ.get("LAZYAUTH_SIGNING_KEYS", "").split(",") if key],
    "VAULT_KEYS": [key for key in os.environ.get("LAZYAUTH_VAULT_KEYS", "").split(",") if key],
{loopback}    "PROVIDERS": {{
{entries}
    }},
}}
"""


def _entry(name: str, issuer: str) -> str:
    if name == PASSWORD:
        return f'"{name}": {{"type": "password"}}'
    parts = [f'"preset": "{name}"'] if name in PRESETS else []
    parts += [f'"issuer": "{issuer}"'] if issuer else []
    parts += [
        f'"{key}": os.environ.get("{_variable(name, key)}", "")' for key in ("client_id", "client_secret")
    ]
    lines = "".join(f"\n            {part}," for part in parts)
    return f'"{name}": {{{lines}\n        }}'


def _variable(provider: str, key: str) -> str:
    return f"{provider}_{key}".upper().replace("-", "_")


def environment(site: NewSite) -> str:
    """Return lines ``NAME=value`` with new keys. No value has blanks or quotes, so every reader takes them."""
    values = {
        "LAZYAUTH_ISSUER": site.issuer,
        "LAZYAUTH_SIGNING_KEYS": ",".join(in_one_line(new_pem(one)) for one in OF_A_NEW_SITE),
        "LAZYAUTH_VAULT_KEYS": new_vault_key(datetime.now(UTC).date().isoformat()),
    }
    for name in site.providers:
        if name != PASSWORD:
            values |= {_variable(name, key): "" for key in ("client_id", "client_secret")}
    return "".join(f"{name}={value}\n" for name, value in values.items())


def next_steps(site: NewSite) -> Iterator[str]:
    """Yield what is left to do, a line each."""
    if not _is_mounted():
        path = site.issuer.removeprefix(origin(site.issuer)).strip("/")
        yield f'Add to urlpatterns: path("{path + "/" if path else ""}", include("django_lazyauth.urls"))'
        if path:
            yield 'and: path("", include("django_lazyauth.well_known"))'
    for name in site.providers:
        if name != PASSWORD:
            yield f"Register at {name} the redirect URI {redirect_uri(site, name)}"
            yield f"and set {_variable(name, 'client_id')} and {_variable(name, 'client_secret')}."
    yield "Then run: manage.py migrate; manage.py check"


def redirect_uri(site: NewSite, provider: str) -> str:
    """Return the address that *provider* sends people back to."""
    if _is_mounted():
        return origin(site.issuer) + reverse("lazyauth:callback", args=[provider])
    return f"{site.issuer.rstrip('/')}/callback/{provider}"


def _is_mounted() -> bool:
    try:
        reverse("lazyauth:token")
    except NoReverseMatch:
        return False
    return True
