"""The site that is walked, with its clients, and the walk through it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from example_project.servers import Stage

from . import client as client_module
from .person import Somebody
from .site import Site
from .walk import PLANNER, walk
from .walker import Walker

CLIENTS = {
    "unverified": {"client_name": "Field Notes", "redirect_uris": ["http://127.0.0.1/callback"]},
    "device": {
        "client_name": "Living Room TV",
        "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
    },
    "linked": {
        "client_name": "Trail Planner",
        "redirect_uris": [PLANNER],
        "client_uri": "https://planner.example/",
        "policy_uri": "https://planner.example/privacy",
        "tos_uri": "https://planner.example/terms",
    },
}


@contextmanager
def running(directory: Path, **settings: str) -> Iterator[Site]:
    """The example site with the settings of the walk, and its clients."""
    with client_module.listener() as redirect_uri, socket.create_server(("127.0.0.1", 0)) as mute:
        settings = {
            "DJANGO_SETTINGS_MODULE": "tests.browser.walked_settings",
            "WALKED_SLOW_URL": f"http://127.0.0.1:{mute.getsockname()[1]}/",
            **settings,
        }
        with Stage(directory, site_settings=settings) as stage:
            yield prepared(Site(stage, redirect_uri))


def prepared(site: Site) -> Site:
    """Enter the clients."""
    site.register("trail-journal")
    for name, metadata in CLIENTS.items():
        asked = {"token_endpoint_auth_method": "none", **metadata}
        if name == "unverified":
            asked["redirect_uris"] = [site.redirect_uri]
        answer = httpx.post(f"{site.url}/register", json=asked, trust_env=False)
        assert answer.status_code == 201, answer.text
        registered = answer.json()["client_id"]
        site.execute(
            "UPDATE oauth2_provider_application SET client_id = ? WHERE client_id = ?", name, registered
        )
    site.execute(
        "UPDATE lazyauth_clientregistration SET verified_at = '2026-01-01' WHERE client_id ="
        " (SELECT id FROM oauth2_provider_application WHERE client_id = 'linked')"
    )
    return site


def go_all_the_way(
    site: Site, person: Somebody, language: str, *, scripts: bool = True, look: str = "plain"
) -> None:
    """Walk through all pages, and name everything that was wrong with them."""
    site.forget_everybody()
    walker = Walker(site, person, language, look=look)
    walker.allow_scripts(scripts)
    try:
        walk(walker, f"ada-{language}@mail.example")
    finally:
        # Also where the walk could not go on: what was wrong before may be why.
        assert not walker.faults, "\n".join(walker.faults)
