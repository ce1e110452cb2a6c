"""The document that tells clients what this server does (RFC 8414; OpenID Connect Discovery has the same content).

Not here: the resources of this site (``resource_metadata``).
"""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch, reverse

from django_lazyauth.authorize.request import RESPONSE_MODES
from django_lazyauth.clients.by_key.assertion import ALGORITHMS
from django_lazyauth.conf import allowed_algorithms, is_fapi2, lazyauth_settings
from django_lazyauth.openid.dpop.proof import ALGORITHMS as PROOF_ALGORITHMS
from django_lazyauth.tokens.id import PROTOCOL_CLAIMS, SCOPE_OF_CLAIM
from django_lazyauth.tokens.keys import signing_algorithms
from django_lazyauth.toolkit.client_methods import BY_KEY, METHODS, PROVING_METHODS
from django_lazyauth.toolkit.scopes import advertised_scopes
from django_lazyauth.toolkit.settings import metadata_documents_enabled, requires_pushes
from django_lazyauth.users.subjects import served_subject_type

from .delegation.id_jag import GRANT_TYPE as ID_JAG
from .delegation.id_jag import PROFILE
from .delegation.issue_id_jag import ID_JAG as ID_JAG_TYPE
from .endpoint import served_grants

PROMPTS = ["none", "login", "consent", "select_account", "create"]

#: Member → name of the URL that serves it. A URL that is not mounted is not advertised.
ENDPOINTS = {
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "pushed_authorization_request_endpoint": "par",
    "revocation_endpoint": "revoke",
    "introspection_endpoint": "introspect",
    "userinfo_endpoint": "userinfo",
    "end_session_endpoint": "end-session",
    "registration_endpoint": "register",
    "jwks_uri": "jwks",
    "device_authorization_endpoint": "device-authorization",
}


def endpoint_url(name: str) -> str | None:
    """Return the absolute URL of one of our endpoints; ``None`` if it is not mounted. ``Host`` is never used."""
    try:
        return lazyauth_settings.issuer_origin + reverse(f"lazyauth:{name}")
    except NoReverseMatch:
        return None


#: Endpoint that clients authenticate at → the methods that it serves (RFC 8414 §2).
METHODS_OF = {"token": METHODS, "revocation": METHODS, "introspection": PROVING_METHODS}


#: What we sign for a client in an algorithm that it may choose (OpenID Connect Discovery §3, RFC 9701 §7).
SIGNED = ("id_token", "userinfo", "introspection")


def _authentication() -> dict[str, list[str]]:
    methods = {
        f"{name}_endpoint_auth_methods_supported": [BY_KEY] if is_fapi2() else list(served)
        for name, served in METHODS_OF.items()
    }
    algorithms = list(allowed_algorithms(ALGORITHMS))
    return methods | {f"{name}_endpoint_auth_signing_alg_values_supported": algorithms for name in METHODS_OF}


def _requests() -> dict[str, Any]:
    """Return how authorization requests may come, and have to (RFC 9101 §10.5, RFC 9126 §5)."""
    found: dict[str, Any] = {
        "request_parameter_supported": lazyauth_settings.request_objects,
        "request_uri_parameter_supported": False,
    }
    if lazyauth_settings.request_objects:
        found["request_object_signing_alg_values_supported"] = list(allowed_algorithms(ALGORITHMS))
    if requires_pushes():
        found["require_pushed_authorization_requests"] = True
    return found


def _delegation() -> dict[str, Any]:
    """Return which words for people are taken and given (draft-ietf-oauth-identity-assertion-authz-grant §7.2)."""
    found: dict[str, Any] = {}
    if ID_JAG in served_grants():
        found["authorization_grant_profiles_supported"] = [PROFILE]
    if lazyauth_settings.id_jag_audiences:
        found["identity_chaining_requested_token_types_supported"] = [ID_JAG_TYPE]
    return found


def server_metadata() -> dict[str, Any]:
    """Return the authorization server metadata (RFC 8414 §2, OpenID Connect Discovery §3)."""
    endpoints = {member: url for member, name in ENDPOINTS.items() if (url := endpoint_url(name))}
    if lazyauth_settings.registration_policy == "closed":
        endpoints.pop("registration_endpoint", None)
    acr_values = lazyauth_settings.acr_values
    if lazyauth_settings.device_flow is None:
        endpoints.pop("device_authorization_endpoint", None)
    return {
        "issuer": lazyauth_settings.issuer,
        **endpoints,
        "scopes_supported": advertised_scopes(),
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": list(served_grants()),
        **_delegation(),
        "code_challenge_methods_supported": ["S256"],
        **_authentication(),
        "dpop_signing_alg_values_supported": list(allowed_algorithms(PROOF_ALGORITHMS)),
        "subject_types_supported": [served_subject_type()],
        **{f"{kind}_signing_alg_values_supported": list(signing_algorithms()) for kind in SIGNED},
        "claims_supported": [*SCOPE_OF_CLAIM, *PROTOCOL_CLAIMS],
        "claims_parameter_supported": True,
        **({"acr_values_supported": list(acr_values)} if acr_values else {}),
        "prompt_values_supported": PROMPTS,
        **_requests(),
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": metadata_documents_enabled(),
    }
