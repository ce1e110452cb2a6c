"""``docs/how-to/device.md``: a device asks with curl, and its person answers in a browser."""

from __future__ import annotations

import re

import pytest

from tests.support.reader import blocks_of, commands

from .person import Person

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = "how-to/device.md"


def test_a_device_gets_its_tokens_once_the_person_typed_the_code(site):
    """RFC 8628 §3."""
    site.names["https://auth.example.org/"] = site.mine("http://127.0.0.1:8000/")
    site.follow(PAGE, "At the site")
    site.type(site.mine("python manage.py runserver"))
    site.keep = {
        "DEVICE_CODE": r'"device_code": ?"([^"]+)"',
        "THERE": r'"verification_uri": ?"([^"]+)"',
        "CODE": r'"user_code": ?"([^"]+)"',
    }
    site.follow(PAGE, "On the device")
    with Person(site) as person:
        typed = person.submit(person.http.get(site.environment["THERE"]), user_code=site.environment["CODE"])
        person.sign_up(str(typed.url))
    assert "Television" in person.asks
    [*_, (poll, _said)] = commands([block.text for block in blocks_of(PAGE)][-1])
    answer = ""
    while "access_token" not in answer:
        site.try_("sleep 5")
        answer = site.type(site.mine(poll))
        assert re.search("access_token|slow_down|authorization_pending", answer), answer
