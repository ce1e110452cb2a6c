"""What the settings read from outside: environment variables, URLs of services, keys made on first use.

Knows neither Django's settings nor this site; it turns text into the values that settings are made of.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.exceptions import ImproperlyConfigured

#: Scheme of a database URL → Django's backend.
DATABASE_ENGINES = {
    "postgres": "django.db.backends.postgresql",
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "sqlite": "django.db.backends.sqlite3",
}

#: One writer at a time takes its lock at BEGIN instead of failing halfway, the others wait up to 20 s;
#: readers never wait, thanks to the write-ahead log.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

_PEM = re.compile(r"-----BEGIN (?P<kind>[A-Z ]+)-----.+?-----END (?P=kind)-----", re.DOTALL)


def value(name: str, default: str = "") -> str:
    """Return the variable *name*, or the content of the file that ``<name>_FILE`` names (a mounted secret)."""
    if path := os.environ.get(f"{name}_FILE"):
        return Path(path).read_text().strip()
    return os.environ.get(name, default).strip()


def require(*names: str) -> None:
    """Refuse to start without these variables, naming all that are missing at once.

    Raises:
        ImproperlyConfigured: At least one is unset or empty.
    """
    missing = [name for name in names if not value(name)]
    if missing:
        raise ImproperlyConfigured(f"Set these environment variables: {', '.join(missing)}.")


def flag(name: str, *, default: bool) -> bool:
    """Read a yes/no variable.

    Raises:
        ImproperlyConfigured: It is neither.
    """
    text = value(name).lower()
    if not text:
        return default
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0.")


def number(name: str, *, default: int) -> int:
    """Read a whole number, zero or more.

    Raises:
        ImproperlyConfigured: It is none.
    """
    text = value(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number.")
    return int(text)


def pem_keys(text: str) -> list[str]:
    """Split PEM blocks that stand one after the other; in a one-line variable ``\\n`` ends a line."""
    return [match.group(0) + "\n" for match in _PEM.finditer(text.replace("\\n", "\n"))]


def database(url: str, base: Path) -> dict[str, Any]:
    """Return the entry of ``DATABASES`` that *url* names.

    ``postgres://user:password@host:5432/name?sslmode=require``, ``mysql://…``, ``sqlite:///file-below-base``
    or ``sqlite:////absolute/file``. The query becomes the backend's ``OPTIONS``.

    Raises:
        ImproperlyConfigured: Another scheme, a wrong port, or no database name.
    """
    parts = urlsplit(url)
    engine = DATABASE_ENGINES.get(parts.scheme)
    if engine is None:
        raise ImproperlyConfigured(f"DATABASE_URL must start with one of {', '.join(DATABASE_ENGINES)}.")
    name = unquote(parts.path[1:])
    if not name:
        raise ImproperlyConfigured("DATABASE_URL names no database.")
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if parts.scheme == "sqlite":
        file = base / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return {"ENGINE": engine, "NAME": str(file), "OPTIONS": {**SQLITE_OPTIONS, **options}}
    if parts.scheme == "mysql":
        options = {"charset": "utf8mb4", "isolation_level": "read committed", **options}
    return {
        "ENGINE": engine,
        "NAME": name,
        "HOST": unquote(parts.hostname or ""),
        "PORT": _port(parts, "DATABASE_URL"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "OPTIONS": options,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite database for :func:`database`."""
    return "sqlite:///" + quote(str(file))


def mail(url: str) -> dict[str, Any]:
    """Return Django's mail settings for ``smtp://``, ``smtp+tls://`` (STARTTLS) or ``smtps://`` URLs.

    Raises:
        ImproperlyConfigured: Another scheme, a wrong port, or no host.
    """
    parts = urlsplit(url)
    ports = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
    if parts.scheme not in ports or not parts.hostname:
        raise ImproperlyConfigured("EMAIL_URL must look like smtp+tls://user:password@host:587.")
    return mailer(
        "smtp",
        host=parts.hostname,
        port=_port(parts, "EMAIL_URL") or ports[parts.scheme],
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        use_tls=parts.scheme == "smtp+tls",
        use_ssl=parts.scheme == "smtps",
        timeout=10,
    )


#: What Django before 6.1 calls the options of a mail backend.
_EMAIL_SETTINGS = {
    "host": "EMAIL_HOST",
    "port": "EMAIL_PORT",
    "username": "EMAIL_HOST_USER",
    "password": "EMAIL_HOST_PASSWORD",
    "use_tls": "EMAIL_USE_TLS",
    "use_ssl": "EMAIL_USE_SSL",
    "timeout": "EMAIL_TIMEOUT",
    "file_path": "EMAIL_FILE_PATH",
}


def mailer(kind: str, **options: Any) -> dict[str, Any]:
    """Return the settings of Django's mail backend *kind*: ``MAILERS`` since Django 6.1, else ``EMAIL_*``."""
    backend = f"django.core.mail.backends.{kind}.EmailBackend"
    if django.VERSION >= (6, 1):
        return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": options}}}
    return {"EMAIL_BACKEND": backend, **{_EMAIL_SETTINGS[name]: value for name, value in options.items()}}


def kept(path: Path, make: Callable[[], str]) -> str:
    """Return the content of *path*, made with *make* the first time and readable by its owner only.

    Of processes that start together one makes it; the others read what it wrote.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(make())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()


def new_secret_key() -> str:
    return secrets.token_urlsafe(48)


def new_rsa_key() -> str:
    """Return an RSA private key of 2048 bits as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _port(parts: SplitResult, name: str) -> int | str:
    try:
        return parts.port or ""
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} has a port that is no port.") from error
