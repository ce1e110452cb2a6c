"""The key that says what a revocation looks like where it is not RFC 7009's: the access token stands in its place.

Not here: when something is revoked (:mod:`django_lazyauth.upstream.revocations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypedDict

from django_lazyauth.openid.provider_kinds import Key, Kind, choice

from . import kinds

Method = Literal["POST", "DELETE"]
Auth = Literal["client", "basic", "none"]

_MEMBERS: Final = (
    Key("method", choice("POST", "DELETE"), "Of the request.", "POST"),
    Key(
        "token",
        kinds.TOKEN_PLACE,
        "Where the access token stands, as in `userinfo_token`.",
        default_text="nowhere",
    ),
    Key(
        "auth",
        choice("client", "basic", "none"),
        "`client`: this site authenticates as at the token endpoint; `basic`: by HTTP Basic there, whatever it does "
        "elsewhere.",
        "",
        default_text="`client`; `none` where the token is in the header",
    ),
    Key(
        "body",
        kinds.parameters(frozenset(), "client_id", "access_token", "refresh_token"),
        "Sent as JSON.",
        {},
    ),
)

#: Stands behind ``revocation``.
REVOCATION_KEYS: Final = (
    Key(
        "revocation_request",
        Kind("a dict", dict),
        "What the request to `revocation_endpoint` looks like where it is none of RFC 7009. An access token that has "
        "expired is renewed for it.",
        None,
        default_text="RFC 7009: the refresh token in a form",
        members=_MEMBERS,
    ),
)


class RevocationRequestConfig(TypedDict, total=False):
    """The value of ``revocation_request``."""

    method: Method | None
    token: str | None
    auth: Auth | None
    body: Mapping[str, str | None] | None


@dataclass(frozen=True, slots=True)
class RevocationRequest:
    """A revocation of its own shape. Each field is the member of that name."""

    method: Method = "POST"
    token: str = ""
    auth: Auth | Literal[""] = ""
    body: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def place(self) -> tuple[str, str]:
        """Where the access token stands: ``bearer``, ``header``, ``query`` or ``form``, and the word or name there."""
        place, _, name = self.token.partition(":")
        return place, name

    @property
    def is_in_header(self) -> bool:
        return self.place[0] in ("bearer", "header")

    def complaint(self) -> str:
        """Return what is wrong with the combination of members, or nothing."""
        if self.is_in_header and self.auth not in ("", "none"):
            return '"revocation_request": "token" in the header leaves no place for "auth"'
        if self.body and self.place[0] == "form":
            return '"revocation_request": "body" leaves no form for "token"'
        return ""
