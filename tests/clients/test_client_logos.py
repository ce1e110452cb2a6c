"""The logo of a client: fetched by us once an operator stands for the client, and shown from our own origin."""

from __future__ import annotations

import time

import pytest
from django.utils import timezone
from oauth2_provider.models import get_application_model

from django_lazyauth.clients import operator_actions
from django_lazyauth.clients.shown import logo
from django_lazyauth.models import ClientRegistration, ClientSource
from tests.support.journey import get, make_browser
from tests.support.key_server import KeyServer
from tests.web.site import ask, make_user, register_client, self_registered, signed_in, soup_of

pytestmark = pytest.mark.django_db(transaction=True)

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100


@pytest.fixture
def server(lazyauth):
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=True)
    server = KeyServer()
    server.body = PNG
    yield server
    server.close()


@pytest.fixture
def stranger(server):
    """A client that registered itself and named a logo."""
    client = self_registered()
    row = get_application_model().objects.get(client_id=client.client_id)
    ClientRegistration.objects.create(
        client=row,
        source=ClientSource.OPEN,
        metadata={"logo_uri": server.url("/logo.png")},
        last_used_at=timezone.now(),
    )
    return client


def row_of(client):
    return ClientRegistration.objects.get(client__client_id=client.client_id)


def wait_for_logo(client):
    ends = time.monotonic() + 20
    while not row_of(client).logo_digest:
        assert time.monotonic() < ends
        time.sleep(0.02)


def picture_on(page) -> str:
    mark = soup_of(page).select_one(".lazyauth-client .lazyauth-mark")
    return mark["src"] if mark else ""


def test_the_logo_of_a_verified_client_is_shown_from_our_own_origin(server, stranger):
    """Spec 10. The client's host does not learn who looks at the page."""
    browser = signed_in(make_user())
    assert picture_on(ask(browser, stranger)) == ""
    assert server.asked == 0
    operator_actions.verify([row_of(stranger).client_id])
    wait_for_logo(stranger)
    page = ask(browser, stranger)
    assert server.url("") not in page.content.decode()
    assert "img-src 'self';" in page.headers["Content-Security-Policy"]
    answer = get(make_browser(), picture_on(page))
    assert (answer.content, answer.headers["Content-Type"]) == (PNG, "image/png")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "immutable" in answer.headers["Cache-Control"]
    assert server.asked == 1
    assert get(make_browser(), picture_on(page)[:-16] + "0" * 16).status_code == 404


def test_a_client_that_nobody_stands_for_any_more_shows_its_initial(server, stranger):
    pk = row_of(stranger).client_id
    operator_actions.verify([pk])
    wait_for_logo(stranger)
    browser = signed_in(make_user())
    address = picture_on(ask(browser, stranger))
    operator_actions.disable([pk])
    assert get(browser, address).status_code == 404
    operator_actions.enable([pk])
    assert get(browser, address).status_code == 200
    operator_actions.unverify([pk])
    assert picture_on(ask(browser, stranger)) == ""
    # Nor is it served to whoever kept its address.
    assert get(browser, address).status_code == 404
    assert not logo.fetch_now(pk)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", 200),
        (b"<!doctype html><script>alert(1)</script>", 200),
        (PNG + b"\0" * logo.LIMIT, 200),
        (PNG, 404),
    ],
    ids=["svg", "html", "too large", "not found"],
)
def test_only_a_small_picture_is_kept(server, stranger, body, status):
    """I14: bytes of a stranger from our own origin are pictures and nothing else."""
    server.body, server.status = body, status
    ClientRegistration.objects.update(verified_at=timezone.now())
    assert not logo.fetch_now(row_of(stranger).client_id)
    assert row_of(stranger).logo_digest == ""
    assert picture_on(ask(signed_in(make_user()), stranger)) == ""


def test_a_logo_of_this_network_is_not_fetched(server, stranger, lazyauth):
    """I14: the client chose the address."""
    ClientRegistration.objects.update(verified_at=timezone.now())
    lazyauth(ALLOW_LOOPBACK_UPSTREAMS=False)
    assert not logo.fetch_now(row_of(stranger).client_id)
    assert server.asked == 0


def test_an_operators_own_client_has_the_logo_that_the_operator_names(server):
    client = register_client()
    row = get_application_model().objects.get(client_id=client.client_id)
    operator_actions.set_metadata(row, {"logo_uri": server.url("/logo.png")})
    wait_for_logo(client)
    assert picture_on(ask(signed_in(make_user()), client))
    operator_actions.set_metadata(get_application_model().objects.get(pk=row.pk), {"logo_uri": None})
    assert picture_on(ask(signed_in(make_user("grace")), client)) == ""
