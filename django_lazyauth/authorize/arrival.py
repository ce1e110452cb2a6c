"""By which way does an authorization request come: in the URL, pushed (RFC 9126) or signed (RFC 9101)?

Not here: what each of them is (:mod:`.pushed`, :mod:`.request_object`), and the checks of all (:mod:`.request`).
"""

from __future__ import annotations

from dataclasses import replace

from django.http import QueryDict

from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest
from django_lazyauth.kit.http import without_empty
from django_lazyauth.openid.dpop.proof import Proof
from django_lazyauth.tokens.binding import agreed_key

from .pushed import Pushed, is_pushed, open_pushed, push
from .request import PLAIN, Arrival, AuthorizationRefused, AuthorizationRequest, validate_authorization
from .request_object import open_signed

#: They authenticate the client that pushes, and are no parameters of the request (RFC 9126 §2.1).
CREDENTIALS = ("client_secret", "client_assertion", "client_assertion_type")


def receive_request(sent: QueryDict) -> AuthorizationRequest:
    """Return the checked request that a browser brought to the authorization endpoint.

    Raises:
        AuthorizationRefused: It cannot be served. The error says where it may go.
        InvalidRequestUri: The same. Only a page may show it.
        TemporarilyUnavailable: The keys of the client cannot be read now.
    """
    sent = without_empty(sent)
    if any(map(is_pushed, sent.getlist("request_uri"))):
        # Nothing else beside it is read (RFC 9126 §4), so nobody can add to what the client pushed.
        return validate_authorization(
            *open_pushed(_the_one(sent, "request_uri"), _the_one(sent, "client_id"))
        )
    return validate_authorization(*_unsigned(sent))


def receive_push(sent: QueryDict, proof: Proof | None = None) -> Pushed:
    """Check a request that a client pushed, and return what the client gets for it (RFC 9126 §2).

    Args:
        sent: Its parameters, with the ``client_id`` of the client that pushed them.
        proof: Of a key. The code is bound to it, as by ``dpop_jkt`` (RFC 9449 §10.1).

    Raises:
        AuthorizationRefused: The authorization endpoint would refuse it.
        InvalidRequest: It names another pushed request, or is too long.
        InvalidDpopProof: ``dpop_jkt`` names another key than the proof.
        TemporarilyUnavailable: The keys of the client cannot be read now.
    """
    if "request_uri" in sent:
        raise InvalidRequest("A pushed request must not name another one (RFC 9126, section 2.1).")
    sent = sent.copy()
    for name in CREDENTIALS:
        sent.pop(name, None)
    parameters, arrival = _unsigned(sent)
    validate_authorization(parameters, replace(arrival, is_pushed=True))
    if jkt := agreed_key(proof, parameters.get("dpop_jkt", "")):
        parameters["dpop_jkt"] = jkt
    return push(parameters, str(parameters["client_id"]), arrival)


def _unsigned(sent: QueryDict) -> tuple[QueryDict, Arrival]:
    """Return the parameters of a request, from the object that it is signed in where that is so."""
    if lazyauth_settings.request_objects and "request" in sent:
        return open_signed(_the_one(sent, "request"), _the_one(sent, "client_id"))
    return sent, PLAIN


def _the_one(sent: QueryDict, name: str) -> str:
    values = sent.getlist(name)
    if len(values) != 1:
        word = "Duplicate" if values else "Missing"
        raise AuthorizationRefused("invalid_request", f"{word} {name} parameter.")
    return str(values[0])
