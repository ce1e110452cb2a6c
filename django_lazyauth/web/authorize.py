"""The authorization endpoint, and the forms of a request that has no row yet (RFC 6749 §4.1.1).

Not here: flows that have a row (:mod:`.flow`), and what the first step is (``authorize/first_step``).
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from django_lazyauth.authorize import refused
from django_lazyauth.authorize.arrival import receive_request
from django_lazyauth.authorize.code import allow
from django_lazyauth.authorize.first_step import (
    GoStraight,
    Step,
    first_step,
    may_continue,
    step_of_known,
    usable_user,
)
from django_lazyauth.authorize.pending import flow_of, keep_request
from django_lazyauth.authorize.request import AuthorizationRefused, AuthorizationRequest
from django_lazyauth.clients import document, host_clients
from django_lazyauth.clients.by_key.keys import prefetch_keys
from django_lazyauth.clients.redirects import authorization_response
from django_lazyauth.errors import (
    ConsentRequired,
    InteractionRequired,
    InvalidGrant,
    InvalidRequestUri,
    LoginRequired,
    ProviderError,
    TemporarilyUnavailable,
)
from django_lazyauth.kit.http import without_empty
from django_lazyauth.kit.network import network_of
from django_lazyauth.models import PendingAuthorization
from django_lazyauth.models.fields import digest
from django_lazyauth.openid.descriptor import SSO_PREFIX
from django_lazyauth.providers.registry import get_provider
from django_lazyauth.sessions import browser
from django_lazyauth.sign_in.complete import adopt_signed_in

from . import binding, repeat
from .binding import Carried
from .choose import (
    chosen_provider,
    domain_is_closed,
    show_first_choices,
    typed_address,
    typed_domain,
    way_is_closed,
)
from .consent import consent_form, decide, show_first_consent, wants_another_account
from .flow import next_step, send
from .page import answer_client, go, page_view, show_unservable
from .repeat import Acted, acted


@page_view("GET", "HEAD", "POST")
def authorize_view(request: HttpRequest) -> HttpResponse:
    """Take GET and POST (OpenID Connect Core §3.1.2.1). A GET writes nothing, so it may be repeated."""
    if request.method == "POST":
        # A form posted from the client's site comes without our Lax cookies; the GET that follows has them.
        query = urlencode([(name, value) for name, values in request.POST.lists() for value in values])
        return go(f"{reverse('lazyauth:authorize')}?{query}")
    try:
        checked = _check(request)
    except AuthorizationRefused as error:
        return _refuse(request, error)
    prefetch_keys(checked.client)
    binding.resume_session(request)
    user = usable_user(request, checked)
    try:
        step = first_step(checked, user)
        if isinstance(step, GoStraight):
            return _go_straight(request, checked, step.provider)
        return _go_on(request, Carried.new(request, checked), step, user)
    except (LoginRequired, ConsentRequired, InteractionRequired, TemporarilyUnavailable) as error:
        return _answer_error(request, checked, error.error, error.description)


def _check(request: HttpRequest) -> AuthorizationRequest:
    """Return the checked request. Its client may still be in a host's store, or be a metadata document."""
    client_id = without_empty(request.GET).get("client_id", "")
    reason = document.look_up(client_id, request, network=network_of(request))
    try:
        return receive_request(request.GET)
    except AuthorizationRefused as error:
        if error.redirect_uri is not None:
            raise
        if not host_clients.write_row(client_id):
            if reason:
                raise AuthorizationRefused("invalid_client_metadata", reason) from None
            raise
    return receive_request(request.GET)


def _refuse(request: HttpRequest, error: AuthorizationRefused) -> HttpResponse:
    if error.redirect_uri is None:
        refused.note_unusable_client(request.GET.get("client_id", ""), network_of(request))
        return show_unservable(request, error.description, code=error.error)
    answer = authorization_response(
        error.redirect_uri,
        error=error.error,
        error_description=error.description,
        state=error.state,
        is_posted=error.is_posted,
    )
    return answer_client(request, answer)


def _answer_error(
    request: HttpRequest, checked: AuthorizationRequest, error: str, description: str
) -> HttpResponse:
    answer = authorization_response(
        checked.redirect_uri,
        error=error,
        error_description=description,
        state=checked.state,
        is_posted=checked.is_answer_posted,
    )
    return answer_client(request, answer, ui_locales=checked.ui_locales)


def _go_on(request: HttpRequest, carried: Carried, step: Step, user: AbstractBaseUser | None) -> HttpResponse:
    if user is not None and step in (Step.ISSUE, Step.CONNECT):
        return _answer_silently(request, carried, step, user)
    if flow := _flow_that_goes_on(request, carried.checked):
        return flow
    if step is Step.ASK_CONSENT and user is not None:
        return show_first_consent(request, carried, user)
    return show_first_choices(request, carried, user=user)


def _answer_silently(
    request: HttpRequest, carried: Carried, step: Step, user: AbstractBaseUser
) -> HttpResponse:
    """Go on without a page. A request that is good for one flow gets the same answer when it comes again (I23)."""
    if carried.checked.single_use is None:
        return _silent(request, carried, step, _keep(carried), user).response
    carried = Carried.of_session(request, carried.checked)
    if earlier := repeat.earlier_answer(request, carried.secret):
        return earlier
    pending = _keep(carried)
    return repeat.answer_once(
        request, pending, carried.secret, lambda: _silent(request, carried, step, pending, user)
    )


def _silent(
    request: HttpRequest, carried: Carried, step: Step, pending: PendingAuthorization, user: AbstractBaseUser
) -> Acted:
    adopted = adopt_signed_in(request, pending, user)
    if step is Step.ISSUE:
        try:
            answer = allow(adopted, is_silent=True)
            return acted(answer_client(request, answer, ui_locales=adopted.ui_locales))
        except ConsentRequired:
            if "none" in adopted.prompts:
                raise
    return acted(carried.bind(request, next_step(request, adopted, carried.secret)))


def _flow_that_goes_on(request: HttpRequest, checked: AuthorizationRequest) -> HttpResponse | None:
    """Return where the flow stands that used the request up, for the browser that began it. A person went back.

    Raises:
        InvalidRequestUri: It is another browser's.
    """
    flow = flow_of(checked.single_use)
    if flow is None:
        return None
    if digest(binding.secret_of(request, flow.pk)) != flow.binding_digest:
        raise InvalidRequestUri
    return go(reverse("lazyauth:flow", args=[flow.pk]))


def _keep(carried: Carried, *, has_acted: bool = True) -> PendingAuthorization:
    return keep_request(
        carried.checked, session_id=carried.session_id, browser=carried.browser, has_acted=has_acted
    )


def _go_straight(request: HttpRequest, checked: AuthorizationRequest, provider_name: str) -> HttpResponse:
    """Send the person to the only provider. A browser that comes again gets the flow that it began a moment ago."""
    if earlier := repeat.earlier_answer(request, *binding.all_secrets(request).values()):
        return earlier
    if flow := _flow_that_goes_on(request, checked):
        return flow
    carried = Carried.new(request, checked)
    # Nobody acted yet: another program may have followed the link (I23).
    pending = _keep(carried, has_acted=False)
    response = carried.bind(request, send(request, pending, provider_name, carried.secret))
    return repeat.remember(request, pending, carried.secret, response)


def _choose_provider(request: HttpRequest, carried: Carried, provider_name: str) -> HttpResponse:
    pending = _keep(carried)

    def work() -> Acted:
        return acted(carried.bind(request, send(request, pending, provider_name, carried.secret)))

    return repeat.answer_once(request, pending, carried.secret, work)


@page_view("POST")
def choose_view(request: HttpRequest) -> HttpResponse:
    """Take the choice of the person on the first page. Now the request becomes a row."""
    carried = Carried.of_form(request, lambda _: "choose")
    if earlier := repeat.earlier_answer(request, carried.secret):
        return earlier
    checked = carried.checked
    user = usable_user(request, checked)
    if request.POST.get("account") == "current" and user is not None and may_continue(checked.prompts):
        return _continue_as(request, carried, user)
    provider_name = chosen_provider(request)
    if not provider_name:
        refused.note_closed_domain(checked.client, network_of(request), typed_domain(request))
        return show_first_choices(request, carried, user=user, notice=domain_is_closed())
    try:
        get_provider(provider_name)
    except ProviderError:
        return show_first_choices(request, carried, user=user, notice=way_is_closed())
    if request.POST.get("provider") == SSO_PREFIX and (address := typed_address(request)):
        # The domain's provider or the password page gets it, so that the person need not type it again.
        carried = carried.of(replace(checked, login_hint=address))
    return _choose_provider(request, carried, provider_name)


def _continue_as(request: HttpRequest, carried: Carried, user: AbstractBaseUser) -> HttpResponse:
    """Go on as the person who is signed in here, as they chose on the first page."""
    chosen = replace(carried.checked, prompts=carried.checked.prompts - {"select_account"})
    step = step_of_known(chosen, user, has_seen_client=True)
    if step is Step.ASK_CONSENT:
        return show_first_consent(request, Carried.new(request, chosen), user)
    goes_on = step is Step.CONNECT or chosen.single_use is not None
    flow = carried.of(chosen) if goes_on else Carried.new(request, chosen)
    pending = _keep(flow)

    def work() -> Acted:
        return _silent(request, flow, step, pending, user)

    return repeat.answer_once(request, pending, carried.secret, work)


@page_view("POST")
def consent_view(request: HttpRequest) -> HttpResponse:
    """Take the decision of a person who was signed in here already. Now the request becomes a row."""
    user = browser.current_user(request)
    if user is None:
        raise InvalidGrant
    carried = Carried.of_form(request, lambda checked: consent_form(checked.client, user))
    if earlier := repeat.earlier_answer(request, carried.secret):
        return earlier
    if wants_another_account(request):
        asked = replace(carried.checked, prompts=carried.checked.prompts | {"select_account"})
        return show_first_choices(request, carried.of(asked), user=None)
    if not may_continue(carried.checked.prompts) or usable_user(request, carried.checked) is None:
        # The page stayed open for longer than the client lets a sign-in count, or was never shown for this request.
        return show_first_choices(request, carried, user=None)
    pending = _keep(carried)

    def work() -> Acted:
        return acted(decide(request, adopt_signed_in(request, pending, user)))

    return repeat.answer_once(request, pending, carried.secret, work)
