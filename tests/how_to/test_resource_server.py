"""``docs/how-to/resource-server.md``: an API on another site checks tokens of the issuer by itself."""

from __future__ import annotations

import httpx
import pytest

from tests.support.two_sites import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = "how-to/resource-server.md"


def test_another_site_takes_tokens_also_while_the_issuer_is_down(site, reader):
    """RFC 9068 §4: the keys were fetched once."""
    port = str(free_port())
    api = reader("api")
    names = {
        "https://auth.example.org/": site.mine("http://127.0.0.1:8000/"),
        "https://api.example.org": f"http://127.0.0.1:{port}",
    }
    site.names |= names
    api.names = names | {"manage.py runserver": f"manage.py runserver --noreload {port}"}
    api.type("django-admin startproject mysite .")
    # Both are on loopback.
    api.names['"RESOURCE_SERVER": {'] = '"ALLOW_LOOPBACK_UPSTREAMS": True, "RESOURCE_SERVER": {'
    api.follow(PAGE, "At the API")

    site.type(site.mine("python manage.py runserver"))
    site.keep = {"SECRET": r"client_secret: (\S+)", "TOKEN": '"access_token": ?"([^"]+)"'}
    site.follow(PAGE, "At the issuer", "Call it")
    site.close_terminal("runserver")
    notes, token = site.mine("https://api.example.org/v1/notes"), site.environment["TOKEN"]
    for sent, status in ((token, 200), (token[:-8] + "A" * 8, 401)):
        answer = httpx.get(notes, headers={"Authorization": f"Bearer {sent}"}, trust_env=False)
        assert answer.status_code == status, answer.text
