"""A checked authorization request on its way through a page, tied to the browser that asked (I7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from django_lazyauth.authorize.pending import Browser
from django_lazyauth.authorize.request import AuthorizationRequest
from django_lazyauth.authorize.signed_request import SignedRequest, load_signed_request
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest
from django_lazyauth.kit.network import network_of
from django_lazyauth.models.fields import digest, uuid7

from . import binding
from .decorators import flow_is_gone


def seconds(duration: timedelta) -> int:
    return int(duration.total_seconds())


class Carried:
    """A request, the flow it will be, and the secret that ties both to this browser."""

    def __init__(self, checked: AuthorizationRequest, session_id: UUID, secret: str, network: str) -> None:
        self.checked = checked
        self.session_id = session_id
        self.secret = secret
        self.browser = Browser(digest(secret), network)

    @classmethod
    def new(cls, request: HttpRequest, checked: AuthorizationRequest) -> Carried:
        """Begin a flow: nothing is written, the page and its cookie carry it."""
        return cls(checked, uuid7(), binding.new_secret(), network_of(request))

    @classmethod
    def of_form(cls, request: HttpRequest, purpose: Callable[[AuthorizationRequest], str]) -> Carried:
        """Return what a posted page carried; *purpose* says what its form was good for.

        Raises:
            InvalidRequest: Forged, too old, or the page of another browser.
        """
        signed = load_signed_request(request.POST.get("request", ""))
        secret = binding.secret_of(request, signed.session_id)
        if digest(secret) != signed.binding_digest or not binding.form_token_matches(
            request, secret, purpose(signed.request)
        ):
            raise InvalidRequest(flow_is_gone())
        return cls(signed.request, signed.session_id, secret, network_of(request))

    @property
    def signed(self) -> str:
        return SignedRequest(self.checked, self.session_id, self.browser.binding_digest).dumps()

    def bind(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Give the browser the cookie of this flow."""
        lifetime = seconds(lazyauth_settings.flow_lifetime)
        binding.bind(request, response, self.session_id, self.secret, max_age=lifetime)
        return response
