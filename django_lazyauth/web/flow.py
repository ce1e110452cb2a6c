"""Where a flow with a row goes next: to a provider, through a chain, to the consent page or back to the client.

Not here: requests without a row (:mod:`.authorize`), the pages of providers (:mod:`.provider`).
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from django_lazyauth.authorize import refused
from django_lazyauth.authorize.code import allow
from django_lazyauth.authorize.consent import consent_needed
from django_lazyauth.authorize.pending import Browser, find_pending
from django_lazyauth.errors import ConsentRequired, InvalidGrant
from django_lazyauth.kit.observe.log_context import note_session
from django_lazyauth.kit.results import Pending
from django_lazyauth.models import GrantKind, PendingAuthorization, Status
from django_lazyauth.models.fields import digest
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.providers.base import Redirect
from django_lazyauth.sign_in import callback, chain
from django_lazyauth.sign_in.complete import adopt_signed_in

from . import binding, repeat
from .binding import leave
from .choose import chosen_provider, domain_is_closed, show_choices, typed_domain, way_is_closed
from .client_card import card_of
from .consent import consent_form_of, decide, show_consent, wants_another_account
from .design.last_way import remember_way
from .device.card import signed_in_for
from .page import go, page_view, show
from .repeat import Acted, acted


def own_pending(request: HttpRequest, session_id: UUID) -> tuple[PendingAuthorization, str]:
    """Return the row of a flow that this browser began, and the browser's secret (I7).

    Raises:
        InvalidGrant: There is none.
    """
    secret = binding.secret_of(request, session_id)
    if not secret:
        raise InvalidGrant
    note_session(session_id)
    return find_pending(session_id, browser=Browser(digest(secret))), secret


def check_form(request: HttpRequest, secret: str, purpose: str) -> None:
    """Refuse a posted form that is not of this page, flow and browser.

    Raises:
        InvalidGrant: Another form's token, or none.
    """
    if not binding.form_token_matches(request, secret, purpose):
        raise InvalidGrant


@page_view("GET", "HEAD", "POST")
def flow_view(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Show where a flow stands: choose a way to sign in, or allow the client."""
    if request.method == "POST":
        if earlier := repeat.earlier_answer(request, binding.secret_of(request, session_id)):
            return earlier
        return _take_form(request, *own_pending(request, session_id))
    pending, secret = own_pending(request, session_id)
    if pending.status == Status.AUTHENTICATED:
        if next_provider := chain.next_leg(pending):
            return send(request, pending, next_provider, secret, connect=True)
        return show_consent(request, pending, secret)
    if pending.status == Status.CODE_ISSUED:
        raise InvalidGrant
    return show_choices(request, pending, secret)


def _take_form(request: HttpRequest, pending: PendingAuthorization, secret: str) -> HttpResponse:
    """Take what the person chose or decided on one of the two pages."""
    if "account" in request.POST:
        return _continue_as(request, pending, secret)
    chooses = "provider" in request.POST
    check_form(request, secret, "flow" if chooses else consent_form_of(pending))
    if not chooses and wants_another_account(request):
        callback.choose_again(pending)
        return go(reverse("lazyauth:flow", args=[pending.pk]))
    name = chosen_provider(request) if chooses else ""
    if chooses and not name:
        refused.note_closed_domain_in(pending, typed_domain(request))
        return show_choices(request, pending, secret, notice=domain_is_closed())

    def work() -> Acted:
        return acted(send(request, pending, name, secret) if chooses else decide(request, pending))

    return repeat.answer_once(request, pending, secret, work)


def _continue_as(request: HttpRequest, pending: PendingAuthorization, secret: str) -> HttpResponse:
    """Let whoever is signed in here answer their device."""
    check_form(request, secret, "flow")
    user = signed_in_for(request, pending)
    if user is None:
        return show_choices(request, pending, secret)

    def work() -> Acted:
        return acted(next_step(request, adopt_signed_in(request, pending, user), secret))

    return repeat.answer_once(request, pending, secret, work)


def next_step(request: HttpRequest, pending: PendingAuthorization, secret: str = "") -> HttpResponse:
    """Go on after the person was authenticated: the chain's next leg, consent, or the answer to the client."""
    response = _next_step(request, pending, secret)
    remember_way(request, response, pending.provider)
    return response


def _next_step(request: HttpRequest, pending: PendingAuthorization, secret: str) -> HttpResponse:
    if next_provider := chain.next_leg(pending):
        secret = secret or binding.secret_of(request, pending.pk)
        return send(request, pending, next_provider, secret, connect=True)
    # Who approves a device that they do not see is the victim of whoever holds it, so everybody is asked.
    if pending.grant == GrantKind.DEVICE or consent_needed(
        pending.user,
        client=pending.client,
        scopes=pending.scopes,
        resources=pending.resource,
        prompts=pending.prompts,
    ):
        return go(reverse("lazyauth:flow", args=[pending.pk]))
    try:
        return leave(request, pending, allow(pending, is_silent=True))
    except ConsentRequired:
        return go(reverse("lazyauth:flow", args=[pending.pk]))


def send(
    request: HttpRequest,
    pending: PendingAuthorization,
    provider_name: str,
    secret: str,
    *,
    connect: bool = False,
) -> HttpResponse:
    """Send the person to a provider, or show the choices again where that is impossible."""
    if not connect and not chain.is_choice(pending, provider_name):
        return show_choices(request, pending, secret, notice=way_is_closed())
    # Only at the address that waits for this provider: a reload of any other address would start over.
    is_waiting = request.method != "POST" and pending.provider == provider_name
    try:
        step = callback.begin(pending, provider_name, connect=connect)
    except callback.SignInFailed as failed:
        return show_choices(request, pending, secret, failed=(provider_name, failed.failure))
    if isinstance(step, Redirect):
        return go(step.url)
    if isinstance(step, Pending) and is_waiting:
        return show_waiting(request, pending, step)
    return go(reverse("lazyauth:provider", args=[pending.pk, provider_name]))


#: Seconds until the waiting page looks again, for each time that it was shown; then it waits for the person.
PAUSES: Final = (2, 4, *(8,) * 6)


def show_waiting(request: HttpRequest, pending: PendingAuthorization, waiting: Pending) -> HttpResponse:
    """Show that another server is being asked. The page reloads its own address by itself, less often each time.

    Only the first is announced, because a screen reader would read each of them. The last one does not reload.
    """
    again = request.GET.copy()
    given = again.get("waited", "")
    waited = min(int(given), len(PAUSES)) if given.isascii() and given.isdigit() and len(given) < 3 else 0
    again["waited"] = str(waited + 1)
    again_url = f"?{again.urlencode()}"
    pause = max(PAUSES[waited], waiting.retry_after) if waited < len(PAUSES) else 0
    response = show(
        request,
        "django_lazyauth/waiting.html",
        {
            "host": pending.provider.removeprefix(SSO_PREFIX),
            "client": card_of(pending),
            "pause": pause,
            "is_first": waited == 0,
            "again_url": again_url,
            "choices_url": reverse("lazyauth:flow", args=[pending.pk]),
        },
        ui_locales=pending.ui_locales,
        status=202,
    )
    response.headers["Retry-After"] = str(pause or PAUSES[-1])
    if pause:
        # Does what <meta http-equiv="refresh"> does, which checkers of accessibility refuse on any page.
        response.headers["Refresh"] = f"{pause}; url={again_url}"
    return response
