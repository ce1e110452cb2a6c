"""However many requests are pushed, no table grows. ``LAZYAUTH_PUSHES`` says how many; 2,000 without it."""

from __future__ import annotations

import os

import pytest

from tests.support.journey import get, make_browser, post_form
from tests.support.pushes import link, parameters
from tests.web.site import is_choice_page, rows

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

PUSHES = int(os.environ.get("LAZYAUTH_PUSHES", "2000"))


@pytest.mark.timeout(3600)
def test_i16_many_pushes_leave_every_row_count(confidential):
    """Spec 8.3: the URN holds what was pushed. The last one still works."""
    browser, before = make_browser(), rows()
    form = parameters(confidential) | {"client_secret": confidential.client_secret}
    for number in range(PUSHES):
        answer = post_form(browser, "/par", form | {"state": f"state-{number}"})
        assert answer.status_code == 201
    assert rows() == before
    page = get(make_browser(), link(confidential.client_id, answer.json()["request_uri"]))
    assert is_choice_page(page)
    assert rows() == before
