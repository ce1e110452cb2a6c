"""The answer in a form, in a real browser: the policy of the page lets script and form do their work."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .person import ADA, UPSTREAM, Somebody
from .site import Site


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_a_posted_answer_reaches_the_client(site: Site, somebody: Callable[..., Somebody], scripts: bool):
    """OAuth 2.0 Form Post Response Mode §2. Without scripts the person presses the button."""
    person = somebody(java_script_enabled=scripts)
    client = site.client()
    person.open(client, response_mode="form_post")
    person.choose(UPSTREAM)
    person.sign_in_upstream(ADA)
    person.press("Allow")
    if not scripts:
        person.press("Continue")
    person.page.wait_for_url(f"{client.redirect_uri}?*")
    assert client.userinfo(client.redeem(person.page.url))["email"] == ADA.email
