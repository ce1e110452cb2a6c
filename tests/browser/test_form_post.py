"""An upstream that answers with a POST from another site, in a real browser: which cookies come back is its rule."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qsl, urljoin, urlsplit

from playwright.sync_api import Page, Route

from .person import ADA, UPSTREAM, Somebody
from .site import Site


def post_from_another_site(site: Site, page: Page, answer: str) -> None:
    """Send what *answer* holds as a form, from a page whose site is not ours: ``localhost`` is not ``127.0.0.1``."""
    inputs = "".join(
        f'<input name="{escape(name)}" value="{escape(value)}">'
        for name, value in parse_qsl(urlsplit(answer).query)
    )
    action = f"{site.url}{urlsplit(answer).path}"
    html = f'<form method="post" action="{action}">{inputs}<input name="user" value="Ada"><button>Go</button></form>'
    elsewhere = f"http://localhost:{urlsplit(site.upstream_url).port}/form"
    page.route(elsewhere, lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(elsewhere)
    with page.expect_navigation():
        page.get_by_role("button", name="Go").click()


def catch_answer(person: Somebody, site: Site) -> str:
    """Sign in upstream, and keep the browser from coming back; return the address of the answer."""
    caught: list[str] = []

    def catch(route: Route) -> None:
        # No redirect is offered to a route, so they are followed here.
        response = route.fetch(max_redirects=0)
        while location := response.headers.get("location", ""):
            address = urljoin(response.url, location)
            if address.startswith(f"{site.url}/callback/"):
                caught.append(address)
                route.fulfill(body="caught", content_type="text/plain")
                return
            response = person.context.request.get(address, max_redirects=0)
        route.fulfill(response=response)

    pattern = f"{site.upstream_url}/**"
    person.open(site.client())
    person.choose(UPSTREAM)
    person.page.route(pattern, catch)
    person.sign_in_upstream(ADA)
    person.page.unroute(pattern)
    assert caught, person.page.url
    return caught[0]


def test_the_get_after_a_posted_answer_brings_the_binding(site: Site, person: Somebody):
    """I7: the POST has no SameSite=Lax cookie, and the GET that it is turned into has."""
    cookies: dict[str, str] = {}

    def note(request) -> None:
        if "/callback/" in request.url:
            cookies[request.method] = request.all_headers().get("cookie", "")

    answer = catch_answer(person, site)
    person.context.on("requestfinished", note)
    post_from_another_site(site, person.page, answer)
    assert person.heading == "Allow access?"
    assert "lazyauth-" not in cookies["POST"]
    assert "lazyauth-" in cookies["GET"]
    assert not any("user=" in url for url in person.visited)


def test_a_posted_answer_of_another_browser_is_refused(site: Site, somebody):
    """I7: login CSRF."""
    answer = catch_answer(somebody(), site)
    victim = somebody()
    victim.open(site.client())
    post_from_another_site(site, victim.page, answer)
    assert "Allow" not in victim.text
    assert "begun in another browser" in victim.text
    victim.excuse_status(400)
