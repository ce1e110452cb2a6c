"""The challenge that comes with a refusal: how to get a token that would do (RFC 6750 §3, RFC 9728 §5.1)."""

from __future__ import annotations

from django_lazyauth.grants.server_metadata import resource_metadata_url


def challenge(path: str, *, error: str = "", description: str = "", scope: str = "") -> str:
    """Return the value of ``WWW-Authenticate``; without a token in the request there is no error to name.

    Args:
        path: Of the request. Metadata of anything but the URL that it went to, a client must not use
            (RFC 9728 §3.3).
    """
    parts = ['realm="api"']
    parts += [
        f'{name}="{value}"'
        for name, value in (
            ("error", error),
            ("error_description", description),
            ("scope", scope),
            ("resource_metadata", resource_metadata_url(path)),
        )
        if value
    ]
    return f"Bearer {', '.join(parts)}"
