"""The rows of the keys that say how a sign-out goes on at the provider, and the value that is made of them.

OpenID Connect RP-Initiated Logout 1.0. Not here: the request (:mod:`django_lazyauth.sessions.sign_out_there`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypedDict

from django_lazyauth.openid.provider_kinds import Key, choice

from . import kinds

UpstreamLogout = Literal["never", "ask", "always"]

#: Placeholders of the request. ``{redirect_uri}`` is our page for people who come back.
PLACEHOLDERS: Final = ("client_id", "redirect_uri", "state")
#: The parameters of the request that no configuration may replace (§2).
OWN: Final = frozenset({"id_token_hint", "client_id", "state", "post_logout_redirect_uri"})

LOGOUT_KEYS: Final = (
    Key(
        "end_session_endpoint",
        kinds.endpoint(*PLACEHOLDERS),
        "Where people sign out there (OpenID Connect RP-Initiated Logout 1.0).",
        default_text="as the metadata says",
    ),
    Key(
        "upstream_logout",
        choice("never", "ask", "always"),
        "Whether somebody who signs out here "
        "[goes on to sign out there](concepts/sessions.md#signing-out-at-the-provider-too). `ask`: the page that says "
        "that they are signed out offers it.",
        "never",
    ),
    Key(
        "upstream_logout_params",
        kinds.parameters(OWN, *PLACEHOLDERS),
        "Added to that request. `{redirect_uri}` is the page of this site that people come back to; a parameter that "
        "holds it stands in the place of `post_logout_redirect_uri`, as `logout_uri` does for Amazon Cognito.",
        {},
    ),
)


class LogoutConfig(TypedDict, total=False):
    """These keys in an entry of ``LAZYAUTH["PROVIDERS"]``, for type checkers."""

    end_session_endpoint: str | None
    upstream_logout: UpstreamLogout | None
    upstream_logout_params: Mapping[str, str | None] | None


@dataclass(frozen=True, slots=True)
class Logout:
    """How a sign-out goes on at the provider. Each field is the key of that name."""

    end_session_endpoint: str = ""
    upstream_logout: UpstreamLogout = "never"
    upstream_logout_params: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_without_endpoint(self) -> bool:
        """Whether people are to go on to an address that only metadata can name."""
        return self.upstream_logout != "never" and not self.end_session_endpoint

    def address(self, metadata: Mapping[str, Any]) -> str:
        """Return the configured end-session endpoint, else the published one, else nothing."""
        return self.end_session_endpoint or str(metadata.get("end_session_endpoint", ""))


def logout_from(values: Mapping[str, Any]) -> Logout:
    """Return the value of the keys that are fields of :class:`Logout`; *values* may hold others."""
    return Logout(**{one.name: values[one.name] for one in fields(Logout)})
