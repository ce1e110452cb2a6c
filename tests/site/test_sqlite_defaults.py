"""The embedded default simply works: SQLite with the options that ``startproject`` leaves, and many people at once."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.support.fresh_project import FreshProject, people_at
from tests.support.journey import REDIRECT_URI

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CLIENT = f"""
from oauth2_provider.models import get_application_model
get_application_model().objects.create(
    client_id="app", name="App", client_type="public", authorization_grant_type="authorization-code",
    redirect_uris="{REDIRECT_URI}", client_secret="", hash_client_secret=False)
"""
METADATA = {"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "none"}

ATOMIC = 'DATABASES["default"]["ATOMIC_REQUESTS"] = True\n'
#: Lines of the settings, and options of gunicorn.
SITES = {
    "threads": ("", ["--worker-class=gthread", "--threads=24"]),
    "processes": ("", ["--workers=6"]),
    "both-and-atomic-requests": (ATOMIC, ["--workers=3", "--worker-class=gthread", "--threads=8"]),
}


@dataclass(frozen=True)
class Site:
    name: str
    project: FreshProject
    gunicorn: list[str]


@pytest.fixture(scope="module", params=SITES)
def site(request, tmp_path_factory):
    """A migrated project."""
    lines, gunicorn = SITES[request.param]
    project = FreshProject(tmp_path_factory.mktemp("fresh"), settings=lines)
    project.manage("migrate", "-v0")
    project.manage("shell", "-v0", "-c", CLIENT)
    return Site(request.param, project, gunicorn)


def at_once(jobs):
    """Run *jobs* together, each in a thread of its own."""
    together = threading.Barrier(len(jobs))

    def run(job):
        together.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return [future.result() for future in [threads.submit(run, job) for job in jobs]]


def failures(people):
    return [answer for person in people for answer in person.statuses if answer[1] >= 500]


def test_exchanges_refreshes_and_registrations_at_once_answer_no_5xx(site):
    """I18: twelve exchanges, then four refreshes and four registrations, and the sweep beside them."""
    with site.project.serving(*site.gunicorn) as url, people_at(url, site.name, 12) as people:
        codes = [person.sign_in() for person in people]
        answers = at_once([lambda p=p, c=c: p.redeem(c) for p, c in zip(people, codes, strict=True)])
        assert [answer.status_code for answer in answers] == [200] * 12, site.project.log
        done = threading.Event()
        sweeping = threading.Thread(
            target=lambda: [site.project.manage("sweep_lazyauth") for _ in iter(done.is_set, True)]
        )
        sweeping.start()
        try:
            refreshing = [
                lambda p=p, a=a: p.refresh(a.json()["refresh_token"])
                for p, a in zip(people, answers, strict=True)
            ]
            one = lambda: people[4].http.post("/register/", json=METADATA)  # noqa: E731
            answered = at_once([*refreshing[:4], *[one] * 4])
        finally:
            done.set()
            sweeping.join()
        assert [answer.status_code for answer in answered] == [200] * 4 + [201] * 4, site.project.log
        # A client that sends one refresh token four times at once: one successor (I10).
        again = at_once([refreshing[5]] * 4)
        assert [answer.status_code for answer in again] == [200] * 4, site.project.log
        assert len({answer.json()["refresh_token"] for answer in again}) == 1
    assert failures(people) == []


def test_120_people_sign_in_at_once(site):
    """I18, I3: nobody meets "database is locked", and everybody is a user afterwards."""
    with site.project.serving(*site.gunicorn) as url, people_at(url, f"many-{site.name}", 120) as people:
        answers = at_once([lambda p=p: p.redeem(p.sign_in()) for p in people])
        assert failures(people) == [], site.project.log
        assert [answer.status_code for answer in answers] == [200] * 120
    assert "database is locked" not in site.project.log
    with contextlib.closing(sqlite3.connect(site.project.path / "db.sqlite3")) as rows:
        (found,) = rows.execute(
            "SELECT COUNT(*) FROM lazyauth_provideridentity WHERE subject LIKE ?", [f"many-{site.name}-%"]
        )
    assert found == (120,)
