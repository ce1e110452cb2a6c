"""Seal a token response for whoever presents the refresh token that it answered, and for nobody else.

The key is derived from the presented token, which the database never holds: of a dump nothing can be opened, by
no key of the site either. This module turns text into text and knows nothing of rows.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.views.decorators.debug import sensitive_variables

from django_lazyauth.kit import sealed_text

#: Keeps this key apart from whatever else is derived from a token (RFC 5869 §3.2).
PURPOSE: Final = "django_lazyauth refresh successor v2"


@sensitive_variables()
def seal(text: str, *, refresh_token: str, family: UUID, client_id: str) -> str:
    """Return *text* sealed under *refresh_token*, for this family and client."""
    return sealed_text.seal(text, secret=refresh_token, purpose=PURPOSE, place=_place(family, client_id))


@sensitive_variables()
def open_sealed(sealed: str, *, refresh_token: str, family: UUID, client_id: str) -> str:
    """Return the text.

    Raises:
        SealBroken: Another token, family or client, or tampered with; not told apart.
    """
    place = _place(family, client_id)
    return sealed_text.open_sealed(sealed, secret=refresh_token, purpose=PURPOSE, place=place)


def _place(family: UUID, client_id: str) -> str:
    # A UUID has a fixed length: what comes after it cannot be taken for a part of it.
    return f"{family}{client_id}"
