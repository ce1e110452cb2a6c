"""The page where a person types the code of their device, and the one that they end at (RFC 8628 §3.3).

A GET writes and reveals nothing, also with a code in its address. The form belongs to this browser, by a cookie of its
own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from http import HTTPStatus
from typing import Final
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_variables

from django_lazyauth.authorize import user_code
from django_lazyauth.authorize.device import CodeInUse, NoSuchCode, claim
from django_lazyauth.conf import lazyauth_settings
from django_lazyauth.errors import InvalidRequest, TemporarilyUnavailable
from django_lazyauth.kit.network import network_of
from django_lazyauth.kit.throttle import Verdict

from .. import binding
from ..json_endpoint import RETRY_AFTER_UNAVAILABLE
from ..page import flow_is_gone, go, page_view, show
from ..request_input import read_parameters

#: Names the cookie of the form. It is no flow, so it has no id of its own (RFC 9562 §5.10).
FORM: Final = UUID(int=2**128 - 1)
PURPOSE: Final = "device"

WRONG = gettext_lazy("This code is wrong or too old. Check it on your device.")
IN_USE = gettext_lazy("This code is in use in another browser. Go on there, or start again at your device.")
DOWN = gettext_lazy("This does not work at the moment")
LATER = gettext_lazy("Too many wrong codes were typed. Try again later.")


@page_view("GET", "HEAD", "POST")
def device_view(request: HttpRequest) -> HttpResponse:
    """Show the form, or take the code that was typed."""
    if lazyauth_settings.device_flow is None:
        raise Http404
    if request.method == "POST":
        return _take_code(request)
    try:
        typed = read_parameters(request, {"user_code": user_code.MAX_TYPED}).get("user_code", "")
    except InvalidRequest:
        typed = ""
    binding.resume_session(request)
    return _show(request, typed)


def _show(
    request: HttpRequest, typed: str, *, notice: str | Promise = "", status: int = HTTPStatus.OK
) -> HttpResponse:
    secret = binding.secret_of(request, FORM) or binding.new_secret()
    code = user_code.normalized(typed)
    context = {
        "typed": user_code.shown(code) if code else typed,
        "notice": notice,
        "post_url": reverse("lazyauth:device"),
        "form_token": binding.form_token(secret, PURPOSE),
    }
    response = show(request, "django_lazyauth/device/enter.html", context, status=status)
    binding.bind(request, response, FORM, secret)
    return response


def _take_code(request: HttpRequest) -> HttpResponse:
    secret = binding.secret_of(request, FORM)
    if not binding.form_token_matches(request, secret, PURPOSE):
        raise InvalidRequest(flow_is_gone())
    typed, network = request.POST.get("user_code", "")[: user_code.MAX_TYPED], network_of(request)
    code = user_code.normalized(typed)
    if not code:
        return _show(request, typed, notice=WRONG)
    verdict = user_code.judge_try(network)
    if verdict is Verdict.UNKNOWN:
        response = _show(request, typed, notice=DOWN, status=HTTPStatus.SERVICE_UNAVAILABLE)
        response.headers["Retry-After"] = str(RETRY_AFTER_UNAVAILABLE)
        return response
    if verdict is Verdict.BEYOND:
        response = _show(request, typed, notice=LATER, status=HTTPStatus.TOO_MANY_REQUESTS)
        response.headers["Retry-After"] = str(user_code.seconds_left(network))
        return response
    own = _secret_for(secret, code)
    try:
        pending = claim(code, secret=own, network=network, others=binding.all_secrets(request).values())
    except NoSuchCode:
        return _show(request, typed, notice=WRONG)
    except CodeInUse:
        return _show(request, typed, notice=IN_USE)
    except TemporarilyUnavailable:
        # The code was right, and comes again.
        user_code.was_right(network)
        raise
    user_code.was_right(network)
    response = go(reverse("lazyauth:flow", args=[pending.pk]))
    if not binding.secret_of(request, pending.pk):
        binding.bind(request, response, pending.pk, own)
    return response


@sensitive_variables()
def _secret_for(secret: str, code: str) -> str:
    """Return the secret of the flow that this form begins with *code*: the same form sent twice is one flow (I23)."""
    since, _dot, key = secret.partition(".")
    derived = hmac.new(key.encode(), f"lazyauth device {code}".encode(), hashlib.sha256).digest()
    return f"{since}.{base64.urlsafe_b64encode(derived).decode().rstrip('=')}"


@page_view("GET", "HEAD")
def device_done_view(request: HttpRequest) -> HttpResponse:
    """Send the person back to their device. The address says how it went, and means nothing here."""
    if lazyauth_settings.device_flow is None:
        raise Http404
    return show(request, "django_lazyauth/device/done.html", {"is_allowed": not request.GET.get("error")})
