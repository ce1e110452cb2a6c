"""``docs/how-to/single-page-app.md`` in Chromium: by redirect, then in a popup."""

from __future__ import annotations

import pytest

from tests.support.two_sites import free_port

from .person import ADDRESS, CODE, PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def test_a_person_signs_in_by_redirect_and_in_a_popup(site):
    """Spec 7, CORS; RFC 9700 §2.1."""
    from tests.browser import chromium

    port = str(free_port())
    names = {
        "https://auth.example.org/": site.mine("http://127.0.0.1:8000/"),
        "https://app.example.org/": f"http://127.0.0.1:{port}/",
        "http.server 5173": f"http.server {port} --bind 127.0.0.1",
    }
    site.names |= names
    site.follow("how-to/single-page-app.md")
    site.type(site.mine("python manage.py runserver"))
    with chromium.running() as browser:
        context = browser.new_context(locale="en-GB")
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto(names["https://app.example.org/"])
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="password").click()
        page.get_by_role("link", name="Register").click()
        page.locator("[name=email]").fill(ADDRESS)
        page.locator("[name=password]").fill(PASSWORD)
        page.locator("[name=password]").press("Enter")
        page.locator("[name=code]").fill(site.found("runserver", CODE))
        page.locator("[name=code]").press("Enter")
        page.get_by_role("button", name="Allow", exact=True).click()
        page.get_by_text(f"Hello {ADDRESS}").wait_for()
        page.reload()
        assert not page.get_by_text(ADDRESS).count()
        with page.expect_popup():
            page.get_by_role("button", name="Sign in in a popup").click()
        page.get_by_text(f"Hello {ADDRESS}").wait_for()
