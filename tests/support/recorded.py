"""A sign-in for the tests that are about what comes after it: the code of a client in a third of the time.

The product records request, sign-in and consent as it does behind its pages. No page is opened, and none is parsed.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory

from django_lazyauth.authorize.arrival import receive_request
from django_lazyauth.authorize.code import allow
from django_lazyauth.authorize.pending import keep_request
from django_lazyauth.sign_in import callback
from django_lazyauth.web.binding import Carried, cookie_name, leave
from django_lazyauth.web.design.last_way import remember_way
from tests.support.journey import Browser, OAuthClient, query_of


def code_for(
    client: OAuthClient,
    *,
    subject: str = "ada",
    provider: str = "demo",
    browser: Browser | None = None,
    **changes,
) -> str:
    """Return what :func:`tests.support.journey.code_for` returns. *browser* is new, and gets the same cookies."""
    assert browser is None or not browser.cookies
    pages = RequestFactory(SERVER_NAME="auth.example", headers={"accept-language": "en"})
    request = pages.get(f"/authorize?{client.authorize_query(**changes)}", secure=True)
    request.session, request.user = SessionStore(), AnonymousUser()
    flow = Carried.new(request, receive_request(request.GET))
    pending = keep_request(flow.checked, session_id=flow.session_id, browser=flow.browser)
    state = query_of(callback.begin(pending, provider).url)["state"]
    request.GET = {"state": state, "code": subject}
    waiting = callback.session_of(state)
    signed_in = callback.receive(request, waiting, provider_name=provider, binding=flow.secret)
    answer = allow(signed_in)
    if browser is not None:
        request.COOKIES[cookie_name(flow.session_id)] = flow.secret
        response = leave(request, signed_in, answer)
        remember_way(request, response, provider)
        browser.cookies.update(response.cookies)
        if not request.session.is_empty():
            request.session.save()
            browser.cookies[settings.SESSION_COOKIE_NAME] = request.session.session_key
    return query_of(answer.url)["code"]
