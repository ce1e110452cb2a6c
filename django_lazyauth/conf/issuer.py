"""Parts of an issuer identifier (RFC 8414 §2). Pure functions of a valid one."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def origin(issuer: str) -> str:
    """Return scheme and authority."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}"


def path(issuer: str) -> str:
    """Return the path without slashes at its ends."""
    return urlsplit(issuer).path.strip("/")


def is_loopback(issuer: str) -> bool:
    parts = urlsplit(issuer)
    return parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS


def host(value: str) -> str:
    """Return host and port of an issuer."""
    return urlsplit(value).netloc
