"""I18: no input at the endpoints and the page of devices yields a fault of ours."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.devices import CLIENT_ID, DEVICE_CODE, ask, codes
from tests.support.journey import form_of, get, make_browser
from tests.web.test_fuzz import assert_answer_for_a_client, bodies, headers, moderate, queries, send

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("television")]

NAMES = [
    *(
        "client_id",
        "client_secret",
        "scope",
        "resource",
        "max_age",
        "acr_values",
        "device_code",
        "grant_type",
    ),
    *("client_assertion", "client_assertion_type", "user_code", "form_token"),
]


@pytest.mark.parametrize("path", ["/device_authorization", "/token"])
def test_the_endpoints_of_devices_survive_any_request(path):
    asked = codes()
    form = {
        "grant_type": DEVICE_CODE,
        "device_code": asked["device_code"],
        "client_id": CLIENT_ID,
        "scope": "openid",
        "resource": "https://auth.example/mcp",
        "max_age": "60",
    }
    known = urlencode(form).split("&")

    @moderate
    @given(
        form=queries(NAMES, known),
        junk=bodies,
        query=st.one_of(st.just(""), queries(NAMES)),
        method=st.sampled_from(["POST", "POST", "GET", "PUT", "OPTIONS"]),
        environ=headers,
    )
    def anything(form, junk, query, method, environ):
        for sent in (form.encode(), junk):
            answer = send(make_browser(), path, method=method, query=query, body=sent, environ=dict(environ))
            assert_answer_for_a_client(answer)

    anything()


def test_the_page_survives_any_form():
    ask()
    browser = make_browser()
    action, fields = form_of(get(browser, "/device"))
    known = urlencode(fields | {"user_code": "BBBB-BBBB"}).split("&")

    @moderate
    @given(form=queries(NAMES, known), junk=bodies, query=queries(NAMES), environ=headers)
    def anything(form, junk, query, environ):
        for sent in (form.encode(), junk):
            answer = send(browser, action, method="POST", query=query, body=sent, environ=dict(environ))
            assert answer.status_code < 500
        assert send(browser, "/device", method="GET", query=query).status_code < 500

    anything()
