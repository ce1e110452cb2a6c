"""The device authorization endpoint (RFC 8628 §3.1, §3.2): who asks, for what, and the codes that it gets.

Not here: the row and its caps (:mod:`django_lazyauth.authorize.device_request`).
"""

from __future__ import annotations

import json
import logging
import re
from typing import Final
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict
from django.urls import reverse

from django_lazyauth.authorize.device_request import DeviceCodes, DeviceRequest, device_flow_for, keep_device
from django_lazyauth.authorize.wanted import read_wanted_acr
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest, InvalidScope, OAuthError, UnauthorizedClient
from django_lazyauth.kit.log import log_failure
from django_lazyauth.kit.network import network_of
from django_lazyauth.openid.dpop.check import nonce_headers
from django_lazyauth.tokens.binding import proof_of
from django_lazyauth.toolkit import clients, scopes
from django_lazyauth.toolkit.client_policies import default_acr_values, default_max_age

from ..checks import introduced_client, requested_resources
from ..contract import Form, TokenAnswer, error_of, read_form
from ..proof import thumbprint_of

logger = logging.getLogger("django_lazyauth.device")

#: Characters. The same as at the authorization endpoint.
MAX_SCOPE, MAX_ACR_VALUES = 4096, 1024
_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


def answer_device_request(http_request: HttpRequest) -> TokenAnswer:
    """Return the answer to a device that asks for codes. Never raises: what fails here is logged without any value."""
    proof = None
    try:
        form = read_form(http_request)
        form.refuse_details()
        # Before the assertion, which is good once: who has to come again with a nonce has used nothing up.
        proof = proof_of(http_request)
        client = introduced_client(form)
        flow = device_flow_for(client)
        if flow is None:
            raise UnauthorizedClient("This client may not ask for devices.")
        # The proof is not remembered: a copy of it binds another code to the same key, which its owner alone has.
        codes = keep_device(_request_of(form, client, thumbprint_of(proof)), flow)
    except OAuthError as error:
        return TokenAnswer.of_error(error).with_headers(nonce_headers(proof))
    except Exception as error:  # noqa: BLE001 - whatever the database or a host's store raises
        log_failure(logger, "a device could not ask for codes", error)
        return TokenAnswer.of_error(error_of(error)).with_headers(nonce_headers(proof))
    return TokenAnswer(json.dumps(_shown(codes))).with_headers(nonce_headers(proof))


def _shown(codes: DeviceCodes) -> dict[str, str | int]:
    page = lazyauth_settings.issuer_origin + reverse("lazyauth:device")
    return {
        "device_code": codes.device_code,
        "user_code": codes.user_code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?{urlencode({'user_code': codes.user_code})}",
        "expires_in": codes.expires_in,
        "interval": codes.interval,
    }


def _request_of(form: Form, client: clients.Client, jkt: str) -> DeviceRequest:
    return DeviceRequest(
        client=client,
        scopes=_scopes(form, client),
        resources=requested_resources(form),
        max_age=_max_age(form, client),
        acr_values=_acr_values(form, client),
        jkt=jkt,
        network=network_of(form.http_request),
    )


def _scopes(form: Form, client: clients.Client) -> tuple[str, ...]:
    """Return the scopes asked for, or the defaults (RFC 6749 §3.3), as the authorization endpoint takes them."""
    scope = form.get("scope")
    if len(scope) > MAX_SCOPE:
        raise InvalidScope("The scope is too long.")
    asked = scopes.requested_scopes(scope) if scope else scopes.default_scopes(client)
    if refusal := scopes.refusal_of(client, asked):
        raise InvalidScope(refusal)
    return tuple(dict.fromkeys(scopes.narrow(client, asked)))


def _max_age(form: Form, client: clients.Client) -> int | None:
    text = form.get("max_age")
    if not text:
        return default_max_age(client)
    if not _SECONDS.fullmatch(text):
        raise InvalidRequest("Invalid max_age parameter value.")
    return int(text)


def _acr_values(form: Form, client: clients.Client) -> tuple[str, ...]:
    if len(form.get("acr_values")) > MAX_ACR_VALUES:
        raise InvalidRequest("Invalid acr_values parameter value.")
    asked = QueryDict(mutable=True)
    asked["acr_values"] = form.get("acr_values")
    return read_wanted_acr(asked, default_acr_values(client)).values
