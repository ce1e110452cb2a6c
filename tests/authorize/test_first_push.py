"""A push may be the first that this site hears of a client, and a native app may finish what was pushed."""

from __future__ import annotations

import pytest

from django_lazyauth.models import PendingAuthorization
from tests.api.test_sso_and_identities import send, token_for
from tests.clients.test_documents import Documents, documents  # noqa: F401 - a fixture
from tests.support.client_keys import ClientKey
from tests.support.journey import get, make_browser
from tests.support.pushes import link, push, pushed
from tests.web.site import get_application_model, is_choice_page, make_user, signed_in

pytestmark = pytest.mark.django_db


def test_a_client_of_a_document_pushes_first(documents):  # noqa: F811 - the fixture
    """Its document is read where it pushes, as it is at the authorization endpoint."""
    client = documents()
    request_uri = pushed(client)
    assert len(Documents.fetched) == 1
    assert is_choice_page(get(make_browser(), link(client.client_id, request_uri)))
    assert get_application_model().objects.get(client_id=client.client_id)


def test_a_client_of_a_document_with_a_key_pushes_first(documents):  # noqa: F811 - the fixture
    key = ClientKey("ES256")
    client = documents(token_endpoint_auth_method="private_key_jwt", jwks=key.key_set)
    assert push(client).status_code == 401
    assert push(client, key.form(client.client_id)).status_code == 201


def test_a_document_may_want_its_requests_to_be_pushed(documents):  # noqa: F811 - the fixture
    client = documents(require_pushed_authorization_requests=True)
    answer = get(make_browser(), f"/authorize?{client.authorize_query()}")
    assert "error=invalid_request" in answer.headers["Location"]
    assert is_choice_page(get(make_browser(), link(client.client_id, pushed(client))))


def test_a_document_that_cannot_be_served_is_named(documents):  # noqa: F811 - the fixture
    """RFC 9126 §2.3: JSON, with the reason."""
    client = documents(redirect_uris=["javascript:alert(1)"])
    answer = push(client)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert "redirect URI" in answer.json()["error_description"]


def test_the_account_page_begins_its_own_sign_in(lazyauth, db):
    """Where every request has to be pushed: nobody asks on behalf of a client there."""
    lazyauth(REQUIRE_PAR=True)
    browser = make_browser()
    answer = get(browser, "/account/sign-in")
    while answer.status_code in (302, 303):
        answer = get(browser, answer.headers["Location"])
    assert is_choice_page(answer), answer.content[:500]
    assert get(signed_in(make_user()), "/account/sessions").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_two_native_apps_with_one_request_one_signs_in(upstream, client_, lazyauth):
    """They were sent straight to the only provider, and hand over its ID token instead."""
    lazyauth(PROVIDERS={"acme": upstream.config()})
    request_uri, flows = pushed(client_), []
    for _ in range(2):
        browser = make_browser()
        assert get(browser, link(client_.client_id, request_uri)).status_code == 303
        flows.append((browser, PendingAuthorization.objects.latest("created_at").pk))
    answers = []
    for number, (browser, pk) in enumerate(flows):
        url = f"/authorizations/{pk}/id-token"
        token = token_for(upstream, get(browser, url).json()["nonce"], sub=f"person-{number}")
        answers.append(send(browser, url, {"id_token": token}))
    assert [answer.status_code for answer in answers] == [200, 400], [answer.content for answer in answers]
    assert PendingAuthorization.objects.filter(pushed_digest__isnull=False).count() == 1
